//! What the master and its molds use, for `max_total_memory`. The other processes report what they use.

use std::time::{Duration, Instant};

use oxicorn_common::process_memory::OwnMemory;

use crate::supervisor::Event;

/// The master has little memory of its own, but nothing else may wait for it often.
const EVERY: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(crate) struct OtherMemory {
    own: OwnMemory,
    due: Option<Instant>,
}

impl OtherMemory {
    /// Measures when it is due.
    pub(crate) fn measure(&mut self, molds: u64, now: Instant) -> Option<Event> {
        if self.due.is_some_and(|due| due > now) {
            return None;
        }
        self.due = Some(now + EVERY);
        let bytes = self.own.read().unwrap_or(0).saturating_add(molds);
        Some(Event::OtherMemory { bytes })
    }
}
