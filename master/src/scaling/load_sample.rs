//! What automatic scaling sees of the load at one moment, and the means of several.

use std::time::{Duration, Instant};

/// All workers that are ready, together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LoadSample {
    pub(crate) at: Instant,
    /// Since the sample before.
    pub(crate) lasted: Duration,
    pub(crate) workers: usize,
    /// Request threads that serve, those in reserve, and those that run the application.
    pub(crate) threads: usize,
    pub(crate) reserve: usize,
    pub(crate) busy: usize,
    /// Whole requests that wait for a thread.
    pub(crate) queued: usize,
    /// Responses since the sample before, and for how long their requests have waited for a thread, all together.
    pub(crate) responses: u64,
    pub(crate) waited: Duration,
}

impl LoadSample {
    /// Whether nothing has happened.
    pub(crate) fn is_idle(&self) -> bool {
        self.busy == 0 && self.queued == 0 && self.responses == 0
    }
}

/// A wait that is worth a worker, in seconds. Where requests take long, half of that is.
const LONG_WAIT: f64 = 0.02;

/// Several samples in a row; each counts for as long as it has lasted.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct LoadMean {
    pub(super) samples: usize,
    pub(super) seconds: f64,
    pub(super) busy: f64,
    pub(super) queued: f64,
    /// Samples in which a request waited.
    pub(super) with_queue: usize,
    /// How fast the queue has grown, in requests per second.
    pub(super) queue_growth: f64,
    pub(super) responses_per_second: f64,
    /// How long the requests that were answered had waited, in seconds.
    pub(super) wait: f64,
}

impl LoadMean {
    pub(super) fn of<'a>(samples: impl Iterator<Item = &'a LoadSample> + Clone) -> Self {
        let seconds: f64 = samples.clone().map(|it| it.lasted.as_secs_f64()).sum();
        let mut mean = Self {
            samples: samples.clone().count(),
            seconds,
            ..Self::default()
        };
        let (Some(first), Some(last)) = (samples.clone().next(), samples.clone().last()) else {
            return mean;
        };
        let (mut responses, mut waited) = (0, 0.0);
        for sample in samples {
            let weight = sample.lasted.as_secs_f64() / seconds.max(f64::MIN_POSITIVE);
            mean.busy += weight * sample.busy as f64;
            mean.queued += weight * sample.queued as f64;
            mean.with_queue += usize::from(sample.queued > 0);
            responses += sample.responses;
            waited += sample.waited.as_secs_f64();
        }
        mean.responses_per_second = responses as f64 / seconds.max(f64::MIN_POSITIVE);
        mean.wait = waited / (responses.max(1) as f64);
        let span = last.at.saturating_duration_since(first.at).as_secs_f64();
        if span > 0.0 {
            mean.queue_growth = (last.queued as f64 - first.queued as f64) / span;
        }
        mean
    }

    /// Whether a request that comes waits for so long that one more worker is worth it, by Little's law. What those that
    /// were answered have waited is known late.
    pub(super) fn is_wait_long(&self) -> bool {
        let takes = self.busy / self.responses_per_second;
        self.responses_per_second == 0.0
            || self.queued / self.responses_per_second >= LONG_WAIT.max(takes / 2.0)
    }

    /// Threads that are busy, and those that the queue would keep busy.
    pub(super) fn demand(&self) -> f64 {
        self.busy + self.queued
    }
}
