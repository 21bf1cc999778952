//! Processes that the application forks in a worker.
//!
//! Such a child has a copy of the worker, with the same sockets, the same epoll instance and the same pipes.
//! Within the application it may do anything. If it returned to the server, it would be a second worker with the
//! first one's clients. So the code that calls the application asks [`is_child`] afterwards, and ends the
//! process.
//!
//! A fork that is followed by an exec needs nothing of this: descriptors are closed on exec.

use std::cell::Cell;
use std::io;
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SigSet, SigmaskHow};

use crate::{signals, sys};

static NOTICES: AtomicBool = AtomicBool::new(false);
static IS_CHILD: AtomicBool = AtomicBool::new(false);
static HAS_CHILDREN: AtomicBool = AtomicBool::new(false);

/// Notices forks of this process from now on (pthread_atfork(3)).
pub fn notice() -> io::Result<()> {
    // A fork of this process has the functions already.
    match NOTICES.swap(true, Ordering::Relaxed) {
        true => Ok(()),
        false => sys::at_fork(before, in_parent, in_child),
    }
}

/// This process was forked by the server, from one that notices forks: it is no child of the application.
pub fn begin_again() {
    IS_CHILD.store(false, Ordering::Relaxed);
    HAS_CHILDREN.store(false, Ordering::Relaxed);
}

/// Whether the application has forked this process.
pub fn is_child() -> bool {
    IS_CHILD.load(Ordering::Relaxed)
}

/// Whether another process may have this one's descriptors: then closing one does not end a connection.
pub fn has_children() -> bool {
    HAS_CHILDREN.load(Ordering::Relaxed)
}

/// Ends the process if the application has forked it.
pub fn end_child(code: i32) {
    if is_child() {
        sys::exit_now(code);
    }
}

/// Ends the process unless it is process `pid`: it is a copy of that.
pub fn end_copy_of(pid: u32, code: i32) {
    if std::process::id() != pid {
        sys::exit_now(code);
    }
}

thread_local! {
    /// The signals that the thread had blocked before it forked.
    static BLOCKED: Cell<Option<SigSet>> = const { Cell::new(None) };
    static LOCAL_TIME: Cell<Option<MutexGuard<'static, ()>>> = const { Cell::new(None) };
}

/// Blocks signals: one for the child must wait until `in_child` has run. The child has to be able to log.
extern "C" fn before() {
    let all = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK);
    BLOCKED.set(all.ok());
    LOCAL_TIME.set(Some(sys::lock_local_time()));
}

extern "C" fn in_parent() {
    HAS_CHILDREN.store(true, Ordering::Relaxed);
    drop(LOCAL_TIME.take());
    unblock();
}

fn unblock() {
    if let Some(blocked) = BLOCKED.take() {
        // It was the thread's mask before, so it is valid.
        let _ = blocked.thread_set_mask();
    }
}

/// A signal to the child is meant for the child, but its copy of the handler would write to the worker's pipe.
extern "C" fn in_child() {
    IS_CHILD.store(true, Ordering::Relaxed);
    drop(LOCAL_TIME.take());
    // After an error a signal keeps a handler that does nothing any more.
    let _ = signals::reset_to_default();
    unblock();
}
