//! The supervisor decides which children there should be, and how to get there.
//!
//! A state machine without I/O: an [`Event`] goes in, [`Action`]s come out, time is an argument. The loop in
//! `master.rs` carries the actions out. The supervisor never forks, signals, reads a clock or writes a log itself, so
//! every rule of a child's life is tested without a process.
//!
//! ```text
//!   signals, messages, deaths --> Supervisor --> fork, signal, reload, log, exit
//!                                   |
//!                     children by age, target counts, generations
//! ```
//!
//! Each file has the rules for one thing: `reconcile` keeps the number of children right, `generations` replaces all
//! of them, `outcome` reports whether that has succeeded, `liveness` kills those that are late or silent, `aging` and
//! `memory` replace workers that are old or large, `refork` forks workers from a warm one, `delay` gives load balancers time before `shutdown` ends the server, `upgrade` tolerates a second master,
//! `worker_scale` has the number of workers.

mod aging;
mod backoff;
mod child;
mod death;
mod delay;
mod end_report;
mod event;
mod generations;
mod liveness;
mod memory;
mod memory_rules;
mod outcome;
mod plan;
mod reconcile;
mod refork;
mod restarts;
mod settling;
mod shutdown;
mod summary;
#[cfg(test)]
mod tests;
mod upgrade;
mod warm_mold;
mod worker_count;
mod worker_scale;

use std::collections::BTreeMap;
use std::time::Instant;

use log::Level;
use nix::sys::signal::Signal;
use oxicorn_common::Message;
use oxicorn_common::scoreboard::RestartReason;

use backoff::Backoff;
use child::{ChildState, MoldRole};
use generations::Generations;
use memory_rules::MemoryRules;
use settling::{EARLY_EXIT, Settling};
use warm_mold::WarmMold;

pub(crate) use child::{Child, ChildId, ChildKind};
pub(crate) use death::{Death, ExitKind};
pub(crate) use event::{Action, Event, SpawnRequest};
pub(crate) use liveness::Pulse;
pub(crate) use plan::Plan;
pub(crate) use upgrade::{NEW_MASTER_SUFFIX, UpgradeState};
pub(crate) use worker_scale::WorkerScale;

#[derive(Debug)]
pub(crate) struct Supervisor {
    /// In the order of their age.
    children: BTreeMap<ChildId, Child>,
    next_id: ChildId,
    generations: Generations,
    settling: Settling,
    memory: MemoryRules,
    warm_mold: WarmMold,
    web: ChildSet,
    /// The number of workers that operators have set: [`worker_scale`].
    floor: usize,
    runners: ChildSet,
    admin: ChildSet,
    /// SIGWINCH: generations up to this one have no children, until SIGTTIN.
    wound_down: u32,
    upgrade: UpgradeState,
    /// How many workers the old master says that the load needs.
    needed_before: Option<usize>,
    /// The master that this one has started has said that it serves.
    new_master_serves: bool,
    /// Why the last reload failed, if it did.
    reload_failure: Option<String>,
    /// SIGTERM has come, and the server drains at this time.
    drains_at: Option<Instant>,
    /// The exit code to end with, once the server stops.
    stopping: Option<i32>,
    /// The lack of a slot for a missing child has been logged.
    is_full: bool,
    /// When the last tick came, and since when ticks have come without a gap.
    last_tick: Instant,
    awake_since: Instant,
    /// The target number of workers, as last reported.
    workers_reported: usize,
    /// The actions of the current call.
    actions: Vec<Action>,
}

/// The children of one kind.
#[derive(Debug, Default)]
struct ChildSet {
    target: usize,
    backoff: Backoff,
}

impl Supervisor {
    /// Begins the first generation; the actions start its children. `needed` is how many workers the load needs, as the
    /// master says that has started this one.
    pub(crate) fn new(
        plan: Plan,
        upgrade: UpgradeState,
        needed: Option<usize>,
        now: Instant,
    ) -> (Self, Vec<Action>) {
        let mut supervisor = Self {
            workers_reported: plan.workers,
            children: BTreeMap::new(),
            next_id: 1,
            generations: Generations::default(),
            settling: Settling::default(),
            memory: MemoryRules::default(),
            warm_mold: WarmMold::default(),
            web: ChildSet::default(),
            floor: 0,
            runners: ChildSet::default(),
            admin: ChildSet::default(),
            wound_down: 0,
            upgrade,
            needed_before: needed,
            new_master_serves: false,
            reload_failure: None,
            drains_at: None,
            stopping: None,
            is_full: false,
            last_tick: now,
            awake_since: now,
            actions: Vec::new(),
        };
        supervisor.begin_generation(plan, now);
        let actions = std::mem::take(&mut supervisor.actions);
        (supervisor, actions)
    }

