//! Molds: with `preload_app` the workers of one generation are forked from a process that has loaded the application
//! once, so that they share its memory until one of them writes to it.
//!
//! ```text
//!   master --fork--> mold: loads the application, sends "ready", waits
//!     |  --request, with the writing end of a pipe-->  |
//!     |                                                `--fork twice--> worker: "born", "ready", ...
//!     '----- reaps, as the subreaper of its orphans ----------------------'
//! ```
//!
//! The master itself loads nothing, so a reload makes a new mold and loads everything again. If a mold has ended, a
//! new one is made for the next worker that its generation needs. The supervisor does not know about molds: a fork
//! only takes longer.
//!
//! A worker may become the mold later (`warm`). This is the master's side; `process` is the mold's.

mod handle;
mod obstacles;
pub(crate) mod process;
mod warm;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::thread;
use std::time::{Duration, Instant};

use log::{error, warn};
use nix::sys::signal::Signal;
use oxicorn_common::hooks::HookEvent;
use oxicorn_common::{Message, exit_code};

use crate::child_context::{ChildContext, Forked};
use crate::child_link::ChildLink;
use crate::children::Children;
use crate::generation::Generation;
use crate::hook_caller::HookCaller;
use crate::supervisor::{ChildId, Death, Event, ExitKind, SpawnRequest};
use crate::sys;
use handle::{Mold, PendingWorker};

/// The molds of all generations.
#[derive(Debug, Default)]
pub(crate) struct Molds {
    by_generation: BTreeMap<u32, Mold>,
    /// Those that others have taken the place of. They have been killed.
    ending: Vec<Mold>,
    /// What they were asked for and have not done.
    unserved: Vec<SpawnRequest>,
    /// Why the last mold that failed could not boot.
    last_error: Option<String>,
}

impl Molds {
    /// Asks the mold of `generation` for a worker, and makes the mold if there is none. [`Molds::read`] returns the
    /// outcome, unless it fails at once.
    pub(crate) fn spawn(
        &mut self,
        request: SpawnRequest,
        generation: &Generation,
        context: &ChildContext,
        children: &Children,
    ) -> io::Result<Forked<()>> {
        let outcome = self.request(request, generation, context, children);
        if outcome.is_err() {
            self.take_pending(request.id);
            children.release_slot(request.slot);
        }
        outcome
    }

    fn request(
        &mut self,
        request: SpawnRequest,
        generation: &Generation,
        context: &ChildContext,
        children: &Children,
    ) -> io::Result<Forked<()>> {
        let number = request.generation;
        let usable = self.by_generation.get(&number).filter(|mold| !mold.retired);
        if usable.is_none() {
            let mut mold = match Mold::spawn(number, generation, context)? {
                Forked::Parent(mold) => mold,
                Forked::Child(child) => return Ok(Forked::Child(child)),
            };
            if let Some(old) = self.by_generation.remove(&number) {
                mold.pending = old.pending;
            }
            self.by_generation.insert(number, mold);
        }
        if let Some(mold) = self.by_generation.get_mut(&number) {
            let worker = PendingWorker {
                request,
                receiver: None,
                requests: None,
            };
            mold.pending.insert(request.id, worker);
            children.claim_slot(request, generation);
            if mold.ready {
                mold.send(request.id)?;
            }
        }
        Ok(Forked::Parent(()))
    }

    /// The pipes that the master has to poll.
    pub(crate) fn pipes(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.by_generation.values().flat_map(Mold::pipes)
    }

    /// The messages of molds and their workers since the last call. A worker whose process exists joins `children`.
    pub(crate) fn read(&mut self, children: &mut Children, hooks: &HookCaller) -> Vec<Event> {
        let numbers: Vec<u32> = self.by_generation.keys().copied().collect();
        let read = |number| self.read_mold(number, children, hooks);
        numbers.into_iter().flat_map(read).collect()
    }

    fn read_mold(
        &mut self,
        number: u32,
        children: &mut Children,
        hooks: &HookCaller,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        let Some(mold) = self.by_generation.get_mut(&number) else {
            return events;
        };
        let mut due = Vec::new();
        for message in mold.receiver.read() {
            match message {
                Message::Ready => {
                    mold.ready = true;
                    due = mold.pending.keys().copied().collect();
                }
                Message::Memory { bytes } => mold.memory = bytes,
                Message::Failed { text, .. } => {
                    mold.failure = Some(text.clone());
                    self.last_error = Some(text);
                }
                _ => {}
            }
        }
        let mut spoken = Vec::new();
        for (&id, pending) in &mut mold.pending {
            if let Some(receiver) = &mut pending.receiver {
                let messages = receiver.read();
                if !messages.is_empty() || receiver.is_closed() {
                    spoken.push((id, messages));
                }
            }
        }
        for (id, messages) in spoken {
            if let Some(pending) = mold.pending.remove(&id) {
                events.extend(deliver(pending, messages, children, hooks));
            }
        }
        let due = due.into_iter();
        events.extend(due.filter_map(|id| mold.send_or_fail(id, children)));
        events
    }

