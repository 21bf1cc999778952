//! How fast a client has to send a body, or take a response.
//!
//! A client has `timeout` to begin with. Each octet gives it the time that one octet takes at the minimum rate,
//! and it never has more than `timeout`. So a client that is at least that fast goes on for ever, one that stops
//! has `timeout`, and one that is slower comes closer to its end with every octet. An average since the beginning
//! would not do: a client that was fast once could then be as slow as it likes.

use std::time::{Duration, Instant};

use oxicorn_common::Settings;

use crate::transport::Transport;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Zero is for ever, whatever the rate.
    timeout: Duration,
    /// Octets a second; with zero any progress will do.
    min_rate: u32,
}

impl Pace {
    pub(crate) fn of_body(settings: &Settings) -> Self {
        Self {
            timeout: settings.body_timeout,
            min_rate: settings.body_min_rate,
        }
    }

    pub(crate) fn of_response(settings: &Settings) -> Self {
        Self {
            timeout: settings.write_timeout,
            min_rate: settings.write_min_rate,
        }
    }

    /// When the time of a client is over that begins now.
    pub(crate) fn begin(self, now: Instant) -> Option<Instant> {
        (!self.timeout.is_zero()).then(|| now + self.timeout)
    }

    /// When the time is over that ended at `deadline`, with so many octets more.
    pub(crate) fn extend(
        self,
        deadline: Option<Instant>,
        octets: u64,
        now: Instant,
    ) -> Option<Instant> {
        let deadline = deadline?;
        let latest = now + self.timeout;
        if octets == 0 {
            return Some(deadline);
        }
        // As long as the octets may take; infinity where there is no rate.
        let earned = octets as f64 / f64::from(self.min_rate);
        let missing = latest.saturating_duration_since(deadline);
        Some(match earned < missing.as_secs_f64() {
            true => deadline + Duration::from_secs_f64(earned),
            false => latest,
        })
    }
}

/// What a client takes of its responses.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AckProgress {
    /// As [`Transport::acknowledged`] had it at the last look.
    taken: i64,
}

impl AckProgress {
    /// The octets that the client has taken since the last look, where so many were `written` in all.
    /// The first look is to begin with.
    pub(crate) fn look(&mut self, transport: &Transport, written: u64) -> u64 {
        let taken = transport.acknowledged(written);
        let more = taken.wrapping_sub(self.taken);
        self.taken = taken;
        u64::try_from(more).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);

    /// How long a client lives that brings `octets` every `pause` seconds; `None` is longer than a
    /// day.
    fn life(min_rate: u32, octets: u64, pause: f64) -> Option<Duration> {
        let pace = Pace {
            timeout: TIMEOUT,
            min_rate,
        };
        let begun = Instant::now();
        let mut deadline = pace.begin(begun);
        let mut now = begun;
        while now < begun + Duration::from_secs(86_400) {
            let next = now + Duration::from_secs_f64(pause);
            match deadline {
                Some(deadline) if deadline <= next => return Some(deadline - begun),
                _ => now = next,
            }
            deadline = pace.extend(deadline, octets, now);
        }
        None
    }

    #[test]
    fn a_steady_client_above_the_rate_lives_for_ever_and_one_below_does_not() {
        // Far apart, so that rounding decides nothing.
        for pause in [0.1, 1.0, 20.0] {
            let enough = (250.0 * pause) as u64;
            let too_little = (200.0 * pause) as u64;
            assert_eq!(life(240, enough, pause), None, "every {pause} s");
            let life = life(240, too_little, pause).expect("an end");
            assert!(life < Duration::from_secs(200), "every {pause} s: {life:?}");
        }
        assert!(life(240, 1, 1.0).expect("an end") < Duration::from_secs(31));
    }

    #[test]
    fn without_a_rate_any_progress_will_do_and_without_progress_there_is_an_end() {
        assert_eq!(life(0, 1, 29.0), None);
        for rate in [0, 240] {
            assert_eq!(life(rate, 0, 1.0), Some(TIMEOUT));
            // Much at a time is no licence to stop.
            assert_eq!(life(rate, 1 << 40, 31.0), Some(TIMEOUT));
        }
    }

    #[test]
    fn time_in_which_nobody_looked_counts_for_the_client() {
        let pace = Pace {
            timeout: TIMEOUT,
            min_rate: 240,
        };
        let begun = Instant::now();
        let late = begun + Duration::from_secs(90);
        let extended = pace.extend(pace.begin(begun), 90 * 240, late);
        assert_eq!(extended, Some(late + TIMEOUT));
    }

    #[test]
    fn no_timeout_is_no_end() {
        let pace = Pace {
            timeout: Duration::ZERO,
            min_rate: 240,
        };
        let now = Instant::now();
        assert_eq!(pace.begin(now), None);
        assert_eq!(pace.extend(None, 1, now), None);
    }
}
