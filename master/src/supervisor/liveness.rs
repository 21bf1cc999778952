//! Kills children that exceed their boot or drain time (late), or that stop sending heartbeats (silent).

use std::time::{Duration, Instant};

use log::Level;
use nix::sys::signal::Signal;
use oxicorn_common::message::PROBE;
use oxicorn_common::scoreboard::RestartReason;

use super::child::{ChildId, ChildKind, ChildState};
use super::event::Action;
use super::{Child, Supervisor};

/// After its own deadline, a child has this long to end by itself.
pub(super) const MARGIN: Duration = Duration::from_millis(500);
/// The time between SIGABRT, which may leave a core, and SIGKILL.
const CORE_TIME: Duration = Duration::from_secs(2);
/// The interval between checks of the heartbeats.
const ROUND: Duration = Duration::from_secs(1);
/// A child that seems silent has this long to answer a probe, because other children may have written to its
/// slot on the scoreboard.
const TIME_TO_ANSWER: Duration = Duration::from_secs(2);

/// The scoreboard's view of one child.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pulse {
    /// The time since its last heartbeat.
    pub(crate) silence: Duration,
}

impl Supervisor {
    /// Does the work that is due. `pulse` reads the slot of a child.
    pub(crate) fn on_tick(&mut self, now: Instant, pulse: impl Fn(usize) -> Pulse) -> Vec<Action> {
        // If the master itself was stopped, with the machine or its container, all heartbeats are old, whatever the
        // state of the children.
        if now.saturating_duration_since(self.last_tick) > 3 * ROUND {
            self.awake_since = now;
        }
        self.last_tick = now;
        let awake = now.saturating_duration_since(self.awake_since);
        for id in self.ids(|child| child.is_ready() && child.drains) {
            self.on_foreign_drain(id, now);
        }
        self.check_heartbeats(now, |slot| pulse(slot).silence.min(awake));
        self.probe_silent(now, |slot| pulse(slot).silence.min(awake));
        for id in self.ids(|child| {
            let had_time = |asked: Instant| now.saturating_duration_since(asked) >= TIME_TO_ANSWER;
            let silence = pulse(child.slot).silence.min(awake);
            child.asked_at.is_some_and(had_time) && is_silent(child, silence, now)
        }) {
            self.note_restart(id, RestartReason::Timeout);
            self.kill(id, Signal::SIGABRT, "its event loop made no progress", now);
        }
        for id in self.ids(|child| child.deadline.is_some_and(|deadline| deadline <= now)) {
            self.enforce(id, now);
        }
        self.check_ages(now);
        self.check_delay(now);
        self.settle(now)
    }

    /// Probes the children that will have been silent for too long by the time that they have to answer.
    fn probe_silent(&mut self, now: Instant, silence: impl Fn(usize) -> Duration) {
        let mut asked = Vec::new();
        for child in self.children.values_mut() {
            let soon = silence(child.slot) + TIME_TO_ANSWER;
            if !is_silent(child, soon, now + TIME_TO_ANSWER) {
                child.asked_at = None;
            } else if child.asked_at.is_none() {
                child.asked_at = Some(now);
                asked.push(child.id);
            }
        }
        for id in asked {
            self.signal(id, PROBE);
        }
    }

    /// A child has answered a probe.
    pub(super) fn on_alive(&mut self, id: ChildId, now: Instant) {
        if let Some(child) = self.children.get_mut(&id) {
            child.asked_at = None;
            child.answered_at = Some(now);
        }
    }

    /// Warns if the scoreboard is wrong about a child: each turn of an event loop that answers is a heartbeat too.
    fn check_heartbeats(&mut self, now: Instant, silence: impl Fn(usize) -> Duration) {
        let is_wrong = |child: &Child| {
            let said = child
                .answered_at
                .map(|at| now.saturating_duration_since(at));
            !child.doubted && said.is_some_and(|said| silence(child.slot) > said + ROUND)
        };
        for id in self.ids(is_wrong) {
            let text = format!(
                "{} serves, though the scoreboard says that its event loop stands still: code of \
                 the application seems to write to memory that is not its own",
                self.name(id)
            );
            self.log(Level::Warn, text);
            if let Some(child) = self.children.get_mut(&id) {
                child.doubted = true;
            }
        }
    }

    /// When [`Supervisor::on_tick`] should be called next.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        let watched = self
            .children
            .values()
            .any(|child| child.silence_limit().is_some());
        let retries = ChildKind::ALL
            .into_iter()
            .filter(|&kind| self.stopping.is_none() && self.is_short(kind))
            .filter_map(|kind| self.set(kind).backoff.deadline(now));
        self.children
            .values()
            .filter_map(|child| child.deadline)
            .chain(watched.then(|| now + ROUND))
            .chain(retries)
            .chain(self.settling_deadline())
            .chain(self.aging_deadline())
            .chain(self.memory_deadline(now))
            .chain(self.drains_at)
            .min()
    }

    /// Another process has told a child to end: its replacement may start at once. While the server stops, a signal to the
    /// whole process group may have told the admin process before its turn.
    fn on_foreign_drain(&mut self, id: ChildId, now: Instant) {
        if self.stopping.is_none() {
            let text = format!("{} drains without being told to", self.name(id));
            self.log(Level::Warn, text);
            self.note_restart(id, RestartReason::Signal);
        }
        if let Some(child) = self.children.get_mut(&id) {
            child.state = ChildState::Draining;
            child.deadline = Some(now + child.graceful_timeout + MARGIN);
        }
    }

    fn enforce(&mut self, id: ChildId, now: Instant) {
        let Some(child) = self.children.get(&id) else {
            return;
        };
        match child.state {
            ChildState::Booting => {
                self.note_restart(id, RestartReason::Boot);
                self.kill(
                    id,
                    Signal::SIGABRT,
                    "it did not get ready in time (boot_timeout)",
                    now,
                );
            }
            ChildState::Ready => {}
            ChildState::Draining if self.stopping.is_some() => {
                self.kill(id, Signal::SIGKILL, "it did not end in time", now);
            }
            ChildState::Draining => {
                self.kill(
                    id,
                    Signal::SIGKILL,
                    "it did not drain in graceful_timeout",
                    now,
                );
            }
            ChildState::Killed(why) => self.kill(id, Signal::SIGKILL, why, now),
        }
    }

    fn kill(&mut self, id: ChildId, signal: Signal, why: &'static str, now: Instant) {
        if let Some(child) = self.children.get_mut(&id) {
            child.state = ChildState::Killed(why);
            child.deadline = (signal != Signal::SIGKILL).then(|| now + CORE_TIME);
            self.signal(id, signal);
        }
    }
}

/// Whether a child has been silent for too long, by its heartbeat and by its own answers.
fn is_silent(child: &Child, silence: Duration, now: Instant) -> bool {
    let said = child
        .answered_at
        .map(|at| now.saturating_duration_since(at));
    let silence = said.map_or(silence, |said| silence.min(said));
    child.silence_limit().is_some_and(|limit| silence > limit)
}
