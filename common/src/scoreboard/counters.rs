//! The counters of one writer: where each of them is, and the scales of the histograms.
//!
//! ```text
//!   | sent, received, sums of times, count | duration | queue | proxy queue | latency | responses by method and code | refusals |
//! ```

use std::time::Duration;

use super::refusal_reason::RefusalReason;
use super::response_class::CLASSES;

/// Buckets of the latency histogram: four per power of two of microseconds, the last from 29 s up.
pub const BUCKETS: usize = 96;

/// Upper bounds in microseconds: those of OpenTelemetry's `http.server.request.duration`.
pub const DURATION_BOUNDS: [u64; 14] = [
    5_000, 10_000, 25_000, 50_000, 75_000, 100_000, 250_000, 500_000, 750_000, 1_000_000,
    2_500_000, 5_000_000, 7_500_000, 10_000_000,
];

/// One more, for what is above the last bound.
pub(super) const DURATION_BUCKETS: usize = DURATION_BOUNDS.len() + 1;

pub(super) const SENT: usize = 0;
pub(super) const RECEIVED: usize = 1;
/// In microseconds, in the order of [`Timed`].
pub(super) const SUMS: usize = 2;
/// All responses.
pub(super) const COUNT: usize = 5;
/// Whole cache lines for each.
pub(super) const TIMES: usize = 8;
pub(super) const TIMES_ROW: usize = DURATION_BUCKETS.next_multiple_of(8);
pub(super) const LATENCY: usize = TIMES + 3 * TIMES_ROW;
pub(super) const RESPONSES: usize = LATENCY + BUCKETS;
/// In the order of [`RefusalReason`].
pub(super) const REFUSALS: usize = RESPONSES + CLASSES;

/// Words of all counters: whole cache lines.
pub(super) const COUNTERS: usize = (REFUSALS + RefusalReason::ALL.len()).next_multiple_of(8);

/// The times that are counted, each with a histogram and a sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timed {
    /// From the whole request to the last octet of the response.
    Duration = 0,
    /// From the whole request until a thread takes it.
    Queue = 1,
    /// At a trusted proxy, before it came here.
    ProxyQueue = 2,
}

impl Timed {
    pub(super) const fn sum(self) -> usize {
        SUMS + self as usize
    }

    pub(super) const fn buckets(self) -> usize {
        TIMES + self as usize * TIMES_ROW
    }
}

/// Whole microseconds.
pub(super) fn micros_of(time: Duration) -> u64 {
    let subsecond = u64::from(time.subsec_micros());
    time.as_secs()
        .saturating_mul(1_000_000)
        .saturating_add(subsecond)
}

/// The bucket of [`DURATION_BOUNDS`] that `micros` falls into: its bound is inclusive, as Prometheus has it.
pub(super) fn duration_bucket_of(micros: u64) -> usize {
    let above = DURATION_BOUNDS.iter().position(|&bound| micros <= bound);
    above.unwrap_or(DURATION_BOUNDS.len())
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
        assert_eq!(duration_bucket_of(u64::MAX), DURATION_BOUNDS.len());
    }

    #[test]
    fn a_bound_of_a_duration_belongs_to_its_bucket() {
        assert_eq!(duration_bucket_of(0), 0);
        for (index, &bound) in DURATION_BOUNDS.iter().enumerate() {
            assert_eq!(duration_bucket_of(bound), index);
            assert_eq!(duration_bucket_of(bound + 1), index + 1);
        }
    }

    #[test]
    fn microseconds_are_whole_and_bounded() {
        assert_eq!(micros_of(Duration::from_nanos(1_002_999)), 1002);
        assert_eq!(micros_of(Duration::MAX), u64::MAX);
    }
}
