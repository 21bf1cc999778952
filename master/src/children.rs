//! The workers, runners and admin processes of the master: their processes, pipes and slots on the scoreboard.
//!
//! It forks, signals and reads; the supervisor decides. Workers that a mold has forked join here as soon as their
//! process exists.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};
use oxicorn_admin::ADMIN_THREADS;
use oxicorn_common::hooks::{HookError, HookEvent};
use oxicorn_common::message::channel;
use oxicorn_common::metrics::MetricMemory;
use oxicorn_common::scoreboard::Claimant;
use oxicorn_common::{MessageReceiver, Scoreboard};

use crate::child_context::{ChildContext, Forked, ForkedChild};
use crate::child_life::live;
use crate::child_link::{ChildLink, DrainedWorker, request_sockets};
use crate::generation::Generation;
use crate::hook_caller::HookCaller;
use crate::host::fork_blocking_signals;
use crate::new_child::NewChild;
use crate::supervisor::{ChildId, ChildKind, Death, Event, SpawnRequest};
use crate::sys;

#[derive(Debug)]
struct ChildProcess {
    pid: i32,
    kind: ChildKind,
    slot: usize,
    receiver: MessageReceiver,
    requests: Option<OwnedFd>,
}

#[derive(Debug)]
pub(crate) struct Children {
    processes: BTreeMap<ChildId, ChildProcess>,
    scoreboard: Scoreboard,
    metric_memory: MetricMemory,
}

impl Children {
    pub(crate) fn new(scoreboard: Scoreboard, metric_memory: MetricMemory) -> Self {
        Self {
            processes: BTreeMap::new(),
            scoreboard,
            metric_memory,
        }
    }

    /// Forks one child of `generation`; returns its pid in the master. `hooks` are those of the newest generation.
    pub(crate) fn spawn(
        &mut self,
        request: SpawnRequest,
        generation: &Generation,
        context: &ChildContext,
        hooks: &HookCaller,
    ) -> io::Result<Forked<i32>> {
        let (sender, receiver) = channel()?;
        let (ours, theirs) = match request.kind == ChildKind::Web && generation.reforks() {
            true => request_sockets().map(|(ours, theirs)| (Some(ours), Some(theirs)))?,
            false => (None, None),
        };
        self.claim_slot(request, generation);
        let child = NewChild {
            request,
            sender: Arc::new(sender),
            requests: theirs,
            parent: getpid(),
            pre_fork_error: call_pre_fork(&generation.hook_caller(), request),
        };
        match fork_blocking_signals(&*context.host, &mut sys::fork) {
            Ok(None) => {
                let work = move |context, generation| live(child, context, generation);
                let forked = ForkedChild::new(generation, work);
                Ok(Forked::Child(match request.kind {
                    ChildKind::Admin => forked.without_host(),
                    ChildKind::Web | ChildKind::Runner => forked,
                }))
            }
            Ok(Some(pid)) => {
                let pid = pid.as_raw();
                let link = ChildLink {
                    receiver,
                    requests: ours,
                };
                self.register(request, pid, link, hooks);
                Ok(Forked::Parent(pid))
            }
            Err(error) => {
                self.release_slot(request.slot);
                Err(error)
            }
        }
    }

    /// Takes the slot of a child that is about to be forked.
    pub(crate) fn claim_slot(&self, request: SpawnRequest, generation: &Generation) {
        let claimant = Claimant {
            kind: request.kind.slot_kind(),
            age: request.id,
            generation: request.generation,
            threads: match request.kind {
                ChildKind::Web => generation.settings.most_threads(),
                ChildKind::Runner => 0,
                ChildKind::Admin => ADMIN_THREADS,
            },
        };
        self.scoreboard.claim(request.slot, claimant);
        self.metric_memory.claim(request.slot);
    }

    pub(crate) fn release_slot(&self, slot: usize) {
        self.scoreboard.fold(slot);
        self.metric_memory.fold(slot);
    }

    /// Adds a child whose process exists.
    pub(crate) fn register(
        &mut self,
        request: SpawnRequest,
        pid: i32,
        link: ChildLink,
        hooks: &HookCaller,
    ) {
        if request.kind == ChildKind::Web {
            let age = request.id;
            hooks.call_or_log(HookEvent::Forked { age, pid });
        }
        self.scoreboard.set_pid(request.slot, pid);
        let process = ChildProcess {
            pid,
            kind: request.kind,
            slot: request.slot,
            receiver: link.receiver,
            requests: link.requests,
        };
        self.processes.insert(request.id, process);
    }

