//! The master's loop: turns signals, messages and deaths into events of the supervisor, and carries out its actions.
//!
//! ```text
//!   signal pipe --.
//!   child pipes ---+-- poll --> events --> Supervisor --> actions --> fork, kill, reload, log
//!   control -------+               ^                         |
//!   deadline ------'               |                         |
//!                                 '------- outcomes --------'
//! ```
//!
//! One thread, for ever. It decides nothing itself, and does not ask the supervisor while it acts: an action that
//! fails is another event.

mod control_commands;
mod ending;
mod forking;
mod wakeup;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::ControlFlow::{self, Break, Continue};
use std::time::{Duration, Instant};

use log::{info, log};
use oxicorn_common::clock::monotonic_millis;
use oxicorn_common::hooks::HookEvent;
use oxicorn_common::{Message, SignalPipe, exit_code, logging};

use crate::child_context::{ChildContext, Forked, ForkedChild};
use crate::children::Children;
use crate::control::Control;
use crate::fork_queue::ForkQueue;
use crate::gauges::Gauges;
use crate::generation::{Generation, longest_end};
use crate::hook_caller::HookCaller;
use crate::launch::Launch;
use crate::lifetime::Lifetime;
use crate::listeners::Listeners;
use crate::mold::Molds;
use crate::notify::Notifier;
use crate::other_memory::OtherMemory;
use crate::pidfile::Pidfile;
use crate::ready_pipe::ReadySender;
use crate::reap::{Reaper, ended_orphans};
use crate::reload::reload;
use crate::scaling::{AutoScaler, fit_new_master};
use crate::supervisor::{Action, Event, Pulse, Supervisor};
use crate::upgrade::Upgrade;
use crate::{config_children, master_signals};

pub(crate) struct Master {
    /// Children inherit it. Of the rest of the master they keep only their generation.
    pub(crate) context: ChildContext,
    pub(crate) launch: Launch,
    /// The generations that may still start children; the last is the newest.
    pub(crate) generations: BTreeMap<u32, Generation>,
    /// Those of the newest generation.
    pub(crate) hooks: HookCaller,
    pub(crate) children: Children,
    pub(crate) molds: Molds,
    pub(crate) to_fork: ForkQueue,
    pub(crate) upgrade: Upgrade,
    pub(crate) reaper: Reaper,
    pub(crate) signals: SignalPipe,
    pub(crate) pidfile: Option<Pidfile>,
    pub(crate) ready_sender: ReadySender,
    pub(crate) notifier: Notifier,
    pub(crate) gauges: Gauges,
    pub(crate) scaler: AutoScaler,
    /// Those of generations that are over: while the server stops, the admin process answers to the end.
    pub(crate) admin_listeners: Vec<Listeners>,
    pub(crate) control: Control,
    pub(crate) lifetime: Lifetime,
    pub(crate) other_memory: OtherMemory,
    /// Why the last child that failed could not boot.
    pub(crate) last_error: Option<String>,
}

/// Why the loop ends.
enum Leave {
    /// The server has ended, with this exit code.
    Exit(i32),
    /// This process was just forked.
    Child(ForkedChild),
}

impl Master {
    /// Serves until told to end; returns the exit code. Does not return in children.
    pub(crate) fn run(mut self) -> i32 {
        let Some(first) = self.generations.values().next() else {
            return exit_code::CONFIGURATION_ERROR;
        };
        // The config file was executed before the first fork, so none of these children is ours.
        config_children::note_all();
        let state = self.upgrade.state();
        let needed = self.upgrade.workers_needed();
        let (mut supervisor, actions) =
            Supervisor::new(first.plan(), state, needed, Instant::now());
        let Break(leave) = self.serve(&mut supervisor, actions);
        match leave {
            Leave::Exit(code) => self.finish(code),
            Leave::Child(child) => {
                drop(supervisor);
                child.run(self.into_child_context())
            }
        }
    }

    /// The part that a child keeps. The rest is dropped, with all its descriptors.
    fn into_child_context(self) -> ChildContext {
        self.context
    }

    fn serve(
        &mut self,
        supervisor: &mut Supervisor,
        actions: Vec<Action>,
    ) -> ControlFlow<Leave, Infallible> {
        self.begin_figures(supervisor);
        self.carry_out(supervisor, actions)?;
        loop {
            self.notifier.keep_alive(Instant::now());
            self.wait(supervisor.deadline(Instant::now()));
            let before = self.upgrade.state();
            self.turn(supervisor)?;
            let now = self.upgrade.state();
            if now != before {
                self.hooks.report_upgrade(now);
            }
        }
    }

