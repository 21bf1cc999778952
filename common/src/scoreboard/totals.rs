//! The sum over seats, as plain numbers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::seat::{BUCKETS, Seat, bucket_upper_bound};

/// What any number of seats have counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Totals {
    pub requests: u64,
    pub status_classes: [u64; 6],
    pub bytes_sent: u64,
    pub latency: [u64; BUCKETS],
}

impl Default for Totals {
    fn default() -> Self {
        Self {
            requests: 0,
            status_classes: [0; 6],
            bytes_sent: 0,
            latency: [0; BUCKETS],
        }
    }
}

impl Totals {
    pub fn add(&mut self, seat: &Seat) {
        self.requests += seat.requests.load(Ordering::Relaxed);
        self.bytes_sent += seat.bytes_sent.load(Ordering::Relaxed);
        add_all(&mut self.status_classes, &seat.status_classes);
        add_all(&mut self.latency, &seat.latency);
    }

    /// The latency that a share `p` (0 to 1) of the requests stayed below, to the width of a
    /// bucket; nothing when there was no request.
    pub fn quantile(&self, p: f64) -> Option<Duration> {
        let count: u64 = self.latency.iter().sum();
        if count == 0 {
            return None;
        }
        // Rounding up makes the median of two the first one, and p = 0 the fastest.
        let rank = ((count as f64 * p.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut seen = 0;
        let bucket = self.latency.iter().position(|requests| {
            seen += requests;
            seen >= rank
        });
        Some(Duration::from_micros(bucket_upper_bound(
            bucket.unwrap_or(BUCKETS - 1),
        )))
    }
}

fn add_all(sums: &mut [u64], counters: &[AtomicU64]) {
    for (sum, counter) in sums.iter_mut().zip(counters) {
        *sum += counter.load(Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoreboard::bucket_of;

    #[test]
    fn quantiles_are_the_upper_bounds_of_their_buckets() {
        let mut totals = Totals::default();
        assert_eq!(totals.quantile(0.5), None);
        totals.latency[bucket_of(100)] = 98;
        totals.latency[bucket_of(9_000)] = 2;
        assert_eq!(totals.quantile(0.5), Some(Duration::from_micros(112)));
        assert_eq!(totals.quantile(0.98), Some(Duration::from_micros(112)));
        assert_eq!(totals.quantile(0.99), Some(Duration::from_micros(10_240)));
    }
}
