//! The protocols of the request threads under loom, which runs each test in every order in which its threads can
//! interleave, with every value that the memory orderings let a load return. A thread that nobody wakes is a deadlock,
//! and fails.
//!
//! The files are the worker's own, compiled with loom's primitives.
#![allow(dead_code, reason = "the worker uses what no test here needs")]

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use loom::thread::{Thread, current};
    pub(crate) use std::sync::{PoisonError, TryLockError};
    use std::time::Duration;

    /// No time passes.
    pub(crate) fn park(_: Option<Duration>) {
        loom::thread::park();
    }

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[path = "../../src/adoptions.rs"]
mod adoptions;
#[path = "../../src/threads/leadership.rs"]
mod leadership;
#[path = "../../src/threads/returned.rs"]
mod returned;
#[path = "../../src/timed_call.rs"]
mod timed_call;

mod calls;
mod connections;
mod leaders;

use loom::model::Builder;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread::{self, JoinHandle};

use sync::lock;

/// Runs `test` in every order with up to three preemptions, which finds nearly all errors in a fraction of the time.
fn model(test: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(test);
}

/// Runs `life` on another thread, with what is shared.
fn spawn<S: 'static, T: 'static>(
    shared: &Arc<S>,
    life: impl FnOnce(&S) -> T + 'static,
) -> JoinHandle<T> {
    let shared = Arc::clone(shared);
    thread::spawn(move || life(&shared))
}

/// A poll that another thread can interrupt, as a thread that leads waits in.
struct Poll {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Poll {
    fn new() -> Self {
        Self {
            woken: Mutex::new(false),
            changed: Condvar::new(),
        }
    }

    fn wait(&self) {
        let mut woken = lock(&self.woken);
        while !std::mem::take(&mut *woken) {
            woken = self.changed.wait(woken).expect("no panic");
        }
    }

    fn wake(&self) {
        *lock(&self.woken) = true;
        self.changed.notify_one();
    }
}
