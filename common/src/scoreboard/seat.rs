//! A seat: what one request thread counts, and the scale of its latency histogram.
//!
//! Only the thread that owns the seat writes to it, so an addition is a load and a store without a
//! lock prefix; whoever reads sees each counter whole, but not all of them at one instant.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets of the latency histogram: four a power of two of microseconds, the last from 29 s up.
pub const BUCKETS: usize = 96;

/// One request thread, single writer.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Seat {
    /// When the request in hand began, in milliseconds of [`super::now_millis`]; 0 is an idle thread.
    pub started: AtomicU64,
    pub requests: AtomicU64,
    /// Responses by the first digit of their status; 0 is none that HTTP knows.
    pub status_classes: [AtomicU64; 6],
    pub bytes_sent: AtomicU64,
    /// Requests by [`bucket_of`] their latency.
    pub latency: [AtomicU64; BUCKETS],
}

impl Seat {
    /// Counts one response. Only for the thread that owns the seat.
    pub fn record(&self, status: u16, bytes: u64, latency: Duration) {
        let class = match status / 100 {
            class @ 1..=5 => class as usize,
            _ => 0,
        };
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        add(&self.requests, 1);
        add(&self.status_classes[class], 1);
        add(&self.bytes_sent, bytes);
        add(&self.latency[bucket_of(micros)], 1);
    }

    /// Adds the counters of `other`; the caller is this seat's single writer.
    pub(super) fn absorb(&self, other: &Seat) {
        for (own, its) in self.counters().zip(other.counters()) {
            add(own, its.load(Ordering::Relaxed));
        }
    }

    pub(super) fn reset(&self) {
        self.started.store(0, Ordering::Relaxed);
        self.counters()
            .for_each(|counter| counter.store(0, Ordering::Relaxed));
    }

    fn counters(&self) -> impl Iterator<Item = &AtomicU64> {
        [&self.requests, &self.bytes_sent]
            .into_iter()
            .chain(&self.status_classes)
            .chain(&self.latency)
    }
}

/// The bucket that `micros` falls into: exact below four, then four equal parts a power of two.
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

fn add(counter: &AtomicU64, amount: u64) {
    let value = counter.load(Ordering::Relaxed).wrapping_add(amount);
    counter.store(value, Ordering::Relaxed);
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
