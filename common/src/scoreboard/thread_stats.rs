//! The figures of one request thread, and the scale of its latency histogram.
//!
//! Only the thread itself writes them, so an addition is a load and a store without a lock prefix. A reader
//! sees each counter whole, but not all of them at one instant.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets of the latency histogram: four per power of two of microseconds, the last from 29 s up.
pub const BUCKETS: usize = 96;

/// Words per thread: whole cache lines, so that no two threads write to the same one.
pub(super) const STATS_WORDS: usize = (LATENCY + BUCKETS).next_multiple_of(64 / size_of::<u64>());

const STARTED: usize = 0;
const REQUESTS: usize = 1;
const BYTES_SENT: usize = 2;
const STATUS_CLASSES: usize = 3;
const LATENCY: usize = STATUS_CLASSES + 6;

/// One request thread's figures.
#[derive(Clone, Copy)]
pub struct ThreadStats<'a>(&'a [AtomicU64; STATS_WORDS]);

impl<'a> ThreadStats<'a> {
    pub(super) fn new(words: &'a [AtomicU64; STATS_WORDS]) -> Self {
        Self(words)
    }

    /// The thread takes up a request, at `millis` of [`crate::clock::monotonic_millis`].
    pub fn begin(self, millis: u64) {
        self.0[STARTED].store(millis, Ordering::Relaxed);
    }

    /// The thread is idle again.
    pub fn end(self) {
        self.begin(0);
    }

    pub fn is_idle(self) -> bool {
        self.0[STARTED].load(Ordering::Relaxed) == 0
    }

    /// Counts one response. Only for the thread itself.
    pub fn record(self, status: u16, bytes: u64, latency: Duration) {
        let class = match status / 100 {
            class @ 1..=5 => class as usize,
            _ => 0,
        };
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.add(REQUESTS, 1);
        self.add(BYTES_SENT, bytes);
        self.add(STATUS_CLASSES + class, 1);
        self.add(LATENCY + bucket_of(micros), 1);
    }

    pub fn requests(self) -> u64 {
        self.0[REQUESTS].load(Ordering::Relaxed)
    }

    pub fn bytes_sent(self) -> u64 {
        self.0[BYTES_SENT].load(Ordering::Relaxed)
    }

    /// Responses by the first digit of their status; 0 is for a status that HTTP does not define.
    pub fn status_classes(self) -> impl Iterator<Item = u64> {
        let words = self.0[STATUS_CLASSES..LATENCY].iter();
        words.map(|word| word.load(Ordering::Relaxed))
    }

    /// Requests by [`bucket_of`] their latency.
    pub fn latency(self) -> impl Iterator<Item = u64> {
        let words = self.0[LATENCY..LATENCY + BUCKETS].iter();
        words.map(|word| word.load(Ordering::Relaxed))
    }

    /// Adds the counters of `other`. The caller is the only one who writes to these.
    pub(super) fn absorb(self, other: ThreadStats<'_>) {
        for index in REQUESTS..STATS_WORDS {
            self.add(index, other.0[index].load(Ordering::Relaxed));
        }
    }

    pub(super) fn reset(self) {
        self.0
            .iter()
            .for_each(|word| word.store(0, Ordering::Relaxed));
    }

    fn add(self, index: usize, amount: u64) {
        let word = &self.0[index];
        let value = word.load(Ordering::Relaxed).wrapping_add(amount);
        word.store(value, Ordering::Relaxed);
    }
}

impl fmt::Debug for ThreadStats<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ThreadStats({} requests)", self.requests())
    }
}

/// The bucket that `micros` falls into: exact below four, then four equal parts per power of two.
pub fn bucket_of(micros: u64) -> usize {
    if micros < 4 {
        return micros as usize;
    }
    let power = micros.ilog2();
    let quarter = (micros >> (power - 2)) & 3;
    let bucket = (power as usize - 1) * 4 + quarter as usize;
    bucket.min(BUCKETS - 1)
}

/// The first number of microseconds above bucket `bucket`. The last bucket has no bound of its own:
/// its nominal one is given.
pub fn bucket_upper_bound(bucket: usize) -> u64 {
    let next = bucket.min(BUCKETS - 1) as u64 + 1;
    if next < 4 {
        return next;
    }
    (4 + next % 4) << (next / 4 - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_latency_falls_below_the_bound_of_its_bucket_and_not_below_the_one_before() {
        let samples = (0..5000)
            .chain((5..25).map(|power| (1 << power) - 1))
            .chain([30_000_000]);
        for micros in samples {
            let bucket = bucket_of(micros);
            assert!(micros < bucket_upper_bound(bucket), "{micros}");
            assert!(
                bucket == 0 || micros >= bucket_upper_bound(bucket - 1),
                "{micros}"
            );
        }
    }

    #[test]
    fn the_last_bucket_takes_everything_that_is_slower() {
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
        assert_eq!(bucket_upper_bound(BUCKETS - 2), 29_360_128);
    }
}