    fn take_pending(&mut self, id: ChildId) -> Option<PendingWorker> {
        let mut molds = self.by_generation.values_mut();
        molds.find_map(|mold| mold.pending.remove(&id))
    }

    /// Signals a worker that has no process yet, which cancels it. Returns its end as an event; `None` if there is no
    /// such worker.
    pub(crate) fn signal(
        &mut self,
        id: ChildId,
        signal: Signal,
        children: &Children,
    ) -> Option<Event> {
        if signal == Signal::SIGUSR1 {
            // A new worker opens the logs anyway.
            return None;
        }
        let SpawnRequest {
            slot, generation, ..
        } = self.take_pending(id)?.request;
        children.release_slot(slot);
        // A worker that is killed was not ready in time, because its mold is not.
        if matches!(signal, Signal::SIGABRT | Signal::SIGKILL)
            && let Some(mold) = self.by_generation.get_mut(&generation)
            && !mold.ready
        {
            mold.end();
        }
        let death = Death {
            kind: ExitKind::Exited {
                code: exit_code::SUCCESS,
            },
            out_of_memory: false,
        };
        Some(Event::Exited { id, death })
    }

    pub(crate) fn pids(&self) -> impl Iterator<Item = i32> {
        let molds = self.by_generation.values().chain(&self.ending);
        molds.map(|mold| mold.pid)
    }

    /// Removes a mold that was reaped, and with it the workers that it was asked for.
    pub(crate) fn on_exit(
        &mut self,
        pid: i32,
        death: Death,
        children: &mut Children,
        hooks: &HookCaller,
    ) -> Vec<Event> {
        if let Some(index) = self.ending.iter().position(|mold| mold.pid == pid) {
            self.ending.swap_remove(index);
            hooks.call_or_log(HookEvent::MoldExit { pid });
            return Vec::new();
        }
        let mut molds = self.by_generation.iter();
        let Some((&number, _)) = molds.find(|(_, mold)| mold.pid == pid) else {
            return Vec::new();
        };
        // The reason why it could not load the application is among its messages.
        let mut events = self.read_mold(number, children, hooks);
        let Some(mold) = self.by_generation.remove(&number) else {
            return events;
        };
        if !mold.retired && mold.ready {
            warn!("Mold (pid: {pid}) {death}; the next worker to be started brings another");
        } else if !mold.retired && death.exit_code().is_none() {
            error!("Mold (pid: {pid}) {death} before it was ready");
        }
        hooks.call_or_log(HookEvent::MoldExit { pid });
        if mold.warm {
            // Others can be made without it.
            let pending = mold.pending.into_values();
            self.unserved.extend(pending.map(|pending| pending.request));
            let generation = number;
            events.extend((!mold.retired).then_some(Event::MoldEnded { generation }));
            return events;
        }
        let failure = mold.failure;
        let text =
            failure.unwrap_or_else(|| format!("Mold (pid: {pid}) {death} before it was ready"));
        for (id, pending) in mold.pending {
            children.release_slot(pending.request.slot);
            if !mold.ready {
                let (exit_code, text) = (death.exit_code().unwrap_or(0), text.clone());
                let message = Message::Failed { exit_code, text };
                events.push(Event::Message { id, message });
            }
            events.push(Event::Exited { id, death });
        }
        events
    }

    /// Why the last mold that failed could not boot.
    pub(crate) fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// Ends the mold of a generation that starts no more workers.
    pub(crate) fn retire(&mut self, generation: u32) {
        if let Some(mold) = self.by_generation.get_mut(&generation) {
            mold.end();
        }
    }

    pub(crate) fn retire_all(&mut self) {
        self.by_generation.values_mut().for_each(Mold::end);
    }

    /// Ends all molds and waits for them, for a second at most, so that the config file is told of their ends.
    pub(crate) fn end_all(&mut self, children: &mut Children, hooks: &HookCaller) {
        self.retire_all();
        let until = Instant::now() + Duration::from_secs(1);
        while !(self.by_generation.is_empty() && self.ending.is_empty()) && Instant::now() < until {
            for pid in self.pids().collect::<Vec<_>>() {
                if let Some(kind) = sys::reap(pid) {
                    let out_of_memory = false;
                    let death = Death {
                        kind,
                        out_of_memory,
                    };
                    self.on_exit(pid, death, children, hooks);
                }
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// A worker's first message reports that it has a process, and the worker joins `children`. Otherwise the mold could
/// not fork it.
fn deliver(
    pending: PendingWorker,
    messages: Vec<Message>,
    children: &mut Children,
    hooks: &HookCaller,
) -> Vec<Event> {
    let SpawnRequest { id, slot, .. } = pending.request;
    let mut messages = messages.into_iter();
    let (Some(Message::Born { pid }), Some(receiver)) = (messages.next(), pending.receiver) else {
        children.release_slot(slot);
        let reason = "the mold could not".to_owned();
        return vec![Event::ForkFailed { id, reason }];
    };
    let link = ChildLink {
        receiver,
        requests: pending.requests,
    };
    children.register(pending.request, pid, link, hooks);
    let messages = messages.map(|message| Event::Message { id, message });
    [Event::Forked { id, pid }]
        .into_iter()
        .chain(messages)
        .collect()
}
