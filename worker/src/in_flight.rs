//! The place of one request thread: what it is working on, for whoever watches the deadlines.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::StatusCode;
use oxicorn_common::request::{Peer, RequestHead, Scheme};

use crate::access_record::AccessRecord;
use crate::http::ErrorResponse;
use crate::http::date::DateCache;
use crate::transport::Transport;
use crate::worker_shared::WorkerShared;

#[derive(Debug, Default)]
pub(crate) struct InFlight {
    occupancy: Mutex<Occupancy>,
    /// Pieces of responses that the application has made here, heads included. Whoever watches the
    /// deadlines sees that there are more, so that making one costs neither lock nor clock.
    pieces: AtomicU64,
    /// The thread waits for its client, not the client for the application.
    waits: AtomicBool,
}

/// Who sits here now. Locked for a few instructions at the beginning and end of a request.
#[derive(Debug, Default)]
struct Occupancy {
    /// The client, while the application runs for it.
    stream: Option<Arc<Transport>>,
    /// When the request began.
    started: Option<Instant>,
    /// Since when the application has been waited for: the beginning, or its last piece.
    since: Option<Instant>,
    /// What `pieces` was then.
    seen: u64,
    /// Bytes of a response have left.
    answered: bool,
    expired: bool,
    /// The log has a line on how long this takes.
    remarked: bool,
    /// What was asked, in buffers that are used again.
    head: RequestHead,
    peer: Peer,
    scheme: Scheme,
    thread: Option<libc::pid_t>,
}

/// A request that is over its time.
#[derive(Debug)]
pub(crate) struct Expired {
    stream: Arc<Transport>,
    head: RequestHead,
    peer: Peer,
    scheme: Scheme,
    started: Instant,
    /// How long the application has been waited for.
    age: Duration,
    answered: bool,
    thread: libc::pid_t,
}

/// How a seat is found.
#[derive(Debug)]
pub(crate) enum Found {
    /// Nobody waits for the application here.
    Idle,
    /// It has been waited for since then.
    Busy(Instant),
    Expired(Box<Expired>),
}

impl InFlight {
    /// The thread of this seat; called by that thread.
    pub(crate) fn claim(&self) {
        self.lock().thread = Some(nix::unistd::gettid().as_raw());
    }

    /// Whose seat it is.
    pub(crate) fn thread(&self) -> Option<libc::pid_t> {
        self.lock().thread
    }

    /// The application begins to run for a client. The head is copied, because the application has
    /// it: whoever finds the request over its time is to log it.
    pub(crate) fn begin(
        &self,
        stream: &Arc<Transport>,
        now: Instant,
        head: &RequestHead,
        peer: Peer,
        scheme: Scheme,
    ) {
        let mut seat = self.lock();
        seat.stream = Some(Arc::clone(stream));
        (seat.started, seat.since) = (Some(now), Some(now));
        seat.seen = self.pieces.load(Ordering::Relaxed);
        seat.answered = false;
        seat.remarked = false;
        seat.head.copy_from(head);
        (seat.peer, seat.scheme) = (peer, scheme);
    }

    /// The application has returned; false when its time was over and the client was told so.
    pub(crate) fn end(&self) -> bool {
        let mut seat = self.lock();
        seat.stream = None;
        seat.since = None;
        seat.head.shed();
        !std::mem::take(&mut seat.expired)
    }

    /// The response begins to leave while the application goes on making it.
    pub(crate) fn begin_response(&self) -> bool {
        self.note_piece();
        let mut seat = self.lock();
        seat.answered = true;
        !seat.expired
    }

    /// The application has made a piece of the response; called by the thread of this seat.
    pub(crate) fn note_piece(&self) {
        self.pieces.fetch_add(1, Ordering::Relaxed);
    }

