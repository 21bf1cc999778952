//! A slot: one child's part of the scoreboard.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::thread_stats::{STATS_WORDS, ThreadStats};
use super::{MAX_THREADS, PAGE};
use crate::clock::monotonic_millis;

/// Words per slot: those of the child, then those of each thread, up to the end of the page.
pub const SLOT_WORDS: usize = (THREADS_START + MAX_THREADS * STATS_WORDS).next_multiple_of(PAGE);

const KIND: usize = 0;
const STATE: usize = 1;
const HEARTBEAT: usize = 2;
const CONNECTIONS: usize = 3;
const LACKS_DESCRIPTORS: usize = 4;
const THREADS: usize = 5;
/// The next cache line.
const THREADS_START: usize = 8;

/// Where a child is in its life, as its siblings see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SlotState {
    Free = 0,
    Booting = 1,
    Ready = 2,
    Draining = 3,
}

/// A child's figures. Written by the child, except that the master claims and frees the slot.
#[derive(Clone, Copy)]
pub struct Slot<'a>(&'a [AtomicU64; SLOT_WORDS]);

impl<'a> Slot<'a> {
    /// The slot that is made of `words`.
    pub fn new(words: &'a [AtomicU64; SLOT_WORDS]) -> Self {
        Self(words)
    }

    /// The child's kind, as the number that the supervisor gives it.
    pub fn kind(self) -> u32 {
        self.0[KIND].load(Ordering::Relaxed) as u32
    }

    pub fn set_state(self, state: SlotState) {
        self.0[STATE].store(state as u64, Ordering::Relaxed);
    }

    pub fn is_free(self) -> bool {
        self.0[STATE].load(Ordering::Relaxed) == SlotState::Free as u64
    }

    /// Whether the child serves and does not drain.
    pub fn is_ready(self) -> bool {
        self.0[STATE].load(Ordering::Relaxed) == SlotState::Ready as u64
    }

    /// Says that the child's event loop turns. To be called at least once per second.
    pub fn beat(self) {
        self.set_heartbeat(monotonic_millis());
    }

    /// When the child's event loop last turned, in [`monotonic_millis`]; 0 is never.
    pub fn heartbeat(self) -> u64 {
        self.0[HEARTBEAT].load(Ordering::Relaxed)
    }

    pub fn set_heartbeat(self, millis: u64) {
        self.0[HEARTBEAT].store(millis, Ordering::Relaxed);
    }

    /// Open client connections.
    pub fn connections(self) -> usize {
        self.0[CONNECTIONS].load(Ordering::Relaxed) as usize
    }

    pub fn set_connections(self, count: usize) {
        self.0[CONNECTIONS].store(count as u64, Ordering::Relaxed);
    }

    /// Whether the child cannot accept because it has no descriptors left.
    pub fn lacks_descriptors(self) -> bool {
        self.0[LACKS_DESCRIPTORS].load(Ordering::Relaxed) != 0
    }

    pub fn set_lacks_descriptors(self, lacks: bool) {
        self.0[LACKS_DESCRIPTORS].store(lacks.into(), Ordering::Relaxed);
    }

    /// The figures of request thread `index`, which is less than [`MAX_THREADS`].
    pub fn thread(self, index: usize) -> ThreadStats<'a> {
        let words = self.0[THREADS_START + index * STATS_WORDS..].first_chunk();
        ThreadStats::new(words.expect("an index below MAX_THREADS"))
    }

    /// The figures of all request threads that the child has.
    pub fn threads(self) -> impl Iterator<Item = ThreadStats<'a>> {
        let count = self.0[THREADS].load(Ordering::Relaxed) as usize;
        (0..count.min(MAX_THREADS)).map(move |index| self.thread(index))
    }

    pub(super) fn claim(self, kind: u32, threads: usize) {
        self.0[KIND].store(kind.into(), Ordering::Relaxed);
        self.0[THREADS].store(threads as u64, Ordering::Relaxed);
        self.set_state(SlotState::Booting);
    }

    /// Forgets the child.
    pub(super) fn reset(self) {
        self.threads().for_each(ThreadStats::reset);
        let child = &self.0[..THREADS_START];
        child
            .iter()
            .for_each(|word| word.store(0, Ordering::Relaxed));
    }
}

impl fmt::Debug for Slot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slot({:?})", &self.0[..THREADS_START])
    }
}
