//! The sums of all children that are dead, and what the master itself counts.
//!
//! The master adds a dead child and empties its slot. A reader that adds up everything meanwhile, perhaps in another
//! process, must see the child's figures once: in the slot or in the sums. And the master may be killed at any
//! instruction, while readers of another master go on. So there are two copies of the sums, and one word that says
//! which of them counts and which slot does not:
//!
//! ```text
//!   1. the other copy becomes the sums and the child
//!   2. the word: the other copy counts, the slot does not     <- the one moment in which anything changes
//!   3. the slot is emptied
//!   4. the word: all slots count
//! ```

use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::thread;

use super::counters::COUNTERS;
use super::restart_reason::RestartReason;
use super::slot::Slot;
use super::totals::{RELOADS, RESTARTS, SUMS_WORDS, Totals};

/// Words of both copies.
pub(super) const FOLDED_WORDS: usize = 2 * SUMS_WORDS;

/// How often a reader begins again. Children would have to die faster than figures can be added up.
const ATTEMPTS: usize = 1000;

/// The word. Bit 0: the copy that counts; then one more than the slot that does not count; the rest is a serial number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FoldState(u64);

const SLOT_BITS: u32 = 16;

impl FoldState {
    fn copy(self) -> usize {
        (self.0 & 1) as usize
    }

    fn released(self) -> Option<usize> {
        let number = (self.0 >> 1) & ((1 << SLOT_BITS) - 1);
        number.checked_sub(1).map(|slot| slot as usize)
    }

    fn next(self, copy: usize, released: Option<usize>) -> Self {
        let serial = (self.0 >> (1 + SLOT_BITS)).wrapping_add(1);
        let number = released.map_or(0, |slot| slot as u64 + 1);
        Self(serial << (1 + SLOT_BITS) | number << 1 | copy as u64)
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Folded<'a> {
    state: &'a AtomicU64,
    copies: &'a [AtomicU64; FOLDED_WORDS],
}

impl<'a> Folded<'a> {
    pub(super) fn new(state: &'a AtomicU64, copies: &'a [AtomicU64; FOLDED_WORDS]) -> Self {
        Self { state, copies }
    }

    /// Adds what the child in slot `index` has counted, if that counts; `reset` empties the slot.
    pub(super) fn absorb(self, index: usize, counts: Option<Slot<'_>>, reset: impl FnOnce()) {
        let state = self.state();
        let mut sums = Totals::default();
        sums.add(self.copy(state));
        if let Some(slot) = counts {
            sums.add_child(slot);
        }
        let without = state.next(1 - state.copy(), Some(index));
        sums.store(self.copy(without));
        self.set_state(without);
        // Who sees that the slot is empty sees that it does not count.
        fence(Ordering::Release);
        reset();
        self.set_state(without.next(without.copy(), None));
    }

    /// The sums, and what `add` adds: everything but the slot that it is given.
    pub(super) fn read(self, add: impl Fn(Option<usize>, &mut Totals)) -> Totals {
        let mut attempt = 0;
        loop {
            let before = self.state();
            let mut totals = Totals::default();
            totals.add(self.copy(before));
            add(before.released(), &mut totals);
            fence(Ordering::Acquire);
            attempt += 1;
            if self.state() == before || attempt == ATTEMPTS {
                return totals;
            }
            thread::yield_now();
        }
    }

    pub(super) fn count_restart(self, reason: RestartReason) {
        self.add_one(RESTARTS + reason as usize);
    }

    pub(super) fn count_reload(self, succeeded: bool) {
        self.add_one(RELOADS + usize::from(!succeeded));
    }

    fn add_one(self, index: usize) {
        let word = &self.copy(self.state())[index];
        let value = word.load(Ordering::Relaxed).saturating_add(1);
        word.store(value, Ordering::Relaxed);
    }

    fn copy(self, state: FoldState) -> &'a [AtomicU64] {
        &self.copies[state.copy() * SUMS_WORDS..][..SUMS_WORDS]
    }

    /// Acquire and release: who sees a state sees the copy of the sums that counts.
    fn state(self) -> FoldState {
        FoldState(self.state.load(Ordering::Acquire))
    }

    fn set_state(self, state: FoldState) {
        self.state.store(state.0, Ordering::Release);
    }
}

const _: () = assert!(SUMS_WORDS >= COUNTERS);
