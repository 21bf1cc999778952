//! Says in the error log that requests are refused: when it begins, and then every ten seconds with their number. A line
//! for each would be more work than the requests; the access log has all of them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use log::warn;
use oxicorn_common::scoreboard::RefusalReason;

const PAUSE: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(crate) struct RefusalLog {
    /// Since the last line, in the order of [`RefusalReason`].
    counts: [AtomicU64; RefusalReason::ALL.len()],
    next_line: Mutex<Option<Instant>>,
}

impl RefusalLog {
    pub(crate) fn note(&self, reason: RefusalReason) {
        self.counts[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Logs what has not been logged yet, if it is time, or if this is the `last` line; `why` says the settings.
    pub(crate) fn report(&self, now: Instant, last: bool, why: impl FnOnce() -> String) {
        let any = |count: &AtomicU64| count.load(Ordering::Relaxed) > 0;
        if !self.counts.iter().any(any) {
            return;
        }
        // Another thread is about to write the line.
        let Ok(mut next_line) = self.next_line.try_lock() else {
            return;
        };
        if !last && next_line.is_some_and(|at| now < at) {
            return;
        }
        *next_line = Some(now + PAUSE);
        let counts = RefusalReason::ALL.map(|reason| {
            let count = self.counts[reason as usize].swap(0, Ordering::Relaxed);
            (count > 0).then(|| format!("{} {count}", reason.as_str()))
        });
        let counts: Vec<String> = counts.into_iter().flatten().collect();
        let (counts, why) = (counts.join(", "), why());
        warn!("Overloaded: requests refused with 503 since the last such line: {counts} ({why})");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_refusals_are_reported_the_first_at_once_and_the_last_in_the_end() {
        let log = RefusalLog::default();
        let start = Instant::now();
        let mut lines = Vec::new();
        let mut report = |seconds, last| {
            let now = start + Duration::from_secs(seconds);
            log.report(now, last, || {
                lines.push(seconds);
                String::new()
            });
        };
        report(0, false);
        log.note(RefusalReason::MaxQueue);
        report(1, false);
        log.note(RefusalReason::MaxQueue);
        report(2, false);
        report(10, false);
        report(11, false);
        report(30, false);
        log.note(RefusalReason::QueueTimeout);
        report(31, false);
        log.note(RefusalReason::QueueTimeout);
        report(32, true);
        report(33, true);
        assert_eq!(lines, [1, 11, 31, 32]);
    }
}