    /// Handles all events since the last call.
    fn turn(&mut self, supervisor: &mut Supervisor) -> ControlFlow<Leave> {
        let signals = self.signals.take();
        let mut events = self.molds.read(&mut self.children, &self.hooks);
        events.extend(self.children.read());
        events.extend(self.reap());
        events.extend(self.upgrade.check_old_master());
        let signals = signals.into_iter();
        events.extend(signals.filter_map(master_signals::event_of));
        for event in events {
            if let Event::Message {
                message: Message::Failed { text, .. },
                ..
            } = &event
            {
                self.last_error = Some(text.clone());
            }
            self.control.note_event(&event);
            if let Event::NewMasterExited { death, reason } = &event {
                let outcome = reason.clone().unwrap_or_else(|| death.to_string());
                self.control.end_upgrade(Err(&outcome));
                self.clean_up_after_new_master();
            }
            let actions = supervisor.handle(event, Instant::now());
            self.carry_out(supervisor, actions)?;
        }
        if supervisor.limits_total_memory()
            && let Some(event) = self
                .other_memory
                .measure(self.molds.memory(), Instant::now())
        {
            let actions = supervisor.handle(event, Instant::now());
            self.carry_out(supervisor, actions)?;
        }
        let now = monotonic_millis();
        let board = &self.context.shared.scoreboard;
        let actions = supervisor.on_tick(Instant::now(), |slot| {
            let beat = board.slot(slot).heartbeat();
            Pulse {
                silence: silence(now, beat),
            }
        });
        self.carry_out(supervisor, actions)?;
        if let Some(pid) = self.upgrade.take_served() {
            info!("The new master (pid: {pid}) serves");
            self.control.end_upgrade(Ok(pid));
            let actions = supervisor.handle(Event::NewMasterServes, Instant::now());
            self.carry_out(supervisor, actions)?;
        }
        self.serve_control(supervisor)?;
        self.scale(supervisor)?;
        self.fork_some(supervisor)?;
        let newest = self.generations.values().next_back();
        self.gauges
            .report(supervisor.workers(), newest, Instant::now());
        if self.notifier.is_on() {
            self.notifier.show(&supervisor.summary());
        }
        self.show(supervisor);
        Continue(())
    }

    /// Lets the load decide how many workers there are, where the settings say so.
    fn scale(&mut self, supervisor: &mut Supervisor) -> ControlFlow<Leave> {
        let (now, shared) = (Instant::now(), &self.context.shared);
        if let Some(event) = self.scaler.turn(supervisor.scale(), shared, now) {
            let actions = supervisor.handle(event, now);
            self.carry_out(supervisor, actions)?;
        }
        Continue(())
    }

    /// The deaths of children, each after the child's last messages.
    fn reap(&mut self) -> Vec<Event> {
        let orphans = ended_orphans();
        let mut events = self.molds.read(&mut self.children, &self.hooks);
        let new_master = self.upgrade.state().new_master;
        let known = self.children.pids().chain(self.molds.pids());
        let known = known.chain(new_master).collect();
        for (pid, death) in self.reaper.reap(&known, &orphans) {
            if Some(pid) == new_master {
                events.push(self.upgrade.on_new_master_exit(death));
                self.fold_other_master();
            } else {
                let (children, hooks) = (&mut self.children, &self.hooks);
                events.extend(self.molds.on_exit(pid, death, children, hooks));
                events.extend(self.children.on_exit(pid, death, hooks));
                self.fork_unserved();
            }
        }
        events
    }

    /// Carries out actions, and those that follow from their outcomes.
    fn carry_out(
        &mut self,
        supervisor: &mut Supervisor,
        mut actions: Vec<Action>,
    ) -> ControlFlow<Leave> {
        while !actions.is_empty() {
            let board = &self.context.shared.scoreboard;
            // First: whoever is told to end has to see it.
            board.set_server_state(supervisor.server_state());
            let mut outcomes = Vec::new();
            for action in actions {
                self.notifier.keep(&supervisor.summary());
                outcomes.extend(self.act(action)?);
            }
            let outcomes = outcomes.into_iter();
            actions = outcomes
                .flat_map(|event| supervisor.handle(event, Instant::now()))
                .collect();
        }
        Continue(())
    }

