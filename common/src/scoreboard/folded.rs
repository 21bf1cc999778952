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
//!
//! The whole side of another master that is gone is folded in the same way.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use super::restart_reason::RestartReason;
use super::scaling_cause::ScalingCause;
use super::totals::{RELOADS, RESTARTS, SCALINGS, SUMS_WORDS, Totals};

/// Words of both copies.
pub(super) const FOLDED_WORDS: usize = 2 * SUMS_WORDS;

/// What does not count, because it is in the sums already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Released {
    Nothing,
    Slot(usize),
    /// All that the other side has.
    OtherSide,
}

/// The word. Bit 0: the copy that counts; then what does not count; the rest is a serial number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FoldState(u64);

const RELEASED_BITS: u32 = 16;
const RELEASED_MASK: u64 = (1 << RELEASED_BITS) - 1;

impl FoldState {
    fn copy(self) -> usize {
        (self.0 & 1) as usize
    }

    pub(super) fn released(self) -> Released {
        match (self.0 >> 1) & RELEASED_MASK {
            0 => Released::Nothing,
            RELEASED_MASK => Released::OtherSide,
            number => Released::Slot(number as usize - 1),
        }
    }

    fn next(self, copy: usize, released: Released) -> Self {
        let serial = (self.0 >> (1 + RELEASED_BITS)).wrapping_add(1);
        let number = match released {
            Released::Nothing => 0,
            Released::Slot(slot) => slot as u64 + 1,
            Released::OtherSide => RELEASED_MASK,
        };
        Self(serial << (1 + RELEASED_BITS) | number << 1 | copy as u64)
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

    /// Adds `dead`, which is what `released` has counted; `reset` empties that.
    pub(super) fn absorb(self, released: Released, dead: &Totals, reset: impl FnOnce()) {
        let state = self.state();
        let mut sums = self.sums(state);
        sums.merge(dead);
        let without = state.next(1 - state.copy(), released);
        sums.store(self.copy(without));
        self.set_state(without);
        // Who sees that it is empty sees that it does not count.
        fence(Ordering::Release);
        reset();
        self.set_state(without.next(without.copy(), Released::Nothing));
    }

    /// The sums as of `state`.
    pub(super) fn sums(self, state: FoldState) -> Totals {
        let mut sums = Totals::default();
        sums.add(self.copy(state));
        sums
    }

    pub(super) fn count_restart(self, reason: RestartReason) {
        self.add_one(RESTARTS + reason as usize);
    }

    pub(super) fn count_reload(self, succeeded: bool) {
        self.add_one(RELOADS + usize::from(!succeeded));
    }

    pub(super) fn count_scaling(self, cause: ScalingCause) {
        self.add_one(SCALINGS + cause as usize);
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
    pub(super) fn state(self) -> FoldState {
        FoldState(self.state.load(Ordering::Acquire))
    }

    fn set_state(self, state: FoldState) {
        self.state.store(state.0, Ordering::Release);
    }
}
