//! Kills what is late or silent.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::child::{ChildId, Kind, State};
use super::event::Action;
use super::{Child, Supervisor};

/// How long after its own deadline a child is left to end by itself.
pub(super) const MARGIN: Duration = Duration::from_millis(500);
/// Between SIGABRT, which leaves a core where cores are wanted, and SIGKILL.
const CORE_TIME: Duration = Duration::from_secs(2);
/// How often heartbeats are looked at.
const ROUND: Duration = Duration::from_secs(1);

impl Supervisor {
    /// Does what is due. `silence` says how long the child in a slot has not beaten.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        silence: impl Fn(usize) -> Duration,
    ) -> Vec<Action> {
        // A master that was stopped itself, with the machine or its container, finds heartbeats
        // old that could not have been younger.
        if now.saturating_duration_since(self.looked) > 3 * ROUND {
            self.awake_since = now;
        }
        self.looked = now;
        let awake = now.saturating_duration_since(self.awake_since);
        for id in self.ids(|child| is_silent(child, silence(child.slot).min(awake))) {
            self.kill(id, Signal::SIGABRT, "its event loop made no progress", now);
        }
        for id in self.ids(|child| child.deadline.is_some_and(|deadline| deadline <= now)) {
            self.enforce(id, now);
        }
        self.settle(now)
    }

    /// When [`Supervisor::look`] is next worth a call.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        let watched = self
            .children
            .values()
            .any(|child| child.silence_limit().is_some());
        let crews = Kind::ALL
            .into_iter()
            .filter(|&kind| self.stopping.is_none() && self.is_short(kind))
            .filter_map(|kind| self.crew(kind).backoff.deadline(now));
        self.children
            .values()
            .filter_map(|child| child.deadline)
            .chain(watched.then(|| now + ROUND))
            .chain(crews)
            .min()
    }

    fn enforce(&mut self, id: ChildId, now: Instant) {
        let Some(child) = self.children.get(&id) else {
            return;
        };
        match child.state {
            State::Booting => self.kill(id, Signal::SIGABRT, "it did not get ready", now),
            State::Ready => {}
            State::Draining if self.stopping.is_some() => {
                self.kill(id, Signal::SIGKILL, "it did not end in time", now);
            }
            State::Draining => {
                self.kill(
                    id,
                    Signal::SIGKILL,
                    "it did not drain in graceful_timeout",
                    now,
                );
            }
            State::Killed(why) => self.kill(id, Signal::SIGKILL, why, now),
        }
    }

    fn kill(&mut self, id: ChildId, signal: Signal, why: &'static str, now: Instant) {
        if let Some(child) = self.children.get_mut(&id) {
            child.state = State::Killed(why);
            child.deadline = (signal != Signal::SIGKILL).then(|| now + CORE_TIME);
            self.signal(id, signal);
        }
    }
}

fn is_silent(child: &Child, silence: Duration) -> bool {
    child.silence_limit().is_some_and(|limit| silence > limit)
}
