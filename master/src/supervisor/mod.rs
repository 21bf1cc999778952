//! The supervisor: which children there should be, and what is to be done about it.
//!
//! A state machine without I/O: an [`Event`] goes in, [`Action`]s come out, time is an argument.
//! The loop in `master.rs` carries the actions out. It never forks, signals, reads a clock or
//! writes a log itself, so every rule of a child's life is tested without a process.
//!
//! ```text
//!   signals, messages, deaths --> Supervisor --> fork, signal, reload, say, exit
//!                                   |
//!                     children by age, target counts, generations
//! ```
//!
//! The rules are split by what they are about: `crew` keeps the number of children right,
//! `generations` replaces all of them, `watch` kills what is late or silent, `shutdown` ends,
//! `succession` makes room for another master.

mod backoff;
mod child;
mod crew;
mod death;
mod event;
mod generations;
mod shutdown;
mod succession;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::BTreeMap;
use std::time::Instant;

use log::Level;
use nix::sys::signal::Signal;
use oxicorn_common::Message;
use oxicorn_common::scoreboard::MAX_SLOTS;

use backoff::Backoff;
use child::{Child, State};
use generations::Generations;

pub(crate) use child::{ChildId, Kind};
pub(crate) use death::{Death, End};
pub(crate) use event::{Action, Event, Plan};
pub(crate) use succession::Succession;
pub(crate) use watch::Pulse;

/// A worker that ends by itself this soon after its birth counts as one that failed to boot.
const DIED_YOUNG: std::time::Duration = std::time::Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Supervisor {
    /// In the order of their age.
    children: BTreeMap<ChildId, Child>,
    next_id: ChildId,
    generations: Generations,
    web: Crew,
    runners: Crew,
    /// SIGWINCH: generations up to this one have no children, until SIGTTIN.
    wound_down: u32,
    succession: Succession,
    /// The exit code to end with, once the server stops.
    stopping: Option<i32>,
    /// There was no slot for a child that should be there, and this has been said.
    is_full: bool,
    /// When the master last looked, and since when it has looked without a gap.
    looked: Instant,
    awake_since: Instant,
    /// Collected during one call.
    actions: Vec<Action>,
}

/// The children of one kind.
#[derive(Debug, Default)]
struct Crew {
    target: usize,
    backoff: Backoff,
}

impl Supervisor {
    /// Begins the first generation; the actions start its children.
    pub(crate) fn new(plan: Plan, succession: Succession, now: Instant) -> (Self, Vec<Action>) {
        let mut supervisor = Self {
            children: BTreeMap::new(),
            next_id: 1,
            generations: Generations::default(),
            web: Crew::default(),
            runners: Crew::default(),
            wound_down: 0,
            succession,
            stopping: None,
            is_full: false,
            looked: now,
            awake_since: now,
            actions: Vec::new(),
        };
        supervisor.begin_generation(plan, now);
        let actions = std::mem::take(&mut supervisor.actions);
        (supervisor, actions)
    }

    /// Notes what has happened; returns what to do about it.
    pub(crate) fn handle(&mut self, event: Event, now: Instant) -> Vec<Action> {
        match event {
            Event::Forked { id, pid } => {
                if let Some(child) = self.children.get_mut(&id) {
                    child.pid = pid;
                }
            }
            Event::ForkFailed { id, reason } => self.note_fork_failure(id, &reason, now),
            Event::Said { id, message } => self.hear(id, message, now),
            Event::Died { id, death } => self.bury(id, death, now),
            Event::Signalled(signal) => self.obey(signal, now),
            Event::Reloaded(plan) => self.begin_generation(plan, now),
            Event::SuccessorStarted { pid } => self.note_successor(pid),
            Event::SuccessorFailed { reason } => {
                self.say(Level::Error, format!("Cannot start a new master: {reason}"));
            }
            Event::SuccessorEnded { death, reason } => self.note_end_of_successor(death, reason),
            Event::PredecessorEnded => self.promote(),
        }
        self.settle(now)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.is_some()
    }

    fn settle(&mut self, now: Instant) -> Vec<Action> {
        if self.stopping.is_none() {
            self.keep_numbers(now);
        }
        std::mem::take(&mut self.actions)
    }

    fn hear(&mut self, id: ChildId, message: Message, now: Instant) {
        let Some(child) = self.children.get_mut(&id) else {
            return;
        };
        match message {
            Message::Ready if child.state == State::Booting => self.note_ready(id, now),
            Message::Ready => {}
            Message::Alive => self.note_answer(id, now),
            Message::Draining => child.drains = true,
            Message::Changed { file, stamp } => {
                let generation = child.generation;
                self.note_change(generation, &file, stamp);
            }
            Message::Replace { reason } => child.wants_replacement = Some(reason),
            // [`Event::Forked`] says it. Of a failure the child has logged the reason itself; the rest
            // is told by its exit.
            Message::Born { .. } | Message::Failed { .. } => {}
        }
    }

    fn note_ready(&mut self, id: ChildId, now: Instant) {
        let Some(child) = self.children.get_mut(&id) else {
            return;
        };
        child.state = State::Ready;
        child.ready_at = Some(now);
        child.deadline = None;
        let (kind, generation) = (child.kind, child.generation);
        let replaced = child.replaces.take();
        self.say(Level::Debug, format!("{} is ready", self.name(id)));
        self.prove_generation(kind, generation);
        if let Some(old) = replaced {
            self.drain(old, now);
        }
    }

