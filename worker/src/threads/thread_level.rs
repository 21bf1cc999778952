//! What a number of threads has done while requests waited.

use std::time::Duration;

/// A rate of nothing in this time is no accident.
const HELD: Duration = Duration::from_secs(1);
/// A rate is known when so many of the longest calls would have ended one after the other.
const LONGEST_CALLS: u32 = 2;
/// Calls that are less than so many times as long as the average are not long ones among short ones.
const MUCH_LONGER: f64 = 4.0;
/// In threads: what is needed does not creep up from one vain attempt to the next.
const MEASURING_ERROR: f64 = 0.25;

#[derive(Debug, Clone, Copy)]
pub(super) struct ThreadLevel {
    pub(super) threads: usize,
    pub(super) time: Duration,
    pub(super) calls: f64,
    /// The age of the oldest call that was seen.
    longest: Duration,
}

impl ThreadLevel {
    pub(super) fn of(threads: usize) -> Self {
        Self {
            threads,
            time: Duration::ZERO,
            calls: 0.0,
            longest: Duration::ZERO,
        }
    }

    /// Requests have waited for `time`, in which so many `calls` ended. What is older than `memory` counts less and less.
    pub(super) fn note(&mut self, time: Duration, calls: u64, memory: Duration) {
        self.time += time;
        self.calls += calls as f64;
        if self.time > memory {
            self.time /= 2;
            self.calls /= 2.0;
        }
    }

    /// A call that has not ended is so old.
    pub(super) fn note_age(&mut self, age: Duration) {
        self.longest = self.longest.max(age);
    }

    /// Nothing gets done: all threads are held by long calls, and one more would serve, whatever was measured before.
    pub(super) fn is_held(&self) -> bool {
        self.calls < 1.0 && self.time >= HELD
    }

    /// Whether the rate does not depend on a few long calls among short ones.
    pub(super) fn is_sure(&self) -> bool {
        let average = self.threads as f64 / self.rate().max(1e-9);
        let are_alike = self.longest.as_secs_f64() < MUCH_LONGER * average;
        are_alike || self.time >= LONGEST_CALLS * self.longest
    }

    /// The threads that would serve as many requests if they did not get in each other's way.
    pub(super) fn needed(&self, base: &Self) -> usize {
        let gain = (self.rate() / base.rate()).max(1.0);
        let needed = (base.threads as f64 * gain - MEASURING_ERROR).ceil();
        (needed as usize).min(self.threads)
    }

    pub(super) fn rate(&self) -> f64 {
        self.calls / self.time.as_secs_f64().max(1e-9)
    }
}