    /// Sends a signal. False if there is no such child.
    pub(crate) fn signal(&self, id: ChildId, signal: Signal) -> bool {
        let Some(child) = self.processes.get(&id) else {
            return false;
        };
        // A child that has ended is not reaped yet, so the pid is still its own.
        let _ = kill(Pid::from_raw(child.pid), signal);
        true
    }

    /// The worker with this pid.
    pub(crate) fn find(&self, pid: i32) -> Option<ChildId> {
        let is_it = |(_, child): &(&ChildId, &ChildProcess)| {
            child.pid == pid && child.kind == ChildKind::Web
        };
        self.processes.iter().find(is_it).map(|(&id, _)| id)
    }

    pub(crate) fn is_worker(&self, id: ChildId) -> bool {
        let child = self.processes.get(&id);
        child.is_some_and(|child| child.kind == ChildKind::Web)
    }

    /// The pipes that the master has to poll.
    pub(crate) fn pipes(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let receivers = self.processes.values().map(|child| &child.receiver);
        receivers
            .filter(|receiver| !receiver.is_closed())
            .map(AsFd::as_fd)
    }

    /// The messages of the children since the last call.
    pub(crate) fn read(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        for (&id, child) in &mut self.processes {
            if !child.receiver.is_closed() {
                let messages = child.receiver.read().into_iter();
                events.extend(messages.map(|message| Event::Message { id, message }));
            }
        }
        events
    }

    /// Removes a worker that has become a mold; its process lives on. `None` if it is gone.
    pub(crate) fn release(&mut self, id: ChildId, hooks: &HookCaller) -> Option<DrainedWorker> {
        let child = self.processes.remove(&id)?;
        hooks.call_or_log(HookEvent::ChildExit { age: id });
        self.release_slot(child.slot);
        Some(DrainedWorker {
            pid: child.pid,
            receiver: child.receiver,
            requests: child.requests?,
        })
    }

    pub(crate) fn pids(&self) -> impl Iterator<Item = i32> {
        self.processes.values().map(|child| child.pid)
    }

    /// Removes a child that was reaped. Its last messages come before the report of its end.
    pub(crate) fn on_exit(&mut self, pid: i32, death: Death, hooks: &HookCaller) -> Vec<Event> {
        let mut processes = self.processes.iter();
        let found = processes.find(|(_, child)| child.pid == pid);
        let Some(id) = found.map(|(&id, _)| id) else {
            return Vec::new();
        };
        let mut events = Vec::new();
        if let Some(mut child) = self.processes.remove(&id) {
            if child.kind == ChildKind::Web {
                hooks.call_or_log(HookEvent::ChildExit { age: id });
            }
            let messages = child.receiver.read().into_iter();
            events.extend(messages.map(|message| Event::Message { id, message }));
            self.release_slot(child.slot);
        }
        events.push(Event::Exited { id, death });
        events
    }
}

/// Calls `pre_fork` for a worker. If that raises an exception, the worker will not boot and reports it as the reason.
pub(crate) fn call_pre_fork(hooks: &HookCaller, request: SpawnRequest) -> Option<HookError> {
    let age = request.id;
    match request.kind {
        ChildKind::Web => hooks.call(HookEvent::PreFork { age }).err(),
        ChildKind::Runner | ChildKind::Admin => None,
    }
}

/// Names the limit that was reached: fork(2) has few errors, and they do not tell.
pub(crate) fn explain_spawn_error(error: &io::Error) -> String {
    let of = match error.raw_os_error() {
        Some(libc::EAGAIN) => {
            " processes: see RLIMIT_NPROC (ulimit -u) of the user, pids.max of the control group, and kernel.pid_max"
        }
        Some(libc::ENOMEM) => {
            " pages of memory: see memory.max of the control group, and vm.overcommit_memory"
        }
        Some(libc::EMFILE) => " descriptors: see RLIMIT_NOFILE (ulimit -n)",
        _ => return error.to_string(),
    };
    format!("{error}: too few{of}")
}
