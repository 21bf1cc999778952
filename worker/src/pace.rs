//! How fast a client has to send a body or take a response.
//!
//! A client has `timeout` at the start. Each octet adds the time that one octet takes at the minimum rate, up to
//! `timeout` in all. So a client at that rate or above may continue for ever, one that stops has `timeout`, and one
//! that is slower loses time with every octet. An average since the start would not work: a client that was fast once
//! could then be as slow as it likes.

use std::time::{Duration, Instant};

use oxicorn_common::Settings;

use crate::transport::Transport;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Zero means no limit, whatever the rate.
    timeout: Duration,
    /// Octets per second; with zero any progress is enough.
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

    /// The deadline of a client whose time starts now.
    pub(crate) fn begin(self, now: Instant) -> Option<Instant> {
        (!self.timeout.is_zero()).then(|| now + self.timeout)
    }

    /// The deadline after `octets` more, if it was `deadline` before.
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
        // The time that the octets may take; infinity if there is no rate.
        let earned = octets as f64 / f64::from(self.min_rate);
        let missing = latest.saturating_duration_since(deadline);
        Some(match earned < missing.as_secs_f64() {
            true => deadline + Duration::from_secs_f64(earned),
            false => latest,
        })
    }
}

/// How much of its responses a client has acknowledged.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AckProgress {
    /// The value of [`Transport::acknowledged`] at the last look.
    taken: i64,
}

impl AckProgress {
    /// The octets that the client has taken since the last look, if `written` octets were sent in all. The result of
    /// the first look is meaningless: it only sets the start.
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

    /// How long a client lives that sends `octets` every `pause` seconds; `None` is longer than a day.
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
        // Far apart, so that rounding does not matter.
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
            // A client that sends much at a time may not stop either.
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
