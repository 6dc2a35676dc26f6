//! Runs a closure under libFuzzer. libFuzzer is a C++ library, so this package contains `unsafe`
//! code. It is excluded from the workspace, and compiled only with `--cfg fuzzing`.

use std::{
    cell::RefCell,
    ffi::{CString, c_char, c_int},
    ptr,
};

type Body = Box<dyn FnMut(&[u8])>;

thread_local! {
    static BODY: RefCell<Option<Body>> = const { RefCell::new(None) };
}

// Exports the functions that libFuzzer calls. A panic aborts the process, which libFuzzer reports as
// a finding, even if a task's panic would be caught.
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    BODY.with_borrow_mut(|body| body.iter_mut().for_each(|body| body(data)));
});

unsafe extern "C" {
    fn LLVMFuzzerRunDriver(
        argc: *mut c_int,
        argv: *mut *mut *mut c_char,
        test: extern "C" fn(*const u8, usize) -> c_int,
    ) -> c_int;
}

extern "C" fn test(data: *const u8, size: usize) -> c_int {
    // SAFETY: libFuzzer passes `size` bytes.
    unsafe { libfuzzer_sys::test_input_wrap(data, size) }
}

/// Runs a closure on the inputs that libFuzzer makes. The first argument is the program that
/// libFuzzer starts again to minimize a corpus. Ends the process.
pub fn run<'a>(args: impl IntoIterator<Item = String>, body: impl FnMut(&[u8]) + 'a) -> ! {
    let body: Box<dyn FnMut(&[u8]) + 'a> = Box::new(body);
    // SAFETY: this function does not return, so nothing that the closure borrows ends before it.
    let body: Body = unsafe { std::mem::transmute(body) };
    BODY.set(Some(body));
    let args: Vec<_> = args.into_iter().filter_map(|arg| CString::new(arg).ok()).collect();
    let mut argv: Vec<_> = args.iter().map(|arg| arg.as_ptr().cast_mut()).collect();
    let mut argc = argv.len() as c_int;
    argv.push(ptr::null_mut());
    let mut argv = argv.as_mut_ptr();
    // SAFETY: `argv` has `argc` strings and a null pointer, which outlive the call.
    let code = unsafe { LLVMFuzzerRunDriver(&mut argc, &mut argv, test) };
    std::process::exit(code)
}
