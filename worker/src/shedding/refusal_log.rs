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
    /// A request is refused; `why` says the settings.
    pub(crate) fn note(&self, reason: RefusalReason, now: Instant, why: impl FnOnce() -> String) {
        self.counts[reason as usize].fetch_add(1, Ordering::Relaxed);
        // Another thread is about to write the line.
        let Ok(mut next_line) = self.next_line.try_lock() else {
            return;
        };
        if next_line.is_some_and(|at| now < at) {
            return;
        }
        *next_line = Some(now + PAUSE);
        let counts =
            RefusalReason::ALL.map(|it| (it, self.counts[it as usize].swap(0, Ordering::Relaxed)));
        let counts = counts.iter().filter(|(_, count)| *count > 0);
        let counts: Vec<String> = counts
            .map(|(it, count)| format!("{} {count}", it.as_str()))
            .collect();
        warn!(
            "Overloaded: requests are refused with 503 since the last such line: {} ({})",
            counts.join(", "),
            why()
        );
    }
}
