//! Processes that code of the config file has started. That code waits for them itself, so the master must not reap
//! them.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::sys;

/// Their pids. A process that was waited for is removed when the list is next used.
static PIDS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

fn pids() -> MutexGuard<'static, BTreeSet<i32>> {
    PIDS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs code of the config file, and notes the children that it starts.
pub(crate) fn note_children_of<T>(code: impl FnOnce() -> T) -> T {
    let before = sys::children().unwrap_or_default();
    let result = code();
    // Twice: a list that is read while threads end may be incomplete.
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

/// The children that have ended, apart from those of the config file. Empty if the kernel does not list children: a
/// zombie is better than a status for which the config file waits in vain.
pub(crate) fn ended_others() -> Vec<i32> {
    let children = sys::children().unwrap_or_default();
    let mut pids = pids();
    pids.retain(|&pid| sys::is_child(pid));
    let others = children.difference(&pids).copied();
    others.filter(|&pid| sys::has_ended(pid)).collect()
}
