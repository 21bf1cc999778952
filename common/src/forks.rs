//! Processes that the application forks in a worker.
//!
//! Such a child has a copy of everything, over the same sockets, the same epoll instance and the same
//! pipes. What it does within the application is the application's business; if it came back out of
//! that it would be a second worker with the clients of the first. So whoever calls the application
//! asks [`is_child`] afterwards, and ends the process.
//!
//! A fork that is followed by an exec at once concerns nobody: descriptors close there.

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SigSet, SigmaskHow};

use crate::{signals, sys};

static IS_CHILD: AtomicBool = AtomicBool::new(false);
static HAS_CHILDREN: AtomicBool = AtomicBool::new(false);

/// Begins to notice forks of this process (pthread_atfork(3)). To be called once.
pub fn notice() -> io::Result<()> {
    sys::at_fork(before, in_parent, in_child)
}

/// Whether this process is one that the application has forked.
pub fn is_child() -> bool {
    IS_CHILD.load(Ordering::Relaxed)
}

/// Whether another process may have the descriptors that this one has: closing one does not end a
/// connection then.
pub fn has_children() -> bool {
    HAS_CHILDREN.load(Ordering::Relaxed)
}

/// Ends a process that the application has forked; does nothing in any other.
pub fn end_child(code: i32) {
    if is_child() {
        sys::exit_now(code);
    }
}

/// Ends a process that is a copy of process `pid`; does nothing in that one.
pub fn end_copy_of(pid: u32, code: i32) {
    if std::process::id() != pid {
        sys::exit_now(code);
    }
}

thread_local! {
    /// The signals that the thread had blocked before it forked.
    static BLOCKED: Cell<Option<SigSet>> = const { Cell::new(None) };
}

/// A signal may come to a child at once, and is to wait until the child is one.
extern "C" fn before() {
    let all = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK);
    BLOCKED.set(all.ok());
}

extern "C" fn in_parent() {
    HAS_CHILDREN.store(true, Ordering::Relaxed);
    unblock();
}

fn unblock() {
    if let Some(blocked) = BLOCKED.take() {
        // It was the mask a moment ago.
        let _ = blocked.thread_set_mask();
    }
}

/// Whoever sends the child a signal means the child: its copy of the handler would write to the pipe that
/// the worker reads.
extern "C" fn in_child() {
    IS_CHILD.store(true, Ordering::Relaxed);
    // An error leaves a signal with a handler that does nothing any more.
    let _ = signals::reset_to_default();
    unblock();
}
