//! Locks that ignore poisoning: the guarded data is consistent at every await and call.
//!
//! Tests built with `--cfg shuttle` replace the locks and atomics with shuttle's, so that the models
//! in `models/` run the code in many orders of threads (`cargo xtask models`).

#[cfg(not(all(test, shuttle)))]
pub(crate) use std::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic};

#[cfg(all(test, shuttle))]
pub(crate) use shuttle::sync::{
    Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic,
};
use std::sync::PoisonError;

/// Lets other threads of a model run: beside an atomic of `std`, or after an atomic was read.
#[inline]
pub(crate) fn step() {
    #[cfg(all(test, shuttle))]
    atomic::AtomicBool::new(false).load(atomic::Ordering::SeqCst);
}

/// Locks a mutex and ignores poisoning.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks for reading and ignores poisoning.
pub(crate) fn read<T: ?Sized>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// Locks for writing and ignores poisoning.
pub(crate) fn write<T: ?Sized>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