    /// Runs `wait`, which waits for the client: that is not the application's time.
    pub(crate) fn while_waiting<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.waits.store(true, Ordering::Relaxed);
        let outcome = wait();
        self.note_piece();
        self.waits.store(false, Ordering::Release);
        outcome
    }

    /// Gives up the request if the application has been waited for longer than `limit`. To be called
    /// now and then, at least once a second: the time of a piece is when it was seen to be there.
    pub(crate) fn check(&self, limit: Duration, now: Instant) -> Found {
        let mut seat = self.lock();
        let Some(since) = self.waited_since(&mut seat, now) else {
            return Found::Idle;
        };
        let age = now.saturating_duration_since(since);
        let (true, Some(stream)) = (age >= limit, &seat.stream) else {
            return Found::Busy(since);
        };
        let stream = Arc::clone(stream);
        seat.expired = true;
        Found::Expired(Box::new(Expired {
            stream,
            head: std::mem::take(&mut seat.head),
            peer: seat.peer,
            scheme: seat.scheme,
            started: seat.started.unwrap_or(since),
            age,
            answered: seat.answered,
            thread: seat.thread.unwrap_or(0),
        }))
    }

    /// Remarks, once, on a request that takes longer than `limit` and is left alone: somebody may be in
    /// a debugger.
    pub(crate) fn remark(&self, limit: Duration, now: Instant, shared: &WorkerShared) {
        let mut seat = self.lock();
        let since = self.waited_since(&mut seat, now);
        let is_late = since.is_some_and(|since| now.saturating_duration_since(since) >= limit);
        if !is_late || std::mem::replace(&mut seat.remarked, true) {
            return;
        }
        let line = format!("{} {}", seat.head.method(), seat.head.path());
        let thread = seat.thread.unwrap_or(0);
        drop(seat);
        log::warn!(
            "{line} takes longer than timeout ({} s), and is left alone because of reload; thread {thread} is at:\n{}",
            limit.as_secs_f64(),
            stack_of(thread, shared)
        );
    }

    /// Since when the application has been waited for, as far as can be seen `now`.
    fn waited_since(&self, seat: &mut Occupancy, now: Instant) -> Option<Instant> {
        let since = seat.since.filter(|_| !seat.expired)?;
        let waits = self.waits.load(Ordering::Acquire);
        let pieces = self.pieces.load(Ordering::Relaxed);
        if waits || pieces != seat.seen {
            seat.seen = pieces;
            // Never back, where the request began after the clock was looked at.
            seat.since = Some(since.max(now));
        }
        seat.since
    }

    fn lock(&self) -> MutexGuard<'_, Occupancy> {
        self.occupancy
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Expired {
    /// Tells the client, the log and the master. The thread is left to itself: when it comes back
    /// it finds its seat given up.
    pub(crate) fn answer(self, shared: &WorkerShared, now: Instant) {
        if !self.answered {
            let status = StatusCode::GATEWAY_TIMEOUT;
            let mut refusal =
                ErrorResponse::new(status, "", Some(&self.head), DateCache::new().at(now));
            // A socket that takes no hundred bytes belongs to a client that reads nothing.
            let _ = refusal.writer.flush(&self.stream);
            self.stream.finish();
            let record = AccessRecord {
                started: self.started,
                scheme: self.scheme,
                variables: Vec::new(),
                status: status.as_u16(),
                fields: refusal.response.fields,
                body_bytes: refusal.body_bytes,
            };
            shared.log_access(&self.head, &self.peer, &record, now);
        } else {
            // Where the end of the connection is the end of the body, the client is not to take this
            // for it.
            self.stream.reset();
        }
        self.stream.shutdown(std::net::Shutdown::Both);
        log::error!(
            "{} after {:.1} s (timeout): {}; thread {} is at:\n{}",
            match self.answered {
                true => "response timed out, without another piece",
                false => "request timed out",
            },
            self.age.as_secs_f64(),
            format_args!("{} {}", self.head.method(), self.head.path()),
            self.thread,
            stack_of(self.thread, shared)
        );
        shared.ask_for_replacement("a request took longer than timeout");
    }
}

fn stack_of(thread: libc::pid_t, shared: &WorkerShared) -> String {
    let known = shared.app.stack_of(thread);
    known.unwrap_or_else(|| crate::stack_trace::of_thread(thread))
}
