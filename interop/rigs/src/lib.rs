//! Test servers and load programs: one binary each in `src/bin`.
//!
//! The library holds what tests of the workspace share with these binaries. Neither is published.

pub mod ops;
