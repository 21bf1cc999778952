//! A slot: the part of the scoreboard that one child writes.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::limits::{MAX_THREADS, PAGE};
use super::thread_stats::{STATS_WORDS, ThreadStats};
use crate::clock::monotonic_millis;

/// Words per slot: those of the child, then those of its event loop and of each thread, up to the end of the page.
pub const SLOT_WORDS: usize =
    (STATS_START + (1 + MAX_THREADS) * STATS_WORDS).next_multiple_of(PAGE);

// Siblings read these.
const STATE: usize = 0;
const HEARTBEAT: usize = 1;
const CONNECTIONS: usize = 2;
const LACKS_DESCRIPTORS: usize = 3;
const SERVING_THREADS: usize = 4;
const PROVEN_THREADS: usize = 5;
/// The next cache line.
const CONNECTION_STATES: usize = 8;
/// What [`QueueFigures`] has.
const QUEUE: usize = 12;
/// The next cache line.
const STATS_START: usize = 16;

/// Where a child is in its life, as its siblings see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SlotState {
    Free = 0,
    Booting = 1,
    Ready = 2,
    Draining = 3,
}

impl SlotState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Free | Self::Booting => "booting",
            Self::Ready => "ready",
            Self::Draining => "draining",
        }
    }
}

/// Where the connections of a worker are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConnectionStates {
    /// Between two requests.
    pub idle: u64,
    /// A request has begun to come.
    pub reading: u64,
    /// The client has to take the rest of a response, or the end of the connection.
    pub writing: u64,
    /// With a request thread, or waiting for one.
    pub away: u64,
}

/// How long a request that comes now has to wait in a worker: what its siblings need to know for a forecast. It is there
/// only if a setting asks for forecasts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueFigures {
    /// Whole requests that wait for a thread.
    pub waiting: u64,
    /// How long a request has a thread, in nanoseconds; 0 if nobody knows yet.
    pub service_nanos: u64,
    /// How long after one request the next is taken up while requests wait, in nanoseconds.
    pub interval_nanos: u64,
    /// When the last one was taken up, in [`monotonic_millis`].
    pub last_start: u64,
}

/// A child's figures. The child writes them; the master only prepares them for the next child.
#[derive(Clone, Copy)]
pub struct Slot<'a> {
    words: &'a [AtomicU64; SLOT_WORDS],
    threads: usize,
}

impl<'a> Slot<'a> {
    /// The slot that is made of `words`, of a child with that many request threads.
    pub fn new(words: &'a [AtomicU64; SLOT_WORDS], threads: usize) -> Self {
        Self { words, threads }
    }

    pub fn set_state(self, state: SlotState) {
        self.put(STATE, state as u64);
    }

    pub fn state(self) -> SlotState {
        match self.get(STATE) {
            0 => SlotState::Free,
            1 => SlotState::Booting,
            2 => SlotState::Ready,
            _ => SlotState::Draining,
        }
    }

    pub fn is_free(self) -> bool {
        self.state() == SlotState::Free
    }

    /// Whether the child serves and does not drain.
    pub fn is_ready(self) -> bool {
        self.state() == SlotState::Ready
    }

    /// Says that the child's event loop turns. To be called at least once per second.
    pub fn beat(self) {
        self.set_heartbeat(monotonic_millis());
    }

    /// When the child's event loop last turned, in [`monotonic_millis`]; 0 is never.
    pub fn heartbeat(self) -> u64 {
        self.get(HEARTBEAT)
    }

    pub fn set_heartbeat(self, millis: u64) {
        self.put(HEARTBEAT, millis);
    }

    /// Open client connections.
    pub fn connections(self) -> usize {
        self.get(CONNECTIONS) as usize
    }

    pub fn set_connections(self, count: usize) {
        self.put(CONNECTIONS, count as u64);
    }

    /// As of the last turn of the event loop.
    pub fn connection_states(self) -> ConnectionStates {
        let [idle, reading, writing, away] =
            [0, 1, 2, 3].map(|index| self.get(CONNECTION_STATES + index));
        ConnectionStates {
            idle,
            reading,
            writing,
            away,
        }
    }

