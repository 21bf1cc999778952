//! Sums over threads, and what the master counts, as plain numbers.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::counters::{
    BUCKETS, COUNT, COUNTERS, DURATION_BUCKETS, LATENCY, RECEIVED, REFUSALS, RESPONSES, SENT, Timed,
};
use super::refusal_reason::RefusalReason;
use super::response_class::{CLASSES, method_and_code};
use super::restart_reason::RestartReason;
use super::scaling_cause::ScalingCause;
use super::slot::Slot;

// What the master counts, behind what threads count.
pub(super) const RESTARTS: usize = COUNTERS;
/// Those that have succeeded, and those that have failed.
pub(super) const RELOADS: usize = RESTARTS + RestartReason::ALL.len();
pub(super) const SCALINGS: usize = RELOADS + 2;
/// Words of all sums: whole cache lines.
pub(super) const SUMS_WORDS: usize = (SCALINGS + ScalingCause::ALL.len()).next_multiple_of(8);

/// What any number of threads have counted. A sum that would be too large is the largest number: a child may have
/// written nonsense, and no total may fall.
#[derive(Clone, PartialEq, Eq)]
pub struct Totals(Box<[u64; SUMS_WORDS]>);

impl Default for Totals {
    fn default() -> Self {
        Self(Box::new([0; SUMS_WORDS]))
    }
}

impl Totals {
    pub(super) fn add(&mut self, counters: &[AtomicU64]) {
        for (sum, counter) in self.0.iter_mut().zip(counters) {
            *sum = sum.saturating_add(counter.load(Ordering::Relaxed));
        }
    }

    /// Adds what the threads and the event loop of a child have counted.
    pub(super) fn add_child(&mut self, child: Slot<'_>) {
        for stats in child.all_stats() {
            self.add(stats.counters());
        }
    }

    /// Adds `other`.
    pub fn merge(&mut self, other: &Self) {
        for (sum, count) in self.0.iter_mut().zip(other.0.iter()) {
            *sum = sum.saturating_add(*count);
        }
    }

    pub(super) fn store(&self, counters: &[AtomicU64]) {
        for (counter, sum) in counters.iter().zip(self.0.iter()) {
            counter.store(*sum, Ordering::Relaxed);
        }
    }

    /// Workers that were replaced for this reason.
    pub fn restarts(&self, reason: RestartReason) -> u64 {
        self.0[RESTARTS + reason as usize]
    }

    /// Requests that the server has refused for this reason.
    pub fn refusals(&self, reason: RefusalReason) -> u64 {
        self.0[REFUSALS + reason as usize]
    }

    /// Reloads that have succeeded, and those that have failed.
    pub fn reloads(&self) -> (u64, u64) {
        (self.0[RELOADS], self.0[RELOADS + 1])
    }

    /// Decisions of automatic scaling for this reason.
    pub fn scalings(&self, cause: ScalingCause) -> u64 {
        self.0[SCALINGS + cause as usize]
    }

    /// Octets of responses, heads included.
    pub fn sent_octets(&self) -> u64 {
        self.0[SENT]
    }

    /// Octets of requests, heads included.
    pub fn received_octets(&self) -> u64 {
        self.0[RECEIVED]
    }

    /// Method and code of responses, and how many there were: only those that there were. `other` stands for
    /// what no RFC knows, and of such a code there is the first digit only, or 0.
    pub fn responses(&self) -> impl Iterator<Item = (&'static str, u16, u64)> {
        let counts = self.0[RESPONSES..RESPONSES + CLASSES].iter().enumerate();
        counts
            .filter(|&(_, &count)| count > 0)
            .filter_map(|(class, &count)| {
                method_and_code(class).map(|(method, code)| (method, code, count))
            })
    }

    /// All responses.
    pub fn requests(&self) -> u64 {
        self.0[COUNT]
    }

    /// Responses with a 5xx status.
    pub fn errors(&self) -> u64 {
        let errors = self.responses().filter(|(_, code, _)| is_error(*code));
        errors.fold(0, |sum, (_, _, count)| sum.saturating_add(count))
    }

    /// Counts per bucket of [`super::DURATION_BOUNDS`], and above the last bound.
    pub fn times(&self, timed: Timed) -> &[u64] {
        &self.0[timed.buckets()..][..DURATION_BUCKETS]
    }

    /// In microseconds.
    pub fn sum(&self, timed: Timed) -> u64 {
        self.0[timed.sum()]
    }

    /// Requests by [`super::bucket_of`] their latency.
    pub fn latency(&self) -> &[u64] {
        &self.0[LATENCY..LATENCY + BUCKETS]
    }
}

impl fmt::Debug for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let responses: Vec<_> = self.responses().collect();
        write!(f, "Totals({responses:?})")
    }
}

/// Whether a code of [`Totals::responses`] is 5xx.
fn is_error(code: u16) -> bool {
    code >= 500 || code == 5
}