    /// Handles an event; returns the actions that follow from it.
    pub(crate) fn handle(&mut self, event: Event, now: Instant) -> Vec<Action> {
        match event {
            Event::Forked { id, pid } => {
                if let Some(child) = self.children.get_mut(&id) {
                    child.pid = pid;
                }
            }
            Event::ForkFailed { id, reason } => self.on_fork_failed(id, &reason, now),
            Event::Message { id, message } => self.on_message(id, message, now),
            Event::Exited { id, death } => self.on_exit(id, death, now),
            Event::OtherMemory { bytes } => self.memory.set_others(bytes),
            Event::MoldEnded { generation } => self.on_mold_ended(generation),
            Event::Signal(signal) => self.on_signal(signal, now),
            Event::Reloaded(plan) => self.begin_generation(plan, now),
            Event::ReloadFailed { reason } => self.on_reload_failed(&reason),
            Event::NewMasterStarted { pid } => self.on_new_master_started(pid),
            Event::NewMasterServes => self.on_new_master_serves(now),
            Event::NewMasterFailed { reason } => {
                self.log(Level::Error, format!("Cannot start a new master: {reason}"));
            }
            Event::NewMasterExited { death, reason } => self.on_new_master_exited(death, reason),
            Event::OldMasterExited => self.on_old_master_exited(),
            Event::Scaled { to, cause, figures } => self.on_scaled(to, cause, &figures),
        }
        self.settle(now)
    }

    /// All children, the oldest first.
    pub(crate) fn children(&self) -> impl Iterator<Item = &Child> {
        self.children.values()
    }

    fn settle(&mut self, now: Instant) -> Vec<Action> {
        if self.stopping.is_none() {
            self.reconcile(now);
            self.check_settling(now);
        }
        let workers = self.workers_wanted();
        if workers != self.workers_reported {
            self.report_workers(workers);
        }
        std::mem::take(&mut self.actions)
    }

    fn report_workers(&mut self, new: usize) {
        let old = std::mem::replace(&mut self.workers_reported, new);
        self.actions.push(Action::WorkersChanged { new, old });
    }

    fn on_message(&mut self, id: ChildId, message: Message, now: Instant) {
        let Some(child) = self.children.get_mut(&id) else {
            return;
        };
        match message {
            Message::Ready if child.state == ChildState::Booting => self.on_ready(id, now),
            Message::Ready => {}
            Message::Alive => self.on_alive(id, now),
            Message::Draining => child.drains = true,
            Message::Changed { file, stamp } => {
                let generation = child.generation;
                self.on_code_changed(generation, &file, stamp);
            }
            Message::Replace {
                why: RestartReason::Memory,
            } => self.on_too_large(id, now),
            // It is about to be replaced anyway, and is of more use as the mold.
            Message::Replace {
                why: RestartReason::MaxRequests,
            } if child.mold == MoldRole::Chosen => {}
            Message::Replace { why } => child.wants_replacement = Some(why),
            Message::Warm => self.on_warm(id),
            Message::BecomesMold => self.on_became_mold(id),
            Message::CannotBecomeMold { reason } => self.on_cannot_become_mold(id, &reason),
            Message::Memory { bytes } => self.on_memory(id, bytes, now),
            // The child has logged it itself. [`Event::Exited`] follows.
            Message::Failed { text, .. } => child.failure = Some(text),
            // [`Event::Forked`] follows.
            Message::Born { .. } => {}
            // For a client of the master.
            Message::Stack { .. } | Message::Stacked { .. } => {}
        }
    }

