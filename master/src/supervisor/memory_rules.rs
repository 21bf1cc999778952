//! [`MemoryRules`]: when a worker may be replaced for its memory.

use std::time::{Duration, Instant};

/// A worker that asks earlier than this after it was ready would be followed by another that asks.
pub(super) const YOUNG: Duration = Duration::from_secs(60);
/// The time between two replacements, once that has happened, or if all processes together are too large.
const PAUSE: Duration = Duration::from_secs(60);
/// How long that is remembered.
const MEMORY: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
pub(super) struct MemoryRules {
    /// What the processes use that the supervisor does not know: the master and the molds.
    pub(super) others: u64,
    /// When the last replacement for memory began.
    last: Option<Instant>,
    /// When a young worker last asked.
    young_at: Option<Instant>,
    /// Replacements because of the total since that was last below its limit.
    in_row: usize,
}

impl MemoryRules {
    pub(super) fn set_others(&mut self, bytes: u64) {
        self.others = bytes;
    }

    /// Settings have been read again, perhaps with other limits.
    pub(super) fn forget(&mut self) {
        (self.last, self.young_at, self.in_row) = (None, None, 0);
    }

    pub(super) fn begin(&mut self, now: Instant) {
        self.last = Some(now);
    }

    /// When the next worker that has asked may be replaced, if that is later than `now`.
    pub(super) fn not_before(&self, now: Instant) -> Option<Instant> {
        self.young_at
            .filter(|&at| now.saturating_duration_since(at) < MEMORY)?;
        self.last.map(|last| last + PAUSE).filter(|&at| at > now)
    }

    /// Whether it is news that a young worker asks.
    pub(super) fn note_young(&mut self, now: Instant) -> bool {
        let known = self.young_at.replace(now);
        known.is_none_or(|at| now.saturating_duration_since(at) >= MEMORY)
    }

    /// Whether it is too early for another replacement because of the total.
    pub(super) fn is_early(&self, now: Instant) -> bool {
        self.last.is_some_and(|last| last + PAUSE > now)
    }

    /// All processes together are below their limit.
    pub(super) fn set_below(&mut self) {
        self.in_row = 0;
    }

    /// They are above it, and one more worker is replaced; returns how many that are since they were below.
    pub(super) fn count_above(&mut self) -> usize {
        self.in_row += 1;
        self.in_row
    }
}
