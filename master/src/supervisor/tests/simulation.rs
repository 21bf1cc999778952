//! A supervisor under test: forks succeed, the test advances the clock, and every action is recorded.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use log::Level;
use nix::sys::signal::Signal;
use oxicorn_common::Message;
use oxicorn_common::scoreboard::RestartReason;

use crate::supervisor::{
    Action, ChildId, ChildKind, Death, Event, ExitKind, Plan, Pulse, SpawnRequest, Supervisor,
    UpgradeState,
};

pub(super) struct Simulation {
    pub(super) supervisor: Supervisor,
    pub(super) now: Instant,
    /// Everything but forks, in order.
    pub(super) done: Vec<Action>,
    /// The children that were forked and are alive, with their slots and generations.
    pub(super) alive: BTreeMap<ChildId, (ChildKind, usize, u32)>,
    pub(super) forks_fail: bool,
}

pub(super) fn plan(workers: usize, runners: usize) -> Plan {
    Plan {
        workers,
        scaling: None,
        runners,
        admin: false,
        timeout: Duration::from_secs(30),
        boot_timeout: Duration::ZERO,
        worker_max_age: Duration::ZERO,
        max_worker_memory: None,
        max_total_memory: None,
        reforks: false,
        graceful_timeout: Duration::from_secs(10),
        drain_delay: Duration::ZERO,
    }
}

/// The same with an admin process.
pub(super) fn plan_with_admin(workers: usize) -> Plan {
    Plan {
        admin: true,
        ..plan(workers, 0)
    }
}

impl Simulation {
    pub(super) fn new(plan: Plan) -> Self {
        Self::with(plan, UpgradeState::default(), None)
    }

    /// A server that serves, started by the master with the pid `old_master`.
    pub(super) fn new_master(plan: Plan, old_master: i32) -> Self {
        Self::new_master_under_load(plan, old_master, None)
    }

    /// The same, where the load needs so many workers.
    pub(super) fn new_master_under_load(
        plan: Plan,
        old_master: i32,
        needed: Option<usize>,
    ) -> Self {
        let old_master = Some(old_master);
        let mut sim = Self::with(
            plan,
            UpgradeState {
                old_master,
                new_master: None,
            },
            needed,
        );
        sim.all_ready();
        sim.done.clear();
        sim
    }

    fn with(plan: Plan, upgrade: UpgradeState, needed: Option<usize>) -> Self {
        let now = Instant::now();
        let (supervisor, actions) = Supervisor::new(plan, upgrade, needed, now);
        let mut sim = Self {
            supervisor,
            now,
            done: Vec::new(),
            alive: BTreeMap::new(),
            forks_fail: false,
        };
        sim.carry_out(actions);
        sim
    }

    /// A server whose first generation serves.
    pub(super) fn serving(plan: Plan) -> Self {
        let mut sim = Self::new(plan);
        sim.all_ready();
        sim.done.clear();
        sim
    }

