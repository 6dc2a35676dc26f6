//! What cannot work does not compile, and the compiler says what to do instead.
//!
//! The texts beside `tests/misuse/*.rs` are one compiler's; others word them otherwise. To make them anew, with a new
//! compiler: set `COMPILER`, then `TRYBUILD=overwrite cargo test -p socketio-server --test misuse_is_a_compile_error`.

#![allow(clippy::unwrap_used, reason = "to fail here is to fail the test")]

use std::process::Command;

/// The release whose texts are compared.
const COMPILER: &str = "rustc 1.95.";

#[test]
fn compile_errors_say_what_to_do() {
    let version = Command::new("rustc").arg("--version").output().unwrap().stdout;
    if !version.starts_with(COMPILER.as_bytes()) {
        return eprintln!("skipped: the texts are those of {COMPILER}x");
    }
    trybuild::TestCases::new().compile_fail("tests/misuse/*.rs");
}
