//! The watchdog of systemd (`WatchdogSec=`): the service is restarted if its main process does not say in time that it is
//! well. The master does so in its loop, so it is well while the loop turns; the workers it watches over itself.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Set by systemd for the process that it starts (sd_watchdog_enabled(3)).
pub(crate) const VARIABLES: [&str; 2] = [INTERVAL, PID];
/// In microseconds.
const INTERVAL: &str = "WATCHDOG_USEC";
/// The process that the interval is for.
pub(crate) const PID: &str = "WATCHDOG_PID";

#[derive(Debug)]
pub(crate) struct ServiceWatchdog {
    /// Half of the interval, as sd_watchdog_enabled(3) recommends.
    every: Duration,
    due: Instant,
}

impl ServiceWatchdog {
    /// The watchdog that `environment` sets for the process `pid`.
    pub(crate) fn of(
        environment: &BTreeMap<String, String>,
        pid: u32,
        now: Instant,
    ) -> Option<Self> {
        let is_ours = environment.get(PID).is_none_or(|it| *it == pid.to_string());
        let micros = environment.get(INTERVAL).filter(|_| is_ours)?;
        let micros = micros.parse().ok().filter(|&micros: &u64| micros > 0)?;
        Some(Self {
            every: Duration::from_micros(micros) / 2,
            due: now,
        })
    }

    /// Whether a sign of life is due; the next one is due half an interval later.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.due <= now;
        if is_due {
            self.due = now + self.every;
        }
        is_due
    }

    /// The next sign of life is due at once.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.due = now;
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)], now: Instant) -> Option<ServiceWatchdog> {
        let variables = variables.iter();
        let environment = variables.map(|&(name, value)| (name.to_owned(), value.to_owned()));
        ServiceWatchdog::of(&environment.collect(), 70, now)
    }

    #[test]
    fn it_is_on_for_the_process_that_it_is_meant_for() {
        let now = Instant::now();
        assert!(of(&[], now).is_none());
        assert!(of(&[("WATCHDOG_USEC", "0")], now).is_none());
        assert!(of(&[("WATCHDOG_USEC", "1e6")], now).is_none());
        assert!(of(&[("WATCHDOG_USEC", "1000000")], now).is_some());
        let with_pid = |pid| of(&[("WATCHDOG_USEC", "1000000"), ("WATCHDOG_PID", pid)], now);
        assert!(with_pid("70").is_some() && with_pid("71").is_none());
    }

    #[test]
    fn it_is_due_at_once_and_then_at_half_of_the_interval() {
        let now = Instant::now();
        let mut watchdog = of(&[("WATCHDOG_USEC", "1000000")], now).expect("on");
        assert!(watchdog.is_due(now) && !watchdog.is_due(now));
        let later = now + Duration::from_millis(500);
        assert_eq!(watchdog.deadline(), later);
        assert!(watchdog.is_due(later));
    }
}