    fn on_ready(&mut self, id: ChildId, now: Instant) {
        let Some(child) = self.children.get_mut(&id) else {
            return;
        };
        child.state = ChildState::Ready;
        child.ready_at = Some(now);
        child.deadline = None;
        let (kind, generation) = (child.kind, child.generation);
        let replaced = child.replaces.take();
        self.log(Level::Debug, format!("{} is ready", self.name(id)));
        self.begin_aging(id, now);
        self.prove_generation(kind, generation);
        if let Some(old) = replaced {
            self.note_replaced(old);
            self.tell_mold(old);
            self.drain(old, now);
        }
    }

    fn on_exit(&mut self, id: ChildId, death: Death, now: Instant) {
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
        let failed_to_boot = lived.is_none() && child.state != ChildState::Draining;
        let exited_early = lived.is_some_and(|lived| lived < EARLY_EXIT)
            && child.is_ready()
            && matches!(death.cause(), death::Cause::Exit | death::Cause::Crash);
        if lived.is_some_and(|lived| lived >= EARLY_EXIT) {
            self.set_mut(child.kind).backoff.succeed();
        }
        let mut wait = None;
        if self.stopping.is_none() && (failed_to_boot || exited_early) {
            wait = Some(self.set_mut(child.kind).backoff.fail(now));
        }
        self.report(&child, death, wait);
        self.note_end(&child, death);
        self.note_end_for_mold(&child, failed_to_boot || exited_early, now);
        if failed_to_boot || exited_early {
            self.note_failed_boot(&child, death);
        }
        if self.stopping.is_some() {
            self.exit_when_alone(now);
        } else if failed_to_boot {
            self.judge_generation(child.kind, child.generation, death.exit_code(), now);
        }
    }

    fn on_fork_failed(&mut self, id: ChildId, reason: &str, now: Instant) {
        let Some(child) = self.children.remove(&id) else {
            return;
        };
        let wait = self.set_mut(child.kind).backoff.fail(now);
        self.log(
            Level::Error,
            format!(
                "Cannot fork: {reason}; trying again in {:.1} s",
                wait.as_secs_f64()
            ),
        );
        self.count_restart(child.kind, child.generation, RestartReason::Boot);
        self.note_failed_fork(&child, reason);
        self.judge_generation(child.kind, child.generation, None, now);
    }

    fn on_signal(&mut self, signal: Signal, now: Instant) {
        match signal {
            Signal::SIGTERM => self.on_term(now),
            Signal::SIGINT | Signal::SIGQUIT => self.shut_down(Some(signal), 0, now),
            Signal::SIGUSR1 => {
                self.actions.push(Action::ReopenLogs);
                for id in self.ids(|child| !matches!(child.state, ChildState::Killed(_))) {
                    self.signal(id, signal);
                }
            }
            _ if self.is_ending() => self.ignore(signal),
            Signal::SIGHUP => self.ask_for_reload(),
            Signal::SIGTTIN => self.raise_floor(),
            Signal::SIGTTOU => self.lower_floor(),
            Signal::SIGWINCH => {
                self.actions.push(Action::MarkDeserted(true));
                self.wound_down = self.newest();
            }
            Signal::SIGUSR2 => self.ask_for_new_master(),
            _ => {}
        }
    }

    /// Tells a child to finish its requests and end.
    fn drain(&mut self, id: ChildId, now: Instant) {
        if let Some(child) = self.children.get_mut(&id)
            && child.is_live()
        {
            child.state = ChildState::Draining;
            child.deadline = Some(now + child.graceful_timeout + liveness::MARGIN);
            self.signal(id, Signal::SIGTERM);
        }
    }

    fn signal(&mut self, id: ChildId, signal: Signal) {
        self.actions.push(Action::Signal { id, signal });
    }

    fn log(&mut self, level: Level, text: String) {
        self.actions.push(Action::Log { level, text });
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

    fn set_mut(&mut self, kind: ChildKind) -> &mut ChildSet {
        match kind {
            ChildKind::Web => &mut self.web,
            ChildKind::Runner => &mut self.runners,
            ChildKind::Admin => &mut self.admin,
        }
    }

    fn set(&self, kind: ChildKind) -> &ChildSet {
        match kind {
            ChildKind::Web => &self.web,
            ChildKind::Runner => &self.runners,
            ChildKind::Admin => &self.admin,
        }
    }
}
