//! Forks the children that the supervisor wants, and signals them: also those whose turn has not come.

use std::ops::ControlFlow::{self, Break, Continue};
use std::time::Instant;

use nix::sys::signal::Signal;
use oxicorn_common::exit_code;

use super::{Leave, Master};
use crate::child_context::Forked;
use crate::children::explain_spawn_error;
use crate::fork_queue::FORKS_PER_TURN;
use crate::supervisor::{ChildId, ChildKind, Death, Event, ExitKind, SpawnRequest, Supervisor};

impl Master {
    /// Forks those that have waited longest.
    pub(super) fn fork_some(&mut self, supervisor: &mut Supervisor) -> ControlFlow<Leave> {
        for _ in 0..FORKS_PER_TURN {
            let Some(request) = self.to_fork.next() else {
                break;
            };
            if let Some(outcome) = self.fork(request)? {
                let actions = supervisor.handle(outcome, Instant::now());
                self.carry_out(supervisor, actions)?;
            }
        }
        Continue(())
    }

    fn fork(&mut self, request: SpawnRequest) -> ControlFlow<Leave, Option<Event>> {
        let id = request.id;
        let failed = |reason| Continue(Some(Event::ForkFailed { id, reason }));
        let Some(generation) = self.generations.get(&request.generation) else {
            return failed("its generation is gone".to_owned());
        };
        let (context, children) = (&self.context, &mut self.children);
        self.lifetime.spawned += u64::from(request.kind == ChildKind::Web);
        let is_warm = self.molds.has_warm(request.generation);
        if request.kind == ChildKind::Web && (is_warm || generation.preloads()) {
            return match self.molds.spawn(request, generation, context, children) {
                // It has just ended. The worker is made without it.
                Err(_) if is_warm => {
                    self.to_fork.push(request);
                    self.discard_mold(request.generation);
                    Continue(None)
                }
                Ok(Forked::Parent(())) => Continue(None),
                Ok(Forked::Child(child)) => Break(Leave::Child(child)),
                Err(error) => failed(error.to_string()),
            };
        }
        match children.spawn(request, generation, context, &self.hooks) {
            Ok(Forked::Parent(pid)) => Continue(Some(Event::Forked { id, pid })),
            Ok(Forked::Child(child)) => Break(Leave::Child(child)),
            Err(error) => failed(explain_spawn_error(&error)),
        }
    }

    /// A worker is a mold from now on.
    pub(super) fn adopt_mold(&mut self, id: ChildId, generation: u32) {
        // If its end has been seen meanwhile, workers are made without it.
        let worker = self.children.release(id, &self.hooks);
        if let (Some(worker), Some(its)) = (worker, self.generations.get(&generation)) {
            self.molds.adopt(generation, worker, its.hook_caller());
            self.fork_unserved();
        }
    }

    /// Does without the mold of a generation.
    pub(super) fn discard_mold(&mut self, generation: u32) {
        self.molds.discard(generation);
        self.fork_unserved();
    }

    /// Forks the workers that a mold was asked for before it ended.
    pub(super) fn fork_unserved(&mut self) {
        for request in self.molds.take_unserved(&self.children) {
            self.to_fork.push(request);
        }
    }

    /// Signals a child. Returns its end as an event if it has no process yet: then it will get none.
    pub(super) fn signal(&mut self, id: ChildId, signal: Signal) -> Option<Event> {
        if self.to_fork.has(id) {
            // A new child opens the logs anyway.
            if signal == Signal::SIGUSR1 {
                return None;
            }
            self.to_fork.cancel(id);
            let death = Death {
                kind: ExitKind::Exited {
                    code: exit_code::SUCCESS,
                },
                out_of_memory: false,
            };
            return Some(Event::Exited { id, death });
        }
        if self.children.is_worker(id) {
            self.lifetime.count_signal(signal);
        }
        match self.children.signal(id, signal) {
            true => None,
            false => self.molds.signal(id, signal, &self.children),
        }
    }
}
