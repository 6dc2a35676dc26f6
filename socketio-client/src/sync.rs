//! The synchronization primitives of the standard library, in a module that tests replace by a
//! model.

pub(crate) use std::sync::{Mutex, PoisonError, atomic};
