//! [`Mold`]: one mold, as the master has it.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};
use oxicorn_common::MessageReceiver;
use oxicorn_common::message::channel;

use super::process::{self, MoldProcess};
use crate::child_context::{ChildContext, Forked, ForkedChild};
use crate::child_link::request_sockets;
use crate::children::{Children, call_pre_fork};
use crate::generation::{Generation, reforks};
use crate::hook_caller::HookCaller;
use crate::host::fork_blocking_signals;
use crate::supervisor::{ChildId, Event, SpawnRequest};
use crate::sys;

/// A mold as the master knows it.
#[derive(Debug)]
pub(super) struct Mold {
    pub(super) pid: i32,
    pub(super) receiver: MessageReceiver,
    pub(super) requests: OwnedFd,
    /// Those of its generation.
    pub(super) hooks: HookCaller,
    /// The application is loaded.
    pub(super) ready: bool,
    /// It has been told to end.
    pub(super) retired: bool,
    /// It was a worker.
    pub(super) warm: bool,
    /// What it uses, in bytes, as it has measured.
    pub(super) memory: u64,
    /// Why it could not load the application, as it has reported.
    pub(super) failure: Option<String>,
    /// In the order of their age.
    pub(super) pending: BTreeMap<ChildId, PendingWorker>,
}

/// A worker that the supervisor waits for.
#[derive(Debug)]
pub(super) struct PendingWorker {
    pub(super) request: SpawnRequest,
    /// Set when the mold has the request.
    pub(super) receiver: Option<MessageReceiver>,
    /// Over which the worker would be asked for others, if it became a mold.
    pub(super) requests: Option<OwnedFd>,
}

impl Mold {
    pub(super) fn new(
        pid: i32,
        receiver: MessageReceiver,
        requests: OwnedFd,
        hooks: HookCaller,
    ) -> Self {
        Self {
            pid,
            receiver,
            requests,
            hooks,
            ready: false,
            retired: false,
            warm: false,
            memory: 0,
            failure: None,
            pending: BTreeMap::new(),
        }
    }

    /// Forks the mold of a generation.
    pub(super) fn spawn(
        number: u32,
        generation: &Generation,
        context: &ChildContext,
    ) -> io::Result<Forked<Self>> {
        let (sender, receiver) = channel()?;
        let (requests, theirs) = request_sockets()?;
        prctl::set_child_subreaper(true)?;
        let process = MoldProcess {
            sender: Arc::new(sender),
            requests: theirs,
            parent: getpid(),
            number,
            is_warm: false,
        };
        Ok(
            match fork_blocking_signals(&*context.host, &mut sys::fork)? {
                None => Forked::Child(ForkedChild::new(generation, move |context, generation| {
                    process.run(context, generation)
                })),
                Some(pid) => {
                    let hooks = generation.hook_caller();
                    Forked::Parent(Self::new(pid.as_raw(), receiver, requests, hooks))
                }
            },
        )
    }

    pub(super) fn pipes(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let pending = self.pending.values();
        let receivers = pending.filter_map(|pending| pending.receiver.as_ref());
        receivers
            .chain([&self.receiver])
            .filter(|receiver| !receiver.is_closed())
            .map(AsFd::as_fd)
    }

    /// Sends the request for a worker to a mold that is ready.
    pub(super) fn send(&mut self, id: ChildId) -> io::Result<()> {
        let Some(pending) = self.pending.get_mut(&id) else {
            return Ok(());
        };
        let error = call_pre_fork(&self.hooks, pending.request);
        let (sender, receiver) = channel()?;
        let (ours, theirs) = match reforks(&self.hooks.settings) {
            true => request_sockets().map(|(ours, theirs)| (Some(ours), Some(theirs)))?,
            false => (None, None),
        };
        let pipes = process::WorkerPipes {
            sender,
            requests: theirs,
        };
        process::send_request(&self.requests, pending.request, error.as_ref(), pipes)?;
        pending.receiver = Some(receiver);
        pending.requests = ours;
        Ok(())
    }

    /// As [`Mold::send`]; a failure is an event.
    pub(super) fn send_or_fail(&mut self, id: ChildId, children: &Children) -> Option<Event> {
        let error = self.send(id).err()?;
        let pending = self.pending.remove(&id)?;
        children.release_slot(pending.request.slot);
        let reason = error.to_string();
        Some(Event::ForkFailed { id, reason })
    }

    /// Kills the process, whatever its application is doing.
    pub(super) fn end(&mut self) {
        self.retired = true;
        // It is not reaped yet, so the pid is still its own.
        let _ = kill(Pid::from_raw(self.pid), Signal::SIGKILL);
    }
}
