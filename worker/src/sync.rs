//! The locks and atomics of `leadership`, `returned` and `timed_call`.
//!
//! `tests/loom` compiles those three files with loom's primitives in place of these, and loom then tries
//! every order in which their threads can run. So they use no others, do no I/O and read no clock.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
pub(crate) use std::thread::{Thread, current, park};

/// Locks a mutex, even after a panic: its data is whole, as no critical section here can panic half-way.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
