//! [`Settling`]: whether the generation that serves has settled, so that the outcome of its reload can be reported.

use std::time::{Duration, Instant};

/// A worker that ends by itself within this time after it was ready counts as one that failed to boot.
pub(super) const EARLY_EXIT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Settling {
    /// Generations up to this one have been reported.
    reported: u32,
    /// Workers of the serving generation that have failed since it was proven.
    failures: usize,
    /// All of its workers have been ready since then, and none has failed.
    quiet_since: Option<Instant>,
}

impl Default for Settling {
    fn default() -> Self {
        // The start is no reload.
        Self {
            reported: 1,
            failures: 0,
            quiet_since: None,
        }
    }
}

impl Settling {
    /// The next generation serves.
    pub(super) fn restart(&mut self) {
        (self.failures, self.quiet_since) = (0, None);
    }

    pub(super) fn is_reported(&self, generation: u32) -> bool {
        generation <= self.reported
    }

    pub(super) fn set_reported(&mut self, generation: u32) {
        self.reported = generation;
    }

    /// Another worker has failed; returns how many that are.
    pub(super) fn count_failure(&mut self) -> usize {
        self.quiet_since = None;
        self.failures += 1;
        self.failures
    }

    /// `is_complete` if all workers are ready. True when that has lasted for [`EARLY_EXIT`] without a failure.
    pub(super) fn check(&mut self, is_complete: bool, now: Instant) -> bool {
        if !is_complete {
            self.quiet_since = None;
            return false;
        }
        let since = *self.quiet_since.get_or_insert(now);
        now.saturating_duration_since(since) >= EARLY_EXIT
    }

    /// When the next check is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        Some(self.quiet_since? + EARLY_EXIT)
    }
}
