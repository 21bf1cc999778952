//! The two clocks of the server: milliseconds that only grow, for deadlines and heartbeats, and the local
//! time, for people who read logs.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

use crate::sys;

/// Milliseconds of `CLOCK_MONOTONIC`: all processes of a machine read the same number. Never 0 in practice,
/// so that 0 can mean "never".
pub fn monotonic_millis() -> u64 {
    // The clock exists on every Linux (clock_gettime(2)).
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map(|time| Duration::from(time).as_millis())
        .ok()
        .and_then(|millis| u64::try_from(millis).ok())
        .unwrap_or(0)
}

/// Makes milliseconds of an [`Instant`] that was read anyway, which saves reading another clock.
#[derive(Debug, Clone, Copy)]
pub struct InstantMillis {
    start: Instant,
    millis: u64,
}

impl InstantMillis {
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            millis: monotonic_millis(),
        }
    }

    /// The moment in [`monotonic_millis`].
    pub fn at(&self, moment: Instant) -> u64 {
        let age = moment.saturating_duration_since(self.start);
        self.millis + age.as_secs() * 1000 + u64::from(age.subsec_millis())
    }
}

impl Default for InstantMillis {
    fn default() -> Self {
        Self::new()
    }
}

/// Seconds since 1970.
pub(crate) fn unix_seconds() -> i64 {
    let age = SystemTime::now().duration_since(UNIX_EPOCH);
    age.map_or(0, |age| age.as_secs().cast_signed())
}

/// A date and a time in the time zone of the process, which the application may set (tzset(3)), as Django
/// does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocalTime {
    pub(crate) year: i32,
    /// From 1.
    pub(crate) month: u32,
    pub(crate) day: u32,
    pub(crate) hour: u32,
    pub(crate) minute: u32,
    pub(crate) second: u32,
    /// Seconds east of Greenwich.
    pub(crate) offset: i64,
}

impl LocalTime {
    /// The local time of a number of seconds since 1970.
    pub(crate) fn at(unix_seconds: i64) -> Self {
        let time = sys::local_time(unix_seconds);
        Self {
            year: time.tm_year + 1900,
            month: (time.tm_mon + 1).unsigned_abs(),
            day: time.tm_mday.unsigned_abs(),
            hour: time.tm_hour.unsigned_abs(),
            minute: time.tm_min.unsigned_abs(),
            second: time.tm_sec.unsigned_abs(),
            offset: time.tm_gmtoff,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_goes_forwards() {
        let first = monotonic_millis();
        assert!(first > 0 && monotonic_millis() >= first);
    }

    #[test]
    fn an_instant_is_the_same_number_as_the_clock_gives() {
        let millis = InstantMillis::new();
        let (before, moment, after) = (monotonic_millis(), Instant::now(), monotonic_millis());
        // Both readings of `new` and these are up to a millisecond apart, besides what a busy machine adds.
        assert!(millis.at(moment) <= after + 1 && millis.at(moment) + 1 >= before);
        let later = moment + Duration::from_millis(1500);
        assert_eq!(millis.at(later), millis.at(moment) + 1500);
    }
}
