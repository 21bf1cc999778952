//! Processes that code of the config file has started. That code waits for them itself, so the master must not reap
//! them.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::sys;

/// Their pids. One that has been waited for is removed when the list is next used.
static PIDS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

fn pids() -> MutexGuard<'static, BTreeSet<i32>> {
    PIDS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs code of the config file, and notes the children that it starts.
pub(crate) fn note_children_of<T>(code: impl FnOnce() -> T) -> T {
    let before = sys::children().unwrap_or_default();
    let result = code();
    // Twice: a list that is read while threads end may have gaps.
    for _ in 0..2 {
        let after = sys::children().unwrap_or_default();
        pids().extend(after.difference(&before));
    }
    result
}

/// Notes all children that this process has now.
pub(crate) fn note_all() {
    pids().extend(sys::children().unwrap_or_default());
}

/// The children that have ended, apart from those of the config file. Where the kernel does not list children there
/// are none: a zombie is better than a status that the config file waits for in vain.
pub(crate) fn ended_others() -> Vec<i32> {
    let children = sys::children().unwrap_or_default();
    let mut pids = pids();
    pids.retain(|&pid| sys::is_child(pid));
    let others = children.difference(&pids).copied();
    others.filter(|&pid| sys::has_ended(pid)).collect()
}
