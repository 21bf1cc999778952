//! Keeps a fork of the master away from a thread that holds one of our locks.
//!
//! The child has only the thread that forked, so a lock that another thread holds at that moment would
//! never be released in it. A config file may start threads in the master, and these log.

use std::sync::{PoisonError, RwLock, RwLockWriteGuard};

use pyo3::prelude::*;

/// Written by the thread that forks, read by threads that take a lock of ours without holding the
/// interpreter's.
static FORKING: RwLock<()> = RwLock::new(());

/// Waits until no thread is in [`outside_forks`], and keeps them out until the result is dropped.
pub(crate) fn forking() -> RwLockWriteGuard<'static, ()> {
    FORKING.write().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `work`, which may take locks of ours, without the interpreter's lock and never during a fork.
pub(crate) fn outside_forks<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> T {
    py.detach(|| {
        let _outside = FORKING.read().unwrap_or_else(PoisonError::into_inner);
        work()
    })
}
