//! The threads of a pool: all of them are there before the worker says `ready`; and how the process
//! ends.
//!
//! ```text
//!   threads = 1   main thread: request thread 0          a thread: the watchdog
//!   threads > 1   main thread: waits for the end         a thread: the watchdog, and the request threads
//! ```
//!
//! A host may have things that are bound to the thread that loaded the application, which is the main
//! thread. With one request thread the application is called there too.
//!
//! The main thread ends the process, unless the application holds it: then the watchdog does.

use std::io;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use log::error;
use mio::Waker;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use oxicorn_common::{forks, signals};

use super::{TURN, ThreadPool, lock};
use crate::reactor::Reactor;
use crate::thread_spawn::{self, ThreadError};
use crate::worker_shared::WorkerShared;

/// How often the watchdog looks whether the main thread, which is to end the process, has got stuck.
const PAUSE: Duration = Duration::from_millis(10);

/// Ends the process with an exit code, on whichever thread.
pub type End = Box<dyn FnOnce(i32) + Send>;

/// Why a pool could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    #[error(transparent)]
    Thread(#[from] ThreadError),
    #[error("cannot have an eventfd for the end of the worker: {0}")]
    EventFd(#[source] io::Error),
}

/// Makes the pool of a worker, calls `ready` when all of it is there, and lives its life. Returns the
/// exit code, on the main thread; where that is stuck, the watchdog calls `end` instead.
pub(crate) fn run(
    shared: Arc<WorkerShared>,
    reactor: Reactor,
    waker: Waker,
    ready: impl FnOnce(),
    end: End,
) -> Result<i32, LaunchError> {
    let threads = shared.settings.threads;
    let over = eventfd().map_err(LaunchError::EventFd)?;
    let stack = shared
        .app
        .stack_size()
        .unwrap_or_else(thread_spawn::stack_size);
    let pool = Arc::new(ThreadPool::new(shared, reactor, waker, over));
    if threads > 1 {
        for index in 0..threads {
            let pool = Arc::clone(&pool);
            let what = || format!("request thread {} of {threads}", index + 1);
            thread_spawn::start(&format!("request-{index}"), what, stack, move || {
                guarded(|| pool.work(index));
            })?;
        }
    }
    let end = Arc::new(Mutex::new(Some(end)));
    let (watched, last) = (Arc::clone(&pool), Arc::clone(&end));
    let what = || "the thread that watches over the request threads".to_owned();
    thread_spawn::start("watchdog", what, stack, move || {
        guarded(|| {
            let code = watched.watch();
            while lock(&last).is_some() {
                if watched.is_main_stuck() {
                    if let Some(end) = lock(&last).take() {
                        end(code);
                    }
                } else {
                    thread::park_timeout(PAUSE);
                }
            }
        });
    })?;
    ready();
    pool.open();
    match threads {
        1 => guarded(|| pool.work(0)),
        _ => pool.wait(),
    }
    if lock(&end).take().is_none() {
        // The watchdog is about to end the process.
        loop {
            thread::park();
        }
    }
    Ok(lock(&pool.dismissed).unwrap_or(0))
}

fn eventfd() -> io::Result<EventFd> {
    let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
    Ok(EventFd::from_value_and_flags(0, flags)?)
}

/// Panics of the application end in its handler: one that comes as far as this is the server's, and the
/// event loop cannot be trusted any more. The master replaces the process.
fn guarded(life: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(life)).is_err() {
        std::process::abort();
    }
}

impl ThreadPool {
    /// Lets one of the request threads lead.
    fn open(&self) {
        lock(&self.bench).promotions = 1;
        self.promoted.notify_one();
    }

    /// The life of a main thread that serves no requests: it is there for signal handlers that run
    /// nowhere else.
    fn wait(&self) {
        let timeout = PollTimeout::try_from(TURN).unwrap_or(PollTimeout::ZERO);
        let mut fds = [PollFd::new(self.over.as_fd(), PollFlags::POLLIN)];
        while lock(&self.dismissed).is_none() {
            match poll(&mut fds, timeout) {
                // One may have come between two polls.
                Ok(0) | Err(Errno::EINTR) => {
                    self.shared.app.interrupted();
                    forks::end_child(0);
                }
                Ok(_) => {}
                Err(error) => {
                    error!("the main thread cannot wait: {error}");
                    return self.dismiss(1);
                }
            }
        }
    }

    /// Where the main thread leads: runs the application's signal handlers, which run nowhere else, and
    /// takes back the signals of the server that the application has taken meanwhile.
    pub(super) fn attend_to_signals(&self, reactor: &mut Reactor) {
        let is_due = reactor.interrupted || reactor.now >= reactor.signals_due;
        if self.shared.settings.threads > 1 || !is_due {
            return;
        }
        reactor.interrupted = false;
        reactor.signals_due = reactor.now + TURN;
        if let Err(error) = signals::reclaim() {
            error!("the signals of the server cannot be taken back: {error}");
        }
        self.shared.app.interrupted();
        forks::end_child(0);
    }

    /// Whether the application holds the thread that else ends the process.
    fn is_main_stuck(&self) -> bool {
        self.shared.settings.threads == 1
            && !self.led.load(Ordering::SeqCst)
            && self.idle.load(Ordering::SeqCst) == 0
    }
}
