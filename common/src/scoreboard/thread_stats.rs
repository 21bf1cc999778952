//! The figures of one request thread, or of the event loop: what it does now, and its counters.
//!
//! Only the thread itself writes them, so an addition is a load and a store without a lock prefix. Those of the event
//! loop are written by the thread that leads. A reader sees each counter whole, but not all of them at one instant.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::counters::{
    COUNT, COUNTERS, LATENCY, RECEIVED, REFUSALS, RESPONSES, SENT, Timed, bucket_of,
    duration_bucket_of, micros_of,
};
use super::refusal_reason::RefusalReason;
use super::response_class::class_of;
use super::text_cell::{TextCell, text_words};

/// When its request began, in milliseconds; 0 is none.
const STARTED: usize = 0;
/// The number of the request that the application has held beyond `timeout`.
const STUCK: usize = 1;
const TEXT: usize = 2;
/// Words for method, path and id of a request.
const TEXT_ROOMS: [usize; 3] = [2, 16, 16];
/// On a cache line of its own.
const COUNTERS_START: usize = (TEXT + text_words(TEXT_ROOMS)).next_multiple_of(8);

/// Words per thread: whole cache lines, so that no two threads write to the same one.
pub(super) const STATS_WORDS: usize = COUNTERS_START + COUNTERS;

/// One thread's figures.
#[derive(Clone, Copy)]
pub struct ThreadStats<'a>(&'a [AtomicU64; STATS_WORDS]);

/// A response that is over, whether all of it was sent or not.
#[derive(Debug, Clone, Copy)]
pub struct ResponseFigures<'a> {
    /// As the client has sent it.
    pub method: &'a [u8],
    pub status: u16,
    /// The times of a request that became whole.
    pub times: Option<RequestTimes>,
    pub proxy_queue: Option<Duration>,
}

/// The times of a request since it became whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestTimes {
    /// Until a thread took it.
    pub queue: Duration,
    /// Until its response was over.
    pub total: Duration,
}

/// The text of the request that a thread runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestText {
    pub method: String,
    /// Cut at 128 octets.
    pub path: String,
    pub id: String,
}

impl<'a> ThreadStats<'a> {
    pub(super) fn new(words: &'a [AtomicU64; STATS_WORDS]) -> Self {
        Self(words)
    }

    /// The thread takes up a request, at `millis` of [`crate::clock::monotonic_millis`]. Returns its number, for
    /// [`ThreadStats::set_stuck`].
    pub fn begin(self, millis: u64, method: &[u8], path: &[u8], id: &str) -> u64 {
        let number = self.text().write([method, path, id.as_bytes()]);
        self.0[STARTED].store(millis.max(1), Ordering::Relaxed);
        number
    }

    /// The thread is idle again.
    pub fn end(self) {
        self.0[STARTED].store(0, Ordering::Relaxed);
    }

    pub fn is_idle(self) -> bool {
        self.started().is_none()
    }

    /// When its request began, if it has one.
    pub fn started(self) -> Option<u64> {
        match self.0[STARTED].load(Ordering::Relaxed) {
            0 => None,
            millis => Some(millis),
        }
    }

    /// The application holds the thread beyond `timeout`, with request `number`. Called by another thread of its
    /// process. Nobody has to take that back: the next request has another number.
    pub fn set_stuck(self, number: u64) {
        self.0[STUCK].store(number, Ordering::Relaxed);
    }

    pub fn is_stuck(self) -> bool {
        !self.is_idle() && self.0[STUCK].load(Ordering::Relaxed) == self.text().sequence()
    }

    /// The request that the thread runs, or ran last; `None` if it changes all the time.
    pub fn request(self) -> Option<RequestText> {
        let text = |octets: Vec<u8>| String::from_utf8_lossy(&octets).into_owned();
        let [method, path, id] = self.text().read()?.map(text);
        Some(RequestText { method, path, id })
    }

    /// Counts a response that is over. Only for the thread itself.
    pub fn record(self, response: ResponseFigures<'_>) {
        self.add(COUNT, 1);
        self.add(RESPONSES + class_of(response.method, response.status), 1);
        if let Some(times) = response.times {
            self.add(LATENCY + bucket_of(micros_of(times.total)), 1);
            self.add_time(Timed::Duration, times.total);
            self.add_time(Timed::Queue, times.queue);
        }
        if let Some(time) = response.proxy_queue {
            self.add_time(Timed::ProxyQueue, time);
        }
    }

    /// Counts a request that the application has not seen. Its response is counted like any other. Only for the thread
    /// itself.
    pub fn count_refusal(self, reason: RefusalReason) {
        self.add(REFUSALS + reason as usize, 1);
    }

    /// All that were counted.
    pub fn responses(self) -> u64 {
        self.counters()[COUNT].load(Ordering::Relaxed)
    }

    /// For how long the requests of all that were counted have waited for a thread.
    pub fn waited_micros(self) -> u64 {
        self.counters()[Timed::Queue.sum()].load(Ordering::Relaxed)
    }

    /// Counts octets from and to clients. Only for the thread itself.
    pub fn count_octets(self, received: u64, sent: u64) {
        if received > 0 {
            self.add(RECEIVED, received);
        }
        if sent > 0 {
            self.add(SENT, sent);
        }
    }

    pub(super) fn counters(self) -> &'a [AtomicU64] {
        &self.0[COUNTERS_START..]
    }

    pub(super) fn reset(self) {
        self.0
            .iter()
            .for_each(|word| word.store(0, Ordering::Relaxed));
    }

    fn text(self) -> TextCell<'a, 3> {
        TextCell::new(&self.0[TEXT..COUNTERS_START], TEXT_ROOMS)
    }

    fn add_time(self, timed: Timed, time: Duration) {
        let micros = micros_of(time);
        self.add(timed.sum(), micros);
        self.add(timed.buckets() + duration_bucket_of(micros), 1);
    }

    fn add(self, counter: usize, amount: u64) {
        let word = &self.0[COUNTERS_START + counter];
        let value = word.load(Ordering::Relaxed).wrapping_add(amount);
        word.store(value, Ordering::Relaxed);
    }
}

impl fmt::Debug for ThreadStats<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ThreadStats({:?}, {:?})", self.started(), self.request())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stuck_thread_is_free_with_its_next_request() {
        let words = Box::new([const { AtomicU64::new(0) }; STATS_WORDS]);
        let thread = ThreadStats::new(&words);
        assert!(thread.is_idle() && !thread.is_stuck());
        let number = thread.begin(7, b"GET", "/a".repeat(100).as_bytes(), "id");
        assert_eq!((thread.started(), thread.is_stuck()), (Some(7), false));
        let request = thread.request().expect("a text");
        assert_eq!((&*request.method, &*request.id), ("GET", "id"));
        assert_eq!(request.path, "/a".repeat(64));
        thread.set_stuck(number);
        assert!(thread.is_stuck());
        thread.end();
        assert!(!thread.is_stuck());
        let next = thread.begin(8, b"GET", b"/", "");
        assert!(!thread.is_stuck());
        // The event loop may come late.
        thread.set_stuck(number);
        assert!(!thread.is_stuck() && next != number);
    }
}
