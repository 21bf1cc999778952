//! The mold: the process that the workers of one generation are forked from, where their application
//! is to be loaded once (`preload_app`).
//!
//! ```text
//!   master --fork--> mold: loads the application, says ready, waits
//!     |  --request, with the writing end of a pipe-->  |
//!     |                                              `--fork twice--> worker: born, ready, ...
//!     '----- reaps, as the subreaper of its orphans ---------------------'
//! ```
//!
//! What has been loaded is shared by the workers until one writes to it. The master itself loads
//! nothing, so that a reload, which is a new mold, loads everything anew. A mold that is gone is made
//! again for the next worker that its generation needs.
//!
//! This is the master's side; `process` is the other one.

mod process;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use log::{error, warn};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::{Pid, getpid};
use oxicorn_common::hooks::HookEvent;
use oxicorn_common::message::channel;
use oxicorn_common::{Message, MessageReceiver};

use crate::master::Master;
use crate::spawn::{SpawnRequest, announce, claim, fork_to, register};
use crate::supervisor::{ChildId, Death, Event, ExitKind, UpgradeState};
use process::MoldProcess;

/// A mold as the master knows it.
#[derive(Debug)]
pub(crate) struct Mold {
    pid: i32,
    receiver: MessageReceiver,
    requests: OwnedFd,
    /// The application is loaded.
    ready: bool,
    /// It has been told to end.
    retired: bool,
    /// In the order of their age.
    pending: BTreeMap<ChildId, PendingWorker>,
}

/// A worker that the supervisor has been promised.
#[derive(Debug)]
struct PendingWorker {
    request: SpawnRequest,
    /// Set once the mold has the request.
    receiver: Option<MessageReceiver>,
}

impl Mold {
    /// What the master has to listen to.
    pub(crate) fn pipes(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let pending = self.pending.values();
        let receivers = pending.filter_map(|pending| pending.receiver.as_ref());
        receivers
            .chain([&self.receiver])
            .filter(|receiver| !receiver.is_closed())
            .map(AsFd::as_fd)
    }

    /// Ends the process, whatever its application does.
    fn end(&mut self) {
        self.retired = true;
        // It is not reaped yet, so the pid is still its own.
        let _ = kill(Pid::from_raw(self.pid), Signal::SIGKILL);
    }
}

impl Master {
    /// Has a worker made by the mold of its generation. What comes of it is told by
    /// [`Master::listen_to_molds`], unless it fails at once.
    pub(crate) fn request(&mut self, request: SpawnRequest) -> Option<Event> {
        let outcome = self.mold_of(request).and_then(|ready| {
            claim(self, request)?;
            Ok(ready)
        });
        match outcome {
            Ok(true) => self.send(request),
            Ok(false) => None,
            Err(error) => Some(fork_failed(request, &error)),
        }
        .inspect(|_| self.give_up(request))
    }

    /// The supervisor is told that nothing comes of a request.
    fn give_up(&mut self, request: SpawnRequest) {
        self.take_pending(request.id);
        self.shared.scoreboard.fold(request.slot);
    }

    /// Notes the request at the mold that will have it, which is made if there is none. True when that
    /// is ready.
    fn mold_of(&mut self, request: SpawnRequest) -> io::Result<bool> {
        let number = request.generation;
        let mut orphans = BTreeMap::new();
        if self.molds.get(&number).is_none_or(|mold| mold.retired) {
            let mold = make(self, number)?;
            if let Some(old) = self.molds.insert(number, mold) {
                orphans = old.pending;
            }
        }
        let mold = self.molds.get_mut(&number).ok_or(io::ErrorKind::NotFound)?;
        mold.pending.append(&mut orphans);
        let receiver = None;
        mold.pending
            .insert(request.id, PendingWorker { request, receiver });
        Ok(mold.ready)
    }

    /// Gives a request to a mold that is ready. The event is that it cannot be given.
    fn send(&mut self, request: SpawnRequest) -> Option<Event> {
        let refusal = announce(self, request);
        let mold = self.molds.get_mut(&request.generation)?;
        let pending = mold.pending.get_mut(&request.id)?;
        let given = channel().and_then(|(sender, receiver)| {
            process::send_request(&mold.requests, request, refusal.as_ref(), sender)?;
            pending.receiver = Some(receiver);
            Ok(())
        });
        given.err().map(|error| fork_failed(request, &error))
    }

    /// What molds have said, and the workers to be.
    pub(crate) fn listen_to_molds(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        let numbers: Vec<u32> = self.molds.keys().copied().collect();
        for number in numbers {
            events.extend(self.listen_to_mold(number));
        }
        events
    }

    fn listen_to_mold(&mut self, number: u32) -> Vec<Event> {
        let Some(mold) = self.molds.get_mut(&number) else {
            return Vec::new();
        };
        let mut due = Vec::new();
        for message in mold.receiver.read() {
            match message {
                Message::Ready => {
                    mold.ready = true;
                    due = mold
                        .pending
                        .values()
                        .map(|pending| pending.request)
                        .collect();
                }
                Message::Failed { text, .. } => self.last_words = Some(text),
                _ => {}
            }
        }
        let mut said = Vec::new();
        for (&id, pending) in &mut mold.pending {
            if let Some(receiver) = &mut pending.receiver {
                let messages = receiver.read();
                if !messages.is_empty() || receiver.is_closed() {
                    said.push((id, messages));
                }
            }
        }
        let mut events = Vec::new();
        for (id, messages) in said {
            events.extend(self.deliver(id, messages));
        }
        for request in due {
            if let Some(failed) = self.send(request) {
                self.give_up(request);
                events.push(failed);
            }
        }
        events
    }