    pub(super) fn handle(&mut self, event: Event) {
        let actions = self.supervisor.handle(event, self.now);
        self.carry_out(actions);
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            if let Action::AdoptMold { id, .. } = action {
                self.alive.remove(&id);
            }
            let Action::Fork(SpawnRequest {
                id,
                kind,
                slot,
                generation,
            }) = action
            else {
                self.done.push(action);
                continue;
            };
            let event = if self.forks_fail {
                let reason = "no memory".to_owned();
                Event::ForkFailed { id, reason }
            } else {
                let taken = self.alive.values().any(|&(_, other, _)| other == slot);
                assert!(!taken, "slot {slot} is taken");
                self.alive.insert(id, (kind, slot, generation));
                Event::Forked { id, pid: id as i32 }
            };
            self.handle(event);
        }
    }

    pub(super) fn message(&mut self, id: ChildId, message: Message) {
        self.handle(Event::Message { id, message });
    }

    pub(super) fn ready(&mut self, ids: &[ChildId]) {
        ids.iter().for_each(|&id| self.message(id, Message::Ready));
    }

    pub(super) fn all_ready(&mut self) {
        let ids: Vec<ChildId> = self.alive.keys().copied().collect();
        self.ready(&ids);
    }

    pub(super) fn ask_replacement(&mut self, id: ChildId) {
        let why = RestartReason::MaxRequests;
        self.message(id, Message::Replace { why });
    }

    pub(super) fn exits(&mut self, id: ChildId, code: i32) {
        self.dies(id, ExitKind::Exited { code });
    }

    pub(super) fn killed(&mut self, id: ChildId, signal: Signal) {
        let end = ExitKind::Signalled {
            signal: signal as i32,
            core_dumped: false,
        };
        self.dies(id, end);
    }

    fn dies(&mut self, id: ChildId, kind: ExitKind) {
        self.dies_of(id, kind, false);
    }

    pub(super) fn dies_of(&mut self, id: ChildId, kind: ExitKind, out_of_memory: bool) {
        self.alive.remove(&id).expect("a child that lives");
        let death = Death {
            kind,
            out_of_memory,
        };
        self.handle(Event::Exited { id, death });
    }

    pub(super) fn signal(&mut self, signal: Signal) {
        self.handle(Event::Signal(signal));
    }

    /// SIGHUP, and the settings are good.
    pub(super) fn reload(&mut self, plan: Plan) {
        self.signal(Signal::SIGHUP);
        assert!(self.take_reload());
        self.handle(Event::Reloaded(plan));
    }

    /// The number of recorded reloads.
    pub(super) fn reloads(&self) -> usize {
        let is_reload = |action: &&Action| matches!(action, Action::Reload { .. });
        self.done.iter().filter(is_reload).count()
    }

    /// Whether a reload was recorded; removes it from the record.
    pub(super) fn take_reload(&mut self) -> bool {
        let is_due = self.reloads() > 0;
        let is_reload = |action: &Action| matches!(action, Action::Reload { .. });
        self.done.retain(|action| !is_reload(action));
        is_due
    }

    /// Lets time pass, and calls the tick when the supervisor asks for it; all children beat.
    pub(super) fn advance(&mut self, time: Duration) {
        self.advance_with(time, |_| Duration::ZERO);
    }

    pub(super) fn advance_with(&mut self, time: Duration, silence: impl Fn(usize) -> Duration) {
        let end = self.now + time;
        while self.now < end {
            let next = self.supervisor.deadline(self.now).unwrap_or(end);
            self.now = next.clamp(self.now + Duration::from_millis(1), end);
            let actions = self.supervisor.on_tick(self.now, |slot| Pulse {
                silence: silence(slot),
            });
            self.carry_out(actions);
        }
    }

    /// The ids of the live children of one generation.
    pub(super) fn of_generation(&self, generation: u32) -> Vec<ChildId> {
        let ids = self.alive.iter();
        ids.filter(|(_, child)| child.2 == generation)
            .map(|(&id, _)| id)
            .collect()
    }

    /// The children that were sent `signal` since the last call; the rest of the record stays.
    pub(super) fn sent(&mut self, signal: Signal) -> Vec<ChildId> {
        let mut ids = Vec::new();
        self.done.retain(|action| match action {
            Action::Signal { id, signal: it } if *it == signal => {
                ids.push(*id);
                false
            }
            _ => true,
        });
        ids
    }

    pub(super) fn logged(&self, wanted: Level, text: &str) -> bool {
        let mut done = self.done.iter();
        done.any(|action| match action {
            Action::Log { level, text: it } => *level == wanted && it.contains(text),
            _ => false,
        })
    }

    /// The outcomes of reloads since the last call: generation, and why it has failed.
    pub(super) fn outcomes(&mut self) -> Vec<(u32, Option<String>)> {
        let mut outcomes = Vec::new();
        self.done.retain(|action| match action {
            Action::ReloadEnded {
                generation,
                failure,
            } => {
                outcomes.push((*generation, failure.clone()));
                false
            }
            _ => true,
        });
        outcomes
    }

    /// The generations that were overtaken since the last call.
    pub(super) fn overtaken(&mut self) -> Vec<u32> {
        let is_it = |action: &mut Action| matches!(action, Action::ReloadOvertaken { .. });
        let overtaken = self.done.extract_if(.., is_it);
        overtaken
            .filter_map(|action| match action {
                Action::ReloadOvertaken { generation } => Some(generation),
                _ => None,
            })
            .collect()
    }

    pub(super) fn exit_code(&self) -> Option<i32> {
        self.done.iter().find_map(|action| match action {
            Action::Exit { code } => Some(*code),
            _ => None,
        })
    }
}
