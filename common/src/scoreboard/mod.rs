//! The scoreboard: shared memory in which every child keeps what the others may need to know of it.
//!
//! One anonymous mapping, made by the master before it forks and inherited by every child:
//!
//! ```text
//!   | header | slot 0: pid, heartbeat, seat 0 .. seat 255 | slot 1 | ... | slot 511 |
//!     every one on pages of its own: a child may write to those of its slot alone
//! ```
//!
//! A slot belongs to one child at a time, a seat to one request thread of that child, so that every
//! counter has a single writer and needs no lock. The mapping is not reserved: what no child
//! touches costs nothing, which is why nothing here walks over seats that no thread uses. (Reading
//! an untouched page of shared memory allocates it just as writing does.)
//!
//! It holds counters and times only. No pointer, no text and no decision of the supervisor: a child
//! that writes rubbish into its slot spoils its own figures, and one that writes elsewhere crashes
//! ([`Scoreboard::confine`]). As code can undo that, the master believes nothing of a child's slot that
//! the child has not confirmed by its own pipe.

mod seat;
mod totals;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::sys::Mapping;

pub use seat::{BUCKETS, Seat, bucket_of, bucket_upper_bound};
pub use totals::Totals;

/// Children that can exist at one time, those that drain while their replacement boots included.
pub const MAX_SLOTS: usize = 512;

/// Request threads of one child.
pub const MAX_THREADS: usize = 256;

/// What [`Slot::state`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum SlotState {
    Free = 0,
    Booting = 1,
    Ready = 2,
    Draining = 3,
}

/// What concerns the whole server. Written by the master only.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct Header {
    /// 1 from before all workers drain, at the end or for SIGWINCH: a worker that sees it knows that no
    /// sibling will take over its idle connections.
    pub deserted: AtomicU32,
    /// One more than the highest slot ever claimed.
    used_slots: AtomicU32,
    /// Odd while [`Scoreboard::fold`] moves figures, so that a reader does not count them twice.
    folding: AtomicU32,
    /// The sum of all children that are dead. Only its counters are used.
    folded: Seat,
}

/// What concerns one child.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct Slot {
    /// 0 when the slot is free.
    pub pid: AtomicU32,
    /// The child's kind as the number the supervisor gives it.
    pub kind: AtomicU32,
    pub generation: AtomicU32,
    /// One of [`SlotState`].
    pub state: AtomicU32,
    /// Milliseconds of `CLOCK_MONOTONIC` at the last beat; 0 is a child that has not beaten yet.
    pub heartbeat: AtomicU64,
    /// Open client connections.
    pub connections: AtomicU32,
    /// Not zero while it cannot accept for want of descriptors.
    pub lacks_descriptors: AtomicU32,
    /// How many of the seats the child's threads may touch.
    pub threads: AtomicU32,
    pub seats: [Seat; MAX_THREADS],
}

/// The layout of the mapping. All zero is its valid first state.
#[repr(C)]
pub(crate) struct Board {
    header: Header,
    slots: [Slot; MAX_SLOTS],
}

/// The mapping; clones and forked copies are the same memory.
#[derive(Clone)]
pub struct Scoreboard(Arc<Mapping<Board>>);

