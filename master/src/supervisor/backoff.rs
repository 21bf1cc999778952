//! The wait before the next attempt after children that failed early.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);

/// Doubles with each failure in a row; a success resets it.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
    not_before: Option<Instant>,
}

impl Backoff {
    /// Notes a failure; returns the wait from now.
    pub(crate) fn fail(&mut self, now: Instant) -> Duration {
        // Children that were started together and fail together are one attempt.
        if self.not_before.is_none_or(|at| at <= now) {
            self.failures = self.failures.saturating_add(1);
            let doublings = (self.failures - 1).min(16);
            self.not_before = Some(now + LONGEST.min(FIRST * 2_u32.pow(doublings)));
        }
        self.wait(now)
    }

    pub(crate) fn succeed(&mut self) {
        *self = Self::default();
    }

    /// The wait that is left before the next attempt.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        self.not_before
            .map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
    }

    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        self.not_before.filter(|&at| at > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_half_a_minute_and_end_with_a_success() {
        let mut now = Instant::now();
        let mut backoff = Backoff::default();
        let mut waits = Vec::new();
        for _ in 0..12 {
            let wait = backoff.fail(now);
            assert_eq!(backoff.fail(now), wait, "failures at one time are one");
            waits.push(wait.as_millis());
            now += wait;
            assert_eq!(backoff.wait(now), Duration::ZERO);
        }
        assert_eq!(waits[..5], [100, 200, 400, 800, 1600]);
        assert_eq!(waits[9..], [30_000; 3]);
        backoff.succeed();
        assert_eq!(backoff.fail(now).as_millis(), 100);
    }
}
