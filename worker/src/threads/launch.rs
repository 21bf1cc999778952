//! Starts the threads of a worker, all before it reports `ready`, and ends the process.
//!
//! ```text
//!   one request thread    main thread: request thread 0     a thread: the watchdog
//!   more, or max_threads  main thread: waits for the end    a thread: the watchdog, and the request threads
//! ```
//!
//! A host may have objects that are bound to the thread that loaded the application, which is the main thread. With
//! one request thread, the application is therefore called there too.
//!
//! The main thread ends the process. If the application holds it, the watchdog does.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use log::error;
use mio::Waker;
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::pool::ThreadPool;
use super::{main_thread, watchdog};
use crate::reactor::Reactor;
use crate::sync::lock;
use crate::thread_spawn::{self, ThreadError};
use crate::worker_shared::WorkerShared;

/// The interval at which the watchdog checks whether the main thread, which should end the process, is stuck.
const PAUSE: Duration = Duration::from_millis(10);
/// How long a thread may take to end that the application does not hold.
const LAST_STEPS: Duration = Duration::from_secs(2);

/// Ends the process with an exit code, on any thread.
pub type ExitProcess = Box<dyn FnOnce(i32) + Send>;

/// Why the threads of a worker could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    #[error(transparent)]
    Thread(#[from] ThreadError),
    #[error("cannot have an eventfd for the end of the worker: {0}")]
    EventFd(#[source] io::Error),
}

/// Starts the threads, calls `ready` when all of them run, and serves until the worker's end. Returns the exit code
/// on the main thread; if that is stuck, the watchdog calls `end` instead.
pub(crate) fn run(
    shared: Arc<WorkerShared>,
    reactor: Reactor,
    waker: Waker,
    ready: impl FnOnce(),
    end: ExitProcess,
) -> Result<i32, LaunchError> {
    let threads = shared.in_flight.len();
    let over = eventfd().map_err(LaunchError::EventFd)?;
    let stack = shared.app.stack_size();
    let stack = stack.unwrap_or_else(thread_spawn::stack_size);
    let pool = Arc::new(ThreadPool::new(shared, reactor, waker, over));
    let mut started = Vec::new();
    if threads > 1 {
        for index in 0..threads {
            let pool = Arc::clone(&pool);
            let what = || format!("request thread {} of {threads}", index + 1);
            let thread =
                thread_spawn::start(&format!("request-{index}"), what, stack, move || {
                    guarded(|| pool.work(index));
                })?;
            started.push(thread);
        }
    }
    let end = Arc::new(Mutex::new(Some(end)));
    let (watched, last) = (Arc::clone(&pool), Arc::clone(&end));
    let what = || "the thread that watches over the request threads".to_owned();
    let watchdog = thread_spawn::start("watchdog", what, stack, move || {
        guarded(|| {
            let code = watchdog::watch(&watched);
            end_if_main_is_stuck(&watched, &last, code);
        });
    })?;
    started.push(watchdog);
    ready();
    pool.leadership.open();
    match threads {
        1 => guarded(|| pool.work(0)),
        _ => {
            if let Err(error) = main_thread::wait(&pool.shared, &pool.over) {
                error!("the main thread cannot wait: {error}");
                pool.dismiss(1);
            }
        }
    }
    if lock(&end).take().is_none() {
        // The watchdog is about to end the process.
        loop {
            thread::park();
        }
    }
    if pool.shared.becomes_mold() {
        await_end(started);
    }
    Ok(pool.leadership.dismissed().unwrap_or(0))
}

/// Waits until the threads have ended, which they have been told to, but not for those that the application holds.
fn await_end(threads: Vec<JoinHandle<()>>) {
    let until = Instant::now() + LAST_STEPS;
    while !threads.iter().all(JoinHandle::is_finished) && Instant::now() < until {
        thread::sleep(Duration::from_millis(1));
    }
    for thread in threads.into_iter().filter(JoinHandle::is_finished) {
        // A panic has ended the process.
        let _ = thread.join();
    }
}

fn eventfd() -> io::Result<EventFd> {
    let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
    Ok(EventFd::from_value_and_flags(0, flags)?)
}

/// Panics of the application are caught in its handler. A panic that arrives here is the server's own, and the event
/// loop can no longer be trusted. The master replaces the process.
fn guarded(life: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(life)).is_err() {
        std::process::abort();
    }
}

/// Returns when the main thread has taken `end`, and will end the process.
fn end_if_main_is_stuck(pool: &ThreadPool, end: &Mutex<Option<ExitProcess>>, code: i32) {
    while lock(end).is_some() {
        if !pool.is_only_thread_busy() {
            thread::park_timeout(PAUSE);
        } else if let Some(end) = lock(end).take() {
            end(code);
        }
    }
}
