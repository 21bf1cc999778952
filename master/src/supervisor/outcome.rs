//! The outcome of a reload, for those who wait for it.
//!
//! ```text
//!   settings cannot be read ------------------------------------> failed
//!   no worker boots: given up ----------------------------------> failed
//!   first worker ready: proven -- all are ready, quiet for 1 s -> succeeded
//!                               `- more failures than workers --> failed; the server goes on trying (runners, too)
//! ```
//!
//! Each generation but the first is reported once, unless the next serves before that. Such a generation is counted as a
//! success, because it has served. It is not reported, because nothing was proven for those who wait for it: they take the
//! success of any later one.

use std::time::Instant;

use super::Supervisor;
use super::child::{Child, ChildKind, ChildState};
use super::death::Death;
use super::event::Action;

impl Supervisor {
    /// Reports the outcome of the reload that began `generation`.
    pub(super) fn report_reload(&mut self, generation: u32, failure: Option<String>) {
        // The generation before a failed one may succeed after it; that failure is the last still.
        if failure.is_some() {
            self.reload_failure.clone_from(&failure);
        }
        self.actions.push(Action::ReloadEnded {
            generation,
            failure,
        });
    }

    /// The next generation is about to serve.
    pub(super) fn note_overtaken(&mut self) {
        if let Some(generation) = self.unsettled() {
            self.settling.set_reported(generation);
            self.actions.push(Action::ReloadOvertaken { generation });
        }
    }

    /// A child could not be forked.
    pub(super) fn note_failed_fork(&mut self, child: &Child, reason: &str) {
        self.note_failure(child, format!("cannot fork: {reason}"));
    }

    /// A child has ended by itself before it was ready, or right after.
    pub(super) fn note_failed_boot(&mut self, child: &Child, death: Death) {
        let text = match (&child.failure, child.state) {
            (Some(text), _) => text.clone(),
            (None, ChildState::Killed(why)) => format!("{child} was killed: {why}"),
            (None, ChildState::Ready) => format!("{child} {death} right after it was ready"),
            (None, _) => format!("{child} {death} before it was ready"),
        };
        self.note_failure(child, text);
    }

    fn note_failure(&mut self, child: &Child, text: String) {
        let kind = child.kind;
        if self.unsettled() != Some(child.generation) {
            // Only workers prove a generation.
            if kind == ChildKind::Web {
                self.generations.note_failure(child.generation, text);
            }
            return;
        }
        // The server serves without an admin process.
        if kind != ChildKind::Admin && self.settling.count_failure() > self.target(kind) {
            self.settling.set_reported(child.generation);
            let noun = kind.noun();
            let text = format!("{noun}s keep failing, and the server goes on trying: {text}");
            self.report_reload(child.generation, Some(text));
        }
    }

    /// Reports the serving generation when it has settled.
    pub(super) fn check_settling(&mut self, now: Instant) {
        let Some(generation) = self.unsettled() else {
            return;
        };
        let serving = self.live(ChildKind::Web, generation);
        let ready = serving.filter(|child| child.is_ready()).count();
        let is_complete =
            self.generations.is_alone(generation) && ready >= self.target(ChildKind::Web);
        if self.settling.check(is_complete, now) {
            self.settling.set_reported(generation);
            self.report_reload(generation, None);
        }
    }

    /// When [`Supervisor::check_settling`] is due.
    pub(super) fn settling_deadline(&self) -> Option<Instant> {
        self.unsettled()?;
        self.settling.deadline()
    }

    /// The serving generation, if its reload has not been reported.
    fn unsettled(&self) -> Option<u32> {
        let (generation, _) = self.generations.serving()?;
        let is_due = !self.settling.is_reported(generation) && self.stopping.is_none();
        is_due.then_some(generation)
    }
}
