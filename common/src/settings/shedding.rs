//! The settings of load shedding.

use std::time::Duration;

/// When the server refuses a request that would have to wait. Zero is never.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SheddingSettings {
    /// The longest time that a request waits for a thread.
    pub queue_timeout: Duration,
    /// The most requests that wait for a thread, in all workers together.
    pub max_queue: usize,
}

impl SheddingSettings {
    /// Whether anything is ever refused.
    pub fn enabled(&self) -> bool {
        !self.queue_timeout.is_zero() || self.max_queue > 0
    }
}
