//! Mistakes do not compile, and the error of the compiler names the mistake.
//!
//! The texts beside `tests/misuse/*.rs` are those of one compiler. To write them anew for another compiler, set
//! `COMPILER` here and in the server's test, then run
//! `TRYBUILD=overwrite cargo test -p socketio-async-client --test misuse_is_a_compile_error`.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::process::Command;

/// The release whose texts are compared.
const COMPILER: &str = "rustc 1.95.";

#[test]
fn compile_errors_name_the_mistake() {
    let version = Command::new("rustc").arg("--version").output().unwrap().stdout;
    if !version.starts_with(COMPILER.as_bytes()) {
        return eprintln!("skipped: the texts are those of {COMPILER}x");
    }
    trybuild::TestCases::new().compile_fail("tests/misuse/*.rs");
}