    /// Has a worker among the children once it is there; `messages` begin with its birth.
    fn deliver(&mut self, id: ChildId, messages: Vec<Message>) -> Vec<Event> {
        let Some(pending) = self.take_pending(id) else {
            return Vec::new();
        };
        let mut messages = messages.into_iter();
        let (Some(Message::Born { pid }), Some(receiver)) = (messages.next(), pending.receiver)
        else {
            self.shared.scoreboard.fold(pending.request.slot);
            let reason = "the mold could not".to_owned();
            return vec![Event::ForkFailed { id, reason }];
        };
        let process = register(self, pending.request, pid, receiver);
        self.children.insert(id, process);
        let said = messages.map(|message| Event::Message { id, message });
        [Event::Forked { id, pid }]
            .into_iter()
            .chain(said)
            .collect()
    }

    fn take_pending(&mut self, id: ChildId) -> Option<PendingWorker> {
        let mut molds = self.molds.values_mut();
        molds.find_map(|mold| mold.pending.remove(&id))
    }

    /// Calls off a worker that is to be. The event is its end; `None` where there is no such worker.
    pub(crate) fn call_off(&mut self, id: ChildId, signal: Signal) -> Option<Event> {
        if signal == Signal::SIGUSR1 {
            // It will open the logs anew by itself.
            return None;
        }
        let pending = self.take_pending(id)?;
        self.shared.scoreboard.fold(pending.request.slot);
        // One that is told to end by force was not ready in time, for its mold is not.
        if matches!(signal, Signal::SIGABRT | Signal::SIGKILL)
            && let Some(mold) = self.molds.get_mut(&pending.request.generation)
            && !mold.ready
        {
            mold.end();
        }
        Some(called_off(id))
    }

    pub(crate) fn pids_of_molds(&self) -> impl Iterator<Item = i32> {
        self.molds.values().map(|mold| mold.pid)
    }

    pub(crate) fn is_mold(&self, pid: i32) -> bool {
        self.molds.values().any(|mold| mold.pid == pid)
    }

    /// A mold has ended, and with it the hopes of all that it should have made.
    pub(crate) fn bury_mold(&mut self, pid: i32, death: Death) -> Vec<Event> {
        let found = self.molds.iter().find(|(_, mold)| mold.pid == pid);
        let Some(number) = found.map(|(&number, _)| number) else {
            return Vec::new();
        };
        // Why it could not load the application is among what it has said.
        let mut events = self.listen_to_mold(number);
        let Some(mold) = self.molds.remove(&number) else {
            return events;
        };
        if !mold.retired && mold.ready {
            warn!("Mold (pid: {pid}) {death}; the next worker to be started brings another");
        } else if !mold.retired && death.exit_code().is_none() {
            error!("Mold (pid: {pid}) {death} before it was ready");
        }
        self.hook_caller.call_or_log(HookEvent::MoldExit { pid });
        for (id, pending) in mold.pending {
            self.shared.scoreboard.fold(pending.request.slot);
            events.push(Event::Exited { id, death });
        }
        events
    }

    /// Ends the mold of a generation that starts no more workers.
    pub(crate) fn retire_mold(&mut self, generation: u32) {
        if let Some(mold) = self.molds.get_mut(&generation) {
            mold.end();
        }
    }

    pub(crate) fn retire_molds(&mut self) {
        self.molds.values_mut().for_each(Mold::end);
    }

    /// Kills the molds that are left, and has their ends told to whoever wants to know.
    pub(crate) fn see_molds_end(&mut self, succession: UpgradeState) {
        self.retire_molds();
        let until = Instant::now() + Duration::from_secs(1);
        while !self.molds.is_empty() && Instant::now() < until {
            // The children are gone already.
            drop(self.collect_dead(succession));
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Forks the mold of a generation.
fn make(master: &mut Master, number: u32) -> io::Result<Mold> {
    let (sender, receiver) = channel()?;
    let flags = SockFlag::SOCK_CLOEXEC;
    let (requests, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
    prctl::set_child_subreaper(true)?;
    let parent = getpid();
    let mut ours = Some((receiver, requests));
    let pid = fork_to(master, crate::sys::fork, |master| {
        ours = None;
        MoldProcess {
            sender,
            requests: theirs,
            parent,
        }
        .live(master, number)
    })?;
    let (receiver, requests) = ours.take().ok_or(io::ErrorKind::NotFound)?;
    Ok(Mold {
        pid,
        receiver,
        requests,
        ready: false,
        retired: false,
        pending: BTreeMap::new(),
    })
}

fn fork_failed(request: SpawnRequest, error: &io::Error) -> Event {
    Event::ForkFailed {
        id: request.id,
        reason: error.to_string(),
    }
}

/// The end of a child that has never lived: nothing went wrong with it.
fn called_off(id: ChildId) -> Event {
    let end = ExitKind::Exited { code: 0 };
    let death = Death {
        kind: end,
        out_of_memory: false,
    };
    Event::Exited { id, death }
}
