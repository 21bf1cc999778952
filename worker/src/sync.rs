//! The locks and atomics of `adoptions`, `leadership`, `returned` and `timed_call`.
//!
//! `tests/loom` compiles those files with loom's primitives in place of these, and loom then tries
//! every order in which their threads can run. So they use no others, do no I/O and read no clock.

use std::time::Duration;

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
pub(crate) use std::thread::{Thread, current};

/// Sleeps until another thread unparks this one, or `at_most` so long.
pub(crate) fn park(at_most: Option<Duration>) {
    match at_most {
        Some(time) => std::thread::park_timeout(time),
        None => std::thread::park(),
    }
}

/// Locks a mutex, even after a panic: its data is whole, as no critical section here can panic half-way.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
