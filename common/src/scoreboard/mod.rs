//! The scoreboard: shared memory in which every child keeps the figures that others may need.
//!
//! One mapping, made by the master before it forks:
//!
//! ```text
//!   | server | slot 0: child, thread 0 .. thread 255 | slot 1 | .. | slot 511 |
//!     each on pages of its own: a child may write to those of its own slot only
//! ```
//!
//! A slot belongs to one child at a time, and a thread's part of it to one request thread of that child.
//! So every counter has a single writer and needs no lock. Pages that nobody touches take no memory;
//! therefore nothing here reads the words of threads that do not exist.
//!
//! It holds counters and times only: no pointer, no text and no decision of the supervisor. A child that
//! writes nonsense into its slot spoils its own figures, and one that writes elsewhere crashes
//! ([`Scoreboard::confine`]). Code in a child can lift that protection, so the master acts on nothing that it
//! reads here before the child has confirmed it over its own pipe.
//!
//! All accesses are relaxed, because each figure stands for itself: nobody concludes from one word what
//! another one holds. The two exceptions say so.

mod server_state;
mod slot;
mod thread_stats;
mod totals;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::shared_memory::SharedMemory;
use thread_stats::STATS_WORDS;

pub use server_state::ServerState;
pub use slot::{SLOT_WORDS, Slot, SlotState};
pub use thread_stats::{BUCKETS, ThreadStats, bucket_of, bucket_upper_bound};
pub use totals::Totals;

/// Children that can exist at one time, including those that drain while their replacement boots.
pub const MAX_SLOTS: usize = 512;

/// Request threads of one child.
pub const MAX_THREADS: usize = 256;

/// Words per page.
const PAGE: usize = 4096 / size_of::<AtomicU64>();

// The first page belongs to the master.
/// 1 while all workers of the server drain: nobody takes over connections.
const DESERTED: usize = 0;
/// One more than the highest slot that was ever claimed.
const USED_SLOTS: usize = 1;
/// Odd while [`Scoreboard::fold`] moves figures, so that a reader does not count them twice.
const FOLDING: usize = 2;
/// A [`ServerState`].
const STATE: usize = 3;
/// The sum of all children that are dead, on cache lines of its own.
const FOLDED: usize = 8;

/// The scoreboard of one server. Clones and forked copies are the same memory.
#[derive(Debug, Clone)]
pub struct Scoreboard(SharedMemory);

impl Scoreboard {
    pub fn new() -> io::Result<Self> {
        SharedMemory::new(PAGE + MAX_SLOTS * SLOT_WORDS).map(Self)
    }

    /// The slots that have been claimed so far, whether they are free again or not, in order.
    pub fn slots(&self) -> impl Iterator<Item = Slot<'_>> {
        let used = self.0[USED_SLOTS].load(Ordering::Relaxed) as usize;
        (0..used.min(MAX_SLOTS)).map(|index| self.slot(index))
    }

    /// Slot `index`, which is less than [`MAX_SLOTS`].
    pub fn slot(&self, index: usize) -> Slot<'_> {
        let words = self.0[PAGE + index * SLOT_WORDS..].first_chunk();
        Slot::new(words.expect("an index below MAX_SLOTS"))
    }

    /// Says whether all workers of the server are about to drain. To be called by the master before it tells
    /// them to: a worker that drains has to see it, therefore the ordering.
    pub fn set_deserted(&self, deserted: bool) {
        self.0[DESERTED].store(deserted.into(), Ordering::SeqCst);
    }

    /// Whether all workers drain, so that no sibling will take over a connection.
    pub fn is_deserted(&self) -> bool {
        self.0[DESERTED].load(Ordering::Acquire) != 0
    }

    /// For the master.
    pub fn set_server_state(&self, state: ServerState) {
        self.0[STATE].store(state as u64, Ordering::Relaxed);
    }

    pub fn server_state(&self) -> ServerState {
        ServerState::of(self.0[STATE].load(Ordering::Relaxed))
    }

    /// Prepares slot `index` for a child about to be forked. `kind` is the supervisor's number for its
    /// kind, `threads` the number of its request threads.
    pub fn claim(&self, index: usize, kind: u32, threads: usize) {
        self.slot(index).claim(kind, threads.min(MAX_THREADS));
        self.0[USED_SLOTS].fetch_max(index as u64 + 1, Ordering::Relaxed);
    }

    /// Makes everything but slot `index` read-only for this process, a child.
    pub fn confine(&self, index: usize) -> io::Result<()> {
        let start = PAGE + index * SLOT_WORDS;
        self.0.protect_all_but(start..start + SLOT_WORDS)
    }

    /// Adds the figures of a dead child to the running totals and frees its slot, so that no total ever
    /// goes backwards. For the master, when it has reaped the child.
    pub fn fold(&self, index: usize) {
        let (slot, folded) = (self.slot(index), self.folded());
        // A reader that sees a figure moved sees the count that is odd, or the next one: see `totals`.
        self.0[FOLDING].fetch_add(1, Ordering::Relaxed);
        fence(Ordering::Release);
        slot.threads().for_each(|thread| folded.absorb(thread));
        slot.reset();
        self.0[FOLDING].fetch_add(1, Ordering::Release);
    }

    /// Everything counted since the master started, by the living and the dead.
    pub fn totals(&self) -> Totals {
        loop {
            let before = self.0[FOLDING].load(Ordering::Acquire);
            let mut totals = Totals::default();
            totals.add(self.folded());
            for slot in self.slots().filter(|slot| !slot.is_free()) {
                slot.threads().for_each(|thread| totals.add(thread));
            }
            fence(Ordering::Acquire);
            let after = self.0[FOLDING].load(Ordering::Relaxed);
            if before == after && before.is_multiple_of(2) {
                return totals;
            }
            std::thread::yield_now();
        }
    }

    fn folded(&self) -> ThreadStats<'_> {
        let words = self.0[FOLDED..PAGE].first_chunk::<STATS_WORDS>();
        ThreadStats::new(words.expect("a page has room"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn totals_survive_the_child_that_made_them() {
        let board = Scoreboard::new().expect("a mapping");
        let slot = board.slot(3);
        board.claim(3, 0, 2);
        assert_eq!(board.slots().count(), 4);
        slot.thread(0).record(200, 10, Duration::from_micros(100));
        slot.thread(1).record(503, 5, Duration::from_millis(20));
        let living = board.totals();
        assert_eq!((living.requests, living.bytes_sent), (2, 15));

        board.fold(3);
        assert_eq!(board.totals(), living);
        assert!(slot.is_free());
        board.claim(3, 0, 2);
        assert_eq!(board.totals(), living, "the slot is empty again");
    }

    #[test]
    fn clones_share_the_memory() {
        let board = Scoreboard::new().expect("a mapping");
        board.clone().set_deserted(true);
        assert!(board.is_deserted());
        for state in [
            ServerState::Serving,
            ServerState::Draining,
            ServerState::Stopping,
            ServerState::HandingOver,
        ] {
            board.clone().set_server_state(state);
            assert_eq!(board.server_state(), state);
        }
    }
}
