//! Locks. Tests of the signal replace this module by a model.

pub(crate) use std::sync::{Mutex, MutexGuard, atomic};

/// Locks a mutex and ignores poisoning. The guarded data is consistent at every await and call.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
