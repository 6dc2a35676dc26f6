//! The standard library's primitives, under a name by which a model can replace them.

pub(crate) use std::sync::{Mutex, PoisonError, atomic};
