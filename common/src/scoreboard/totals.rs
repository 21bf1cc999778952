//! Sums over request threads, as plain numbers.

use super::thread_stats::{BUCKETS, ThreadStats};

/// What any number of threads have counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Totals {
    pub requests: u64,
    pub bytes_sent: u64,
    /// As [`ThreadStats::status_classes`].
    pub status_classes: [u64; 6],
    /// As [`ThreadStats::latency`].
    pub latency: [u64; BUCKETS],
}

impl Default for Totals {
    fn default() -> Self {
        Self {
            requests: 0,
            bytes_sent: 0,
            status_classes: [0; 6],
            latency: [0; BUCKETS],
        }
    }
}

impl Totals {
    pub(super) fn add(&mut self, thread: ThreadStats<'_>) {
        self.requests += thread.requests();
        self.bytes_sent += thread.bytes_sent();
        add_all(&mut self.status_classes, thread.status_classes());
        add_all(&mut self.latency, thread.latency());
    }
}

fn add_all(sums: &mut [u64], counts: impl Iterator<Item = u64>) {
    sums.iter_mut()
        .zip(counts)
        .for_each(|(sum, count)| *sum += count);
}
