//! The place of one request thread: what it is working on, for whoever watches the deadlines.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::StatusCode;
use oxicorn_common::request::{Head, Peer, Scheme};

use crate::exchange::Exchange;
use crate::http::Refusal;
use crate::http::date::DateCache;
use crate::station::Station;
use crate::stream::Stream;

/// Who sits here now. Locked for a few instructions at the beginning and end of a request.
#[derive(Debug, Default)]
pub(crate) struct Seat(Mutex<Occupancy>);

#[derive(Debug, Default)]
struct Occupancy {
    /// The client, while the application runs for it.
    stream: Option<Arc<Stream>>,
    since: Option<Instant>,
    /// Bytes of a response have left.
    answered: bool,
    expired: bool,
    /// The log has a line on how long this takes.
    remarked: bool,
    /// What was asked, in buffers that are used again.
    head: Head,
    peer: Peer,
    scheme: Scheme,
    thread: Option<libc::pid_t>,
}

/// A request that is over its time.
#[derive(Debug)]
pub(crate) struct Expired {
    pub(crate) stream: Arc<Stream>,
    head: Head,
    peer: Peer,
    scheme: Scheme,
    since: Instant,
    pub(crate) age: Duration,
    pub(crate) answered: bool,
    pub(crate) thread: libc::pid_t,
}

impl Seat {
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
    pub(crate) fn occupy(
        &self,
        stream: &Arc<Stream>,
        since: Instant,
        head: &Head,
        peer: Peer,
        scheme: Scheme,
    ) {
        let mut seat = self.lock();
        seat.stream = Some(Arc::clone(stream));
        seat.since = Some(since);
        seat.answered = false;
        seat.remarked = false;
        seat.head.copy_from(head);
        (seat.peer, seat.scheme) = (peer, scheme);
    }

    /// The application has returned; false when its time was over and the client was told so.
    pub(crate) fn vacate(&self) -> bool {
        let mut seat = self.lock();
        seat.stream = None;
        seat.since = None;
        !std::mem::take(&mut seat.expired)
    }

    /// The response begins to leave while the application goes on making it.
    pub(crate) fn answer(&self) -> bool {
        let mut seat = self.lock();
        seat.answered = true;
        !seat.expired
    }

    /// When the request in this seat began, unless it has been given up already.
    pub(crate) fn since(&self) -> Option<Instant> {
        let seat = self.lock();
        seat.since.filter(|_| !seat.expired)
    }

    /// Gives up the request if its time is over.
    pub(crate) fn expire(&self, limit: Duration) -> Option<Expired> {
        let mut seat = self.lock();
        let since = seat.since?;
        let age = since.elapsed();
        if seat.expired || age < limit {
            return None;
        }
        let stream = Arc::clone(seat.stream.as_ref()?);
        seat.expired = true;
        Some(Expired {
            stream,
            head: std::mem::take(&mut seat.head),
            peer: seat.peer,
            scheme: seat.scheme,
            since,
            age,
            answered: seat.answered,
            thread: seat.thread.unwrap_or(0),
        })
    }

    /// Remarks, once, on a request that takes longer than `limit` and is left alone: somebody may be in
    /// a debugger.
    pub(crate) fn remark(&self, limit: Duration, station: &Station) {
        let mut seat = self.lock();
        let is_late = seat.since.is_some_and(|since| since.elapsed() >= limit);
        if !is_late || std::mem::replace(&mut seat.remarked, true) {
            return;
        }
        let line = format!("{} {}", seat.head.method(), seat.head.path());
        let thread = seat.thread.unwrap_or(0);
        drop(seat);
        log::warn!(
            "{line} takes longer than timeout ({} s), and is left alone because of reload; thread {thread} is at:\n{}",
            limit.as_secs_f64(),
            stack_of(thread, station)
        );
    }

    fn lock(&self) -> MutexGuard<'_, Occupancy> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Expired {
    /// Tells the client, the log and the master. The thread is left to itself: when it comes back
    /// it finds its seat given up.
    pub(crate) fn answer(self, station: &Station) {
        if !self.answered {
            let status = StatusCode::GATEWAY_TIMEOUT;
            let now = self.since + self.age;
            let mut refusal = Refusal::new(status, "", Some(&self.head), DateCache::new().at(now));
            // A socket that takes no hundred bytes belongs to a client that reads nothing.
            let _ = refusal.outgoing.flush(&self.stream);
            self.stream.finish();
            let exchange = Exchange {
                started: self.since,
                scheme: self.scheme,
                variables: Vec::new(),
                status: status.as_u16(),
                fields: refusal.response.fields,
                body_bytes: refusal.body_bytes,
            };
            station.log_access(&self.head, &self.peer, &exchange, now);
        }
        self.stream.shutdown(std::net::Shutdown::Both);
        log::error!(
            "request timed out after {:.1} s (timeout): {}; thread {} is at:\n{}",
            self.age.as_secs_f64(),
            format_args!("{} {}", self.head.method(), self.head.path()),
            self.thread,
            stack_of(self.thread, station)
        );
        station.ask_for_replacement("a request took longer than timeout");
    }
}

fn stack_of(thread: libc::pid_t, station: &Station) -> String {
    let known = station.app.stack_of(thread);
    known.unwrap_or_else(|| crate::stack::of_thread(thread))
}
