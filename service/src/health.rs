//! Whether a backend works, as this process sees it. The log gets one line when an outage begins and one when it ends,
//! never one per request.

use std::fmt::Display;
use std::sync::atomic::{AtomicU8, Ordering};

use log::{Level, log, warn};

use super::outages::{Backend, Outages};

const UNKNOWN: u8 = 0;
const UP: u8 = 1;
const DOWN: u8 = 2;

#[derive(Debug)]
pub(crate) struct Health {
    backend: Backend,
    /// As the log names it: `PostgreSQL at 127.0.0.1:5432`.
    name: String,
    /// What the service does without it, for the log.
    meanwhile: &'static str,
    level: Level,
    outages: Outages,
    state: AtomicU8,
}

impl Health {
    pub(crate) fn new(
        backend: Backend,
        name: String,
        meanwhile: &'static str,
        outages: &Outages,
    ) -> Self {
        let level = match backend {
            Backend::Store => Level::Error,
            // The service goes on without it.
            Backend::Cache | Backend::Events => Level::Warn,
        };
        Self {
            backend,
            name,
            meanwhile,
            level,
            outages: outages.clone(),
            state: AtomicU8::new(UNKNOWN),
        }
    }

    /// The backend failed, and the failure is its own fault.
    pub(crate) fn failed(&self, why: &dyn Display) {
        if self.state.swap(DOWN, Ordering::AcqRel) != DOWN && self.outages.begin(self.backend) {
            let (name, meanwhile) = (&self.name, self.meanwhile);
            log!(self.level, "{name} does not answer: {why}; {meanwhile}");
        }
    }

    /// The backend answers, but accepts no changes.
    pub(crate) fn refuses(&self, why: &dyn Display) {
        if self.state.swap(DOWN, Ordering::AcqRel) != DOWN && self.outages.begin(self.backend) {
            log!(
                self.level,
                "{} takes no changes: {why}; they are answered 503",
                self.name
            );
        }
    }

    /// The backend has done its work.
    pub(crate) fn works(&self) {
        if self.state.load(Ordering::Relaxed) == UP {
            return;
        }
        if self.state.swap(UP, Ordering::AcqRel) != UP && self.outages.end(self.backend) {
            warn!("{} answers again", self.name);
        }
    }

    pub(crate) fn is_down(&self) -> bool {
        self.state.load(Ordering::Acquire) == DOWN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_begins_during_an_outage_sees_its_end() {
        let outages = Outages::new();
        let health = || Health::new(Backend::Cache, "Redis".to_owned(), "going on", &outages);
        let before = health();
        before.failed(&"refused");
        assert!(before.is_down() && outages.is_down(Backend::Cache));
        let after = health();
        assert!(!after.is_down());
        after.works();
        assert!(!outages.is_down(Backend::Cache) && before.is_down());
        before.works();
        assert!(!before.is_down());
    }
}
