//! Test servers and load generators: one binary each in `src/bin`. They are not published.
//!
//! The library contains the code that they share with tests of the workspace.

pub mod counted;
pub mod descriptors;
pub mod ops;
pub mod process;
pub mod wire;
