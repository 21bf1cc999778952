//! Counts the workers that had to be replaced, by reason: each once, as soon as the reason is certain.
//!
//! A worker that the server does without, because of a reload, SIGTTOU or the end of the server, is no restart. A worker
//! that fails to boot is one each time, but not while its generation is on trial: then the reload has failed, and the
//! workers of before serve on.

use oxicorn_common::scoreboard::RestartReason;

use super::Supervisor;
use super::child::{Child, ChildId, ChildKind, ChildState};
use super::death::{Cause, Death};
use super::event::Action;

impl Supervisor {
    /// A child is about to end for this reason, unless it has one to end already.
    pub(super) fn note_restart(&mut self, id: ChildId, reason: RestartReason) {
        if let Some(child) = self.children.get_mut(&id)
            && child.is_live()
            && !std::mem::replace(&mut child.restart_counted, true)
        {
            let (kind, generation) = (child.kind, child.generation);
            self.count_restart(kind, generation, reason);
        }
    }

    /// Its replacement is ready.
    pub(super) fn note_replaced(&mut self, id: ChildId) {
        let child = self.children.get(&id);
        if let Some(reason) = child.and_then(|child| child.wants_replacement) {
            self.note_restart(id, reason);
        }
    }

    /// A child has ended. Those that were told to end, or were killed, have been counted before if at all.
    pub(super) fn note_end(&mut self, child: &Child, death: Death) {
        if child.restart_counted {
            return;
        }
        let (kind, generation) = (child.kind, child.generation);
        match child.state {
            ChildState::Booting => self.count_restart(kind, generation, RestartReason::Boot),
            ChildState::Ready => {
                let reason = match death.cause() {
                    // It drains because of a signal that the master has not sent.
                    _ if child.drains => RestartReason::Signal,
                    Cause::Exit => RestartReason::Exit,
                    Cause::Crash => RestartReason::Crash,
                    Cause::OutOfMemory => RestartReason::OutOfMemory,
                    Cause::ForeignSignal => RestartReason::Signal,
                };
                self.count_restart(kind, generation, reason);
            }
            ChildState::Draining | ChildState::Killed(_) => {}
        }
    }

    pub(super) fn count_restart(
        &mut self,
        kind: ChildKind,
        generation: u32,
        reason: RestartReason,
    ) {
        let is_on_trial = self.generations.is_on_trial(generation);
        if kind == ChildKind::Web && self.stopping.is_none() && !is_on_trial {
            self.actions.push(Action::CountRestart(reason));
        }
    }
}
