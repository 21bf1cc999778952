//! The end of the server.

use std::time::{Duration, Instant};

use log::Level;
use nix::sys::signal::Signal;

use super::Supervisor;
use super::child::{Child, ChildKind, ChildState};
use super::event::Action;

/// The time for a child to end at once.
const QUICK_TIMEOUT: Duration = Duration::from_secs(2);

impl Supervisor {
    /// Begins to drain all children. With a `quick` signal it ends them at once, even if they drain already.
    ///
    /// The admin process ends last: until then it says that the server drains. If another master serves at the same
    /// address, its admin process alone has to answer.
    pub(super) fn shut_down(&mut self, quick: Option<Signal>, code: i32, now: Instant) {
        if self.stopping.is_none() {
            self.stopping = Some(code);
            self.drains_at = None;
            self.actions.push(Action::MarkStopping { code });
        }
        match quick {
            None => {
                let stays = self.upgrade.is_alone();
                let leaves = |child: &Child| !(stays && child.kind == ChildKind::Admin);
                for id in self.ids(leaves) {
                    self.drain(id, now);
                }
            }
            Some(signal) => self.end_at_once(signal, now),
        }
        self.exit_when_alone(now);
    }

    pub(super) fn exit_when_alone(&mut self, now: Instant) {
        if self.children.values().all(|it| it.kind == ChildKind::Admin) {
            for id in self.ids(|_| true) {
                self.drain(id, now);
            }
        }
        if let Some(code) = self.stopping
            && self.children.is_empty()
        {
            let name = self.upgrade.name();
            self.log(Level::Info, format!("Shutting down: {name}"));
            self.actions.push(Action::Exit { code });
        }
    }

    fn end_at_once(&mut self, signal: Signal, now: Instant) {
        for id in self.ids(|child| !matches!(child.state, ChildState::Killed(_))) {
            if let Some(child) = self.children.get_mut(&id) {
                child.state = ChildState::Draining;
                child.deadline = Some(now + QUICK_TIMEOUT);
            }
            self.signal(id, signal);
        }
    }
}