    /// Carries out one action. Returns the outcome if the supervisor waits for one.
    fn act(&mut self, action: Action) -> ControlFlow<Leave, Option<Event>> {
        match action {
            Action::Fork(request) => self.to_fork.push(request),
            Action::StartNewMaster { workers } => return self.start_new_master(workers),
            Action::Exit { code } => return Break(Leave::Exit(code)),
            Action::Reload { generation } => return Continue(Some(self.reload(generation))),
            Action::Signal { id, signal } => return Continue(self.signal(id, signal)),
            Action::Forget { generation } => self.forget(generation),
            Action::MarkDeserted(deserted) => self.mark_deserted(deserted),
            Action::ChooseMold { slot } => self.context.shared.scoreboard.choose_mold(slot),
            Action::AdoptMold { id, generation } => self.adopt_mold(id, generation),
            Action::EndMold { generation } => self.discard_mold(generation),
            Action::ReopenLogs => {
                logging::reopen();
                self.molds.reopen_logs();
            }
            Action::WorkersChanged { new, old } => {
                let old = Some(old);
                self.hooks
                    .call_or_log(HookEvent::WorkersChanged { new, old });
            }
            Action::MarkDraining => {
                let (delay, drain) = longest_end(&self.generations);
                match self.upgrade.state().new_master {
                    Some(_) => self.notifier.extend(delay + drain),
                    None => self.notifier.stopping(delay + drain),
                }
            }
            Action::MarkStopping { code } => {
                let reason = (code != 0).then(|| self.boot_failure().to_owned());
                self.control.stop(reason.as_deref());
                self.mark_deserted(true);
                let (_, longest) = longest_end(&self.generations);
                match self.upgrade.state().new_master {
                    Some(new_master) => self.notifier.handed_over_to(new_master, longest),
                    None => self.notifier.stopping(longest),
                }
                self.molds.retire_all();
                self.close_listeners();
            }
            Action::CloseListeners => self.close_listeners(),
            Action::Serving => {
                self.ready_sender.serving();
                self.notifier.ready();
            }
            Action::CountRestart(reason) => self.context.shared.scoreboard.count_restart(reason),
            Action::CountScaling { cause, from, to } => {
                self.context
                    .shared
                    .scoreboard
                    .count_scaling(cause, from, to);
            }
            Action::Log { level, text } => {
                log!(level, "{text}");
                self.control.report(level, &text);
            }
            Action::ReloadEnded {
                generation,
                failure,
            } => {
                self.note_reload(generation, failure.as_deref());
                self.control.end_reload(generation, failure.as_deref());
            }
            Action::ReloadOvertaken { generation } => self.note_reload(generation, None),
            Action::Promote => {
                self.upgrade.on_promotion();
                self.fold_other_master();
                self.promote();
            }
        }
        Continue(None)
    }

    fn start_new_master(&mut self, workers: usize) -> ControlFlow<Leave, Option<Event>> {
        let failed = |reason| Continue(Some(Event::NewMasterFailed { reason }));
        let Some(newest) = self.generations.values().next_back() else {
            return failed("there is nothing to serve".to_owned());
        };
        // The master before, if there was one, is gone: the new one gets its side.
        let scoreboard = &self.context.shared.scoreboard;
        scoreboard.fold_other_side();
        let workers = fit_new_master(workers, newest.plan().workers, scoreboard);
        let command = &self.launch.command;
        match self.upgrade.start(command, workers, newest, &self.context) {
            Ok(Forked::Parent(event)) => Continue(Some(event)),
            Ok(Forked::Child(child)) => Break(Leave::Child(child)),
            Err(error) => {
                self.control.end_upgrade(Err(&error.to_string()));
                failed(error.to_string())
            }
        }
    }

    fn reload(&mut self, number: u32) -> Event {
        self.notifier.reloading();
        self.lifetime.reloads += 1;
        let state = self.upgrade.state();
        let (pidfile, memory) = (&mut self.pidfile, &self.context.shared.metric_memory);
        match reload(&self.launch, &self.generations, pidfile, state, memory) {
            Ok(next) => {
                info!("Hang up: {}", state.name());
                self.hooks = next.hook_caller();
                self.show_title(&next.name());
                self.control.configure(&next, state.suffix());
                let plan = next.plan();
                self.generations.insert(number, next);
                Event::Reloaded(plan)
            }
            Err(reason) => Event::ReloadFailed {
                reason: format!("{reason:#}"),
            },
        }
    }

    fn show_title(&mut self, name: &str) {
        let suffix = self.upgrade.state().suffix();
        self.context.title.rename(&format!("{name}{suffix}"));
        self.context.title.show("master");
    }

    fn mark_deserted(&self, deserted: bool) {
        self.context.shared.scoreboard.set_deserted(deserted);
    }
}

/// The age of a heartbeat. A heartbeat in the future counts as new.
fn silence(now: u64, beat: u64) -> Duration {
    match beat > now + 1000 {
        true => Duration::MAX,
        false => Duration::from_millis(now.saturating_sub(beat)),
    }
}
