//! Wrong handlers and typed events do not compile, and the compiler says what to do instead.
//!
//! The messages beside `server/*.rs` and `client/*.rs` are those of one compiler. To regenerate
//! them with a new compiler, set `COMPILER` and run `TRYBUILD=overwrite cargo test -p misuse`. With
//! another compiler, `cargo xtask test` reports that the test was not run.

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic fails the test")]

    use std::process::Command;

    /// The compiler whose messages are compared.
    const COMPILER: &str = "rustc 1.95.";

    #[test]
    fn misuse_is_a_compile_error_that_names_the_remedy() {
        let version = Command::new("rustc").arg("--version").output().unwrap().stdout;
        if !version.starts_with(COMPILER.as_bytes()) {
            return eprintln!("skipped: the texts are those of {COMPILER}x");
        }
        let cases = trybuild::TestCases::new();
        cases.compile_fail("server/*.rs");
        cases.compile_fail("client/*.rs");
    }
}