    fn bury(&mut self, id: ChildId, death: Death, now: Instant) {
        let Some(child) = self.children.remove(&id) else {
            return;
        };
        for other in self.children.values_mut() {
            if other.replaces == Some(id) {
                other.replaces = None;
            }
        }
        let lived = child
            .ready_at
            .map(|ready_at| now.saturating_duration_since(ready_at));
        let failed_to_boot = lived.is_none() && child.state != State::Draining;
        let died_young = lived.is_some_and(|lived| lived < DIED_YOUNG)
            && child.is_ready()
            && matches!(death.cause(), death::Cause::Exit | death::Cause::Crash);
        if lived.is_some_and(|lived| lived >= DIED_YOUNG) {
            self.crew_mut(child.kind).backoff.succeed();
        }
        let mut wait = None;
        if self.stopping.is_none() && (failed_to_boot || died_young) {
            wait = Some(self.crew_mut(child.kind).backoff.fail(now));
        }
        self.report(&child, death, wait);
        if self.stopping.is_some() {
            self.exit_when_alone();
        } else if failed_to_boot {
            self.judge_generation(child.kind, child.generation, death.exit_code(), now);
        }
    }

    /// Says how a child ended, and what follows.
    fn report(&mut self, child: &Child, death: Death, wait: Option<std::time::Duration>) {
        let follows = match wait {
            _ if self.stopping.is_some() => String::new(),
            _ if !self.generations.is_serving(child.generation) => String::new(),
            Some(wait) => format!("; trying again in {:.1} s", wait.as_secs_f64()),
            None => "; starting another".to_owned(),
        };
        let (level, text) = match child.state {
            State::Killed(why) => (Level::Error, format!("was killed: {why}{follows}")),
            State::Draining if death.exit_code() == Some(0) => (Level::Debug, "has ended".into()),
            State::Draining => (Level::Warn, format!("{death} while it drained")),
            State::Ready if death.exit_code() == Some(0) => {
                (Level::Warn, format!("ended without being told to{follows}"))
            }
            State::Booting if death.exit_code() == Some(4) => (
                Level::Error,
                format!("could not load the application{follows}"),
            ),
            State::Booting => (
                Level::Error,
                format!("{death} before it was ready{follows}"),
            ),
            State::Ready => (Level::Error, format!("{death}{follows}")),
        };
        self.say(level, format!("{child} {text}"));
    }

    fn note_fork_failure(&mut self, id: ChildId, reason: &str, now: Instant) {
        let Some(child) = self.children.remove(&id) else {
            return;
        };
        let wait = self.crew_mut(child.kind).backoff.fail(now);
        self.say(
            Level::Error,
            format!(
                "Cannot fork: {reason}; trying again in {:.1} s",
                wait.as_secs_f64()
            ),
        );
        self.judge_generation(child.kind, child.generation, None, now);
    }

    fn obey(&mut self, signal: Signal, now: Instant) {
        match signal {
            Signal::SIGTERM => self.shut_down(None, 0, now),
            Signal::SIGINT | Signal::SIGQUIT => self.shut_down(Some(signal), 0, now),
            Signal::SIGUSR1 => {
                self.actions.push(Action::ReopenLogs);
                for id in self.ids(|child| !matches!(child.state, State::Killed(_))) {
                    self.signal(id, signal);
                }
            }
            _ if self.stopping.is_some() => {}
            Signal::SIGHUP => self.ask_for_reload(),
            Signal::SIGTTIN => {
                let most = MAX_SLOTS.saturating_sub(self.runners.target);
                self.web.target = most.min(self.target(Kind::Web) + 1);
                self.wind_up();
                self.wound_down = 0;
            }
            Signal::SIGTTOU => self.web.target = self.web.target.saturating_sub(1).max(1),
            Signal::SIGWINCH => {
                self.actions.push(Action::MarkDeserted(true));
                self.wound_down = self.newest();
            }
            Signal::SIGUSR2 => self.ask_for_successor(),
            _ => {}
        }
    }

    /// Workers are to be started again after SIGWINCH, if that has come.
    fn wind_up(&mut self) {
        if self.wound_down == self.newest() {
            self.actions.push(Action::MarkDeserted(false));
        }
    }

    /// Tells a child to finish what it has and end.
    fn drain(&mut self, id: ChildId, now: Instant) {
        if let Some(child) = self.children.get_mut(&id)
            && child.is_live()
        {
            child.state = State::Draining;
            child.deadline = Some(now + child.graceful_timeout + watch::MARGIN);
            self.signal(id, Signal::SIGTERM);
        }
    }

    fn signal(&mut self, id: ChildId, signal: Signal) {
        self.actions.push(Action::Signal { id, signal });
    }

    fn say(&mut self, level: Level, text: String) {
        self.actions.push(Action::Say { level, text });
    }

    fn name(&self, id: ChildId) -> String {
        self.children
            .get(&id)
            .map_or_else(String::new, Child::to_string)
    }

    fn ids(&self, wanted: impl Fn(&Child) -> bool) -> Vec<ChildId> {
        self.children
            .values()
            .filter(|child| wanted(child))
            .map(|child| child.id)
            .collect()
    }

    fn crew_mut(&mut self, kind: Kind) -> &mut Crew {
        match kind {
            Kind::Web => &mut self.web,
            Kind::Runner => &mut self.runners,
        }
    }

    fn crew(&self, kind: Kind) -> &Crew {
        match kind {
            Kind::Web => &self.web,
            Kind::Runner => &self.runners,
        }
    }
}
