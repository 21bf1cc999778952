//! What one request thread is working on, for the leader that answers in its place when the application takes
//! longer than `timeout`, and for the watchdog.

use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use oxicorn_common::request::{Peer, RequestHead, Scheme};

use crate::timed_call::{CallTime, TimedCall};
use crate::transport::Transport;

#[derive(Debug)]
pub(crate) struct InFlight {
    call: TimedCall<CalledRequest>,
    /// The thread's number, once it is there; 0 before.
    thread: AtomicI32,
}

/// For whom the application runs.
#[derive(Debug, Default)]
pub(crate) struct CalledRequest {
    /// `None` between two calls.
    pub(crate) transport: Option<Transport>,
    /// A copy, as the application has the original, in buffers that are used again.
    pub(crate) head: RequestHead,
    pub(crate) peer: Peer,
    pub(crate) scheme: Scheme,
    pub(crate) started: Option<Instant>,
}

impl InFlight {
    pub(crate) fn new() -> Self {
        Self {
            call: TimedCall::new(CalledRequest::default()),
            thread: AtomicI32::new(0),
        }
    }

    /// The calling thread is the one that works here.
    pub(crate) fn claim(&self) {
        let thread = nix::unistd::gettid().as_raw();
        self.thread.store(thread, Ordering::Relaxed);
    }

    /// The thread that works here.
    pub(crate) fn thread(&self) -> Option<libc::pid_t> {
        match self.thread.load(Ordering::Relaxed) {
            0 => None,
            thread => Some(thread),
        }
    }

    /// The application begins to run for a client.
    pub(crate) fn begin(
        &self,
        transport: &Transport,
        now: Instant,
        head: &RequestHead,
        peer: Peer,
        scheme: Scheme,
    ) {
        self.call.begin(now, |call| {
            call.transport = Some(transport.clone());
            call.head.copy_from(head);
            (call.peer, call.scheme, call.started) = (peer, scheme, Some(now));
        });
    }

    /// The application has returned; false when its time was over and the client was told so.
    pub(crate) fn end(&self) -> bool {
        self.call.end(|call| {
            call.transport = None;
            call.head.shed();
        })
    }

    /// The response begins to leave while the application goes on making it; false as with [`InFlight::end`].
    pub(crate) fn begin_response(&self) -> bool {
        self.call.begin_response()
    }

    /// The application has made a piece of the response.
    pub(crate) fn note_piece(&self) {
        self.call.note_piece();
    }

    /// Runs `wait`, which waits for the client: that is not the application's time.
    pub(crate) fn while_waiting<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.call.while_waiting(wait)
    }

    /// Takes the request away from its thread when the application has been waited for longer than `limit`.
    pub(crate) fn check(&self, limit: Duration, now: Instant) -> CallTime<CalledRequest> {
        self.call.check(limit, now)
    }

    /// Method and path of a request for which the application has been waited for longer than `limit`, once.
    pub(crate) fn warn(&self, limit: Duration, now: Instant) -> Option<String> {
        self.call.warn(limit, now, CalledRequest::line)
    }
}

impl CalledRequest {
    /// Method and path, for the log.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.head.method(), self.head.path())
    }
}