    pub fn set_connection_states(self, states: ConnectionStates) {
        let ConnectionStates {
            idle,
            reading,
            writing,
            away,
        } = states;
        for (index, count) in [idle, reading, writing, away].into_iter().enumerate() {
            self.put(CONNECTION_STATES + index, count);
        }
    }

    pub fn queue_figures(self) -> QueueFigures {
        let [waiting, service_nanos, interval_nanos, last_start] =
            [0, 1, 2, 3].map(|index| self.get(QUEUE + index));
        QueueFigures {
            waiting,
            service_nanos,
            interval_nanos,
            last_start,
        }
    }

    pub fn set_waiting(self, count: usize) {
        self.put(QUEUE, count as u64);
    }

    pub fn set_service_nanos(self, nanos: u64) {
        self.put(QUEUE + 1, nanos);
    }

    /// A request was taken up at `millis` of [`monotonic_millis`].
    pub fn set_start(self, interval_nanos: u64, millis: u64) {
        self.put(QUEUE + 2, interval_nanos);
        self.put(QUEUE + 3, millis);
    }

    /// Whether the child cannot accept because it has no descriptors left.
    pub fn lacks_descriptors(self) -> bool {
        self.get(LACKS_DESCRIPTORS) != 0
    }

    pub fn set_lacks_descriptors(self, lacks: bool) {
        self.put(LACKS_DESCRIPTORS, lacks.into());
    }

    /// How many of the request threads serve; the others are in reserve, and have the higher indexes. All of them
    /// until the child says otherwise.
    pub fn serving_threads(self) -> usize {
        match self.get(SERVING_THREADS) {
            0 => self.threads,
            count => (count as usize).min(self.threads),
        }
    }

    /// The number of serving threads that has been worth it, with which another child may begin; 0 if there is none.
    pub fn proven_threads(self) -> usize {
        self.get(PROVEN_THREADS) as usize
    }

    pub fn set_serving_threads(self, count: usize, proven: usize) {
        self.put(SERVING_THREADS, count as u64);
        self.put(PROVEN_THREADS, proven as u64);
    }

    /// The figures of the event loop: the responses that it ends, and the octets that it reads and sends. Only for the
    /// thread that leads.
    pub fn event_loop(self) -> ThreadStats<'a> {
        self.stats(0)
    }

    /// The figures of request thread `index`, which is less than [`MAX_THREADS`].
    pub fn thread(self, index: usize) -> ThreadStats<'a> {
        self.stats(1 + index)
    }

    /// The figures of all request threads that the child has.
    pub fn threads(self) -> impl Iterator<Item = ThreadStats<'a>> {
        (0..self.threads).map(move |index| self.thread(index))
    }

    /// The figures of the threads that serve. One that was put in reserve serves until its request is over.
    pub fn on_duty(self) -> impl Iterator<Item = ThreadStats<'a>> {
        let serving = self.serving_threads();
        let threads = self.threads().enumerate();
        threads.filter_map(move |(index, it)| (index < serving || !it.is_idle()).then_some(it))
    }

    /// Those of the event loop, and then of all threads.
    pub(super) fn all_stats(self) -> impl Iterator<Item = ThreadStats<'a>> {
        std::iter::once(self.event_loop()).chain(self.threads())
    }

    /// Forgets the child.
    pub(super) fn reset(self) {
        self.all_stats().for_each(ThreadStats::reset);
        let child = &self.words[..STATS_START];
        child
            .iter()
            .for_each(|word| word.store(0, Ordering::Relaxed));
    }

    fn stats(self, index: usize) -> ThreadStats<'a> {
        let words = self.words[STATS_START + index * STATS_WORDS..].first_chunk();
        ThreadStats::new(words.expect("an index below MAX_THREADS"))
    }

    fn get(self, index: usize) -> u64 {
        self.words[index].load(Ordering::Relaxed)
    }

    fn put(self, index: usize, value: u64) {
        self.words[index].store(value, Ordering::Relaxed);
    }
}

impl fmt::Debug for Slot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slot({:?})", &self.words[..STATS_START])
    }
}
