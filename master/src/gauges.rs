//! The gauges that the master sends to statsd: how many workers serve, and how many connections wait in the backlog.

use std::time::{Duration, Instant};

use oxicorn_common::logging;

use crate::generation::Generation;

/// The interval of gunicorn's master.
const BACKLOG_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(crate) struct Gauges {
    /// The values that were sent last.
    workers: Option<usize>,
    /// When the backlog is sent next; `None` means at once.
    backlog_at: Option<Instant>,
}

impl Gauges {
    /// Sends values that have changed or are due.
    pub(crate) fn report(&mut self, workers: usize, newest: Option<&Generation>, now: Instant) {
        if self.workers.replace(workers) != Some(workers) {
            logging::note_workers(workers);
        }
        let wanted = |newest: &&Generation| {
            let statsd = &newest.settings.statsd;
            statsd.backlog && statsd.address.is_some()
        };
        let Some(newest) = newest.filter(wanted) else {
            return;
        };
        if self.backlog_at.is_none_or(|at| at <= now) {
            self.backlog_at = Some(now + BACKLOG_EVERY);
            if let Some(waiting) = newest.listeners.waiting() {
                logging::note_backlog(waiting);
            }
        }
    }

    /// When [`Gauges::report`] must be called next; `None` means after the next event.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.backlog_at
    }
}