impl Scoreboard {
    pub fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(Mapping::new()?)))
    }

    pub fn header(&self) -> &Header {
        &self.0.header
    }

    /// The slots that have been claimed so far, free again or not.
    pub fn slots(&self) -> &[Slot] {
        let used = self.header().used_slots.load(Ordering::Relaxed) as usize;
        &self.0.slots[..used.min(MAX_SLOTS)]
    }

    /// Slot `index`, which is less than [`MAX_SLOTS`].
    pub fn slot(&self, index: usize) -> &Slot {
        &self.0.slots[index]
    }

    /// Prepares slot `index` for a child about to be forked. `kind` is the supervisor's number for
    /// its kind, `threads` how many seats its threads will use.
    pub fn claim(&self, index: usize, kind: u32, generation: u32, threads: usize) {
        let slot = self.slot(index);
        slot.kind.store(kind, Ordering::Relaxed);
        slot.generation.store(generation, Ordering::Relaxed);
        slot.threads
            .store(threads.min(MAX_THREADS) as u32, Ordering::Relaxed);
        slot.set_state(SlotState::Booting);
        self.header()
            .used_slots
            .fetch_max(index as u32 + 1, Ordering::Relaxed);
    }

    /// Lets this process, a child, write to slot `index` only, and read the rest.
    pub fn confine(&self, index: usize) -> io::Result<()> {
        let start = std::mem::offset_of!(Board, slots) + index * size_of::<Slot>();
        self.0.protect_all_but(start..start + size_of::<Slot>())
    }

    /// Adds what a dead child counted to the running totals and frees its slot, so that the sum
    /// never goes backwards. For the master, when it has reaped the child.
    pub fn fold(&self, index: usize) {
        let (header, slot) = (self.header(), self.slot(index));
        header.folding.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::Release);
        for seat in slot.used_seats() {
            header.folded.absorb(seat);
        }
        slot.reset();
        header.folding.fetch_add(1, Ordering::Release);
    }

    /// Everything counted since the master started, by the living and the dead.
    pub fn totals(&self) -> Totals {
        let header = self.header();
        loop {
            let before = header.folding.load(Ordering::Acquire);
            let mut totals = Totals::default();
            totals.add(&header.folded);
            for slot in self.slots().iter().filter(|slot| !slot.is_free()) {
                slot.used_seats().iter().for_each(|seat| totals.add(seat));
            }
            fence(Ordering::Acquire);
            let after = header.folding.load(Ordering::Relaxed);
            if before == after && before.is_multiple_of(2) {
                return totals;
            }
            std::thread::yield_now();
        }
    }
}

impl fmt::Debug for Scoreboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scoreboard").finish_non_exhaustive()
    }
}

impl Slot {
    pub fn set_state(&self, state: SlotState) {
        self.state.store(state as u32, Ordering::Relaxed);
    }

    /// Says that the child lives. At least once a second, by the thread whose stall matters.
    pub fn beat(&self) {
        self.heartbeat.store(now_millis(), Ordering::Relaxed);
    }

    /// Forgets the child.
    pub fn reset(&self) {
        self.used_seats().iter().for_each(Seat::reset);
        for word in [&self.pid, &self.kind, &self.generation, &self.state] {
            word.store(0, Ordering::Relaxed);
        }
        for word in [&self.connections, &self.lacks_descriptors, &self.threads] {
            word.store(0, Ordering::Relaxed);
        }
        self.heartbeat.store(0, Ordering::Relaxed);
    }

    pub fn is_free(&self) -> bool {
        self.state.load(Ordering::Relaxed) == SlotState::Free as u32
    }

    /// The seats that the child's threads may have touched.
    pub fn used_seats(&self) -> &[Seat] {
        let threads = self.threads.load(Ordering::Relaxed) as usize;
        &self.seats[..threads.min(MAX_THREADS)]
    }
}

/// Milliseconds of `CLOCK_MONOTONIC`, the clock of heartbeats: the same in every process.
pub fn now_millis() -> u64 {
    // The clock exists on every Linux (clock_gettime(2)); 0 would only read as "not beating yet".
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map(|time| Duration::from(time).as_millis())
        .ok()
        .and_then(|millis| u64::try_from(millis).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_survive_the_child_that_made_them() {
        let board = Scoreboard::new().expect("a mapping");
        let slot = board.slot(3);
        board.claim(3, 0, 1, 2);
        assert_eq!(board.slots().len(), 4);
        slot.pid.store(4711, Ordering::Relaxed);
        slot.seats[0].record(200, 10, Duration::from_micros(100));
        slot.seats[1].record(503, 5, Duration::from_millis(20));
        let living = board.totals();
        assert_eq!((living.requests, living.bytes_sent), (2, 15));

        board.fold(3);
        assert_eq!(board.totals(), living);
        assert_eq!(slot.pid.load(Ordering::Relaxed), 0);
        assert_eq!(slot.seats[0].requests.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn clones_share_the_memory() {
        let board = Scoreboard::new().expect("a mapping");
        board.clone().header().deserted.store(1, Ordering::Relaxed);
        assert_eq!(board.header().deserted.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn seats_keep_to_their_own_cache_lines() {
        assert_eq!(size_of::<Seat>() % 64, 0);
        assert_eq!(std::mem::offset_of!(Slot, seats) % 64, 0);
        assert_eq!(std::mem::offset_of!(Board, slots) % 64, 0);
    }

    #[test]
    fn the_clock_goes_forwards() {
        let first = now_millis();
        assert!(first > 0 && now_millis() >= first);
    }
}
