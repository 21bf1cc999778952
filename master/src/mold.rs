//! The mold: the process that the workers of one generation are forked from, where their application
//! is to be loaded once (`preload_app`).
//!
//! ```text
//!   master --fork--> mold: loads the application, says ready, waits
//!     |  --order, with the writing end of a pipe-->  |
//!     |                                              `--fork twice--> worker: born, ready, ...
//!     '----- reaps, as the subreaper of its orphans ---------------------'
//! ```
//!
//! What has been loaded is shared by the workers until one writes to it. The master itself loads
//! nothing, so that a reload, which is a new mold, loads everything anew. A mold that is gone is made
//! again for the next worker that its generation needs.
//!
//! This is the master's side; `casting` is the other one.

mod casting;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use log::{error, warn};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::{Pid, getpid};
use oxicorn_common::hooks::Moment;
use oxicorn_common::message::channel;
use oxicorn_common::{Message, MessageReceiver};

use crate::master::Master;
use crate::spawn::{Order, announce, bear, claim, fork_to};
use crate::supervisor::{ChildId, Death, End, Event, Succession};
use casting::Casting;

/// A mold as the master knows it.
#[derive(Debug)]
pub(crate) struct Mold {
    pid: i32,
    receiver: MessageReceiver,
    orders: OwnedFd,
    /// The application is loaded.
    ready: bool,
    /// It has been told to end.
    retired: bool,
    /// In the order of their age.
    unborn: BTreeMap<ChildId, Unborn>,
}

/// A worker that the supervisor has been promised.
#[derive(Debug)]
struct Unborn {
    order: Order,
    /// Set once the mold has the order.
    receiver: Option<MessageReceiver>,
}

impl Mold {
    /// What the master has to listen to.
    pub(crate) fn pipes(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let unborn = self.unborn.values();
        let receivers = unborn.filter_map(|unborn| unborn.receiver.as_ref());
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
    pub(crate) fn order(&mut self, order: Order) -> Option<Event> {
        let outcome = self.mold_of(order).and_then(|ready| {
            claim(self, order)?;
            Ok(ready)
        });
        match outcome {
            Ok(true) => self.cast(order),
            Ok(false) => None,
            Err(error) => Some(fork_failed(order, &error)),
        }
        .inspect(|_| self.give_up(order))
    }

    /// The supervisor is told that nothing comes of an order.
    fn give_up(&mut self, order: Order) {
        self.forget_unborn(order.id);
        self.shared.scoreboard.fold(order.slot);
    }

    /// Notes the order at the mold that will have it, which is made if there is none. True when that
    /// is ready.
    fn mold_of(&mut self, order: Order) -> io::Result<bool> {
        let number = order.generation;
        let mut orphans = BTreeMap::new();
        if self.molds.get(&number).is_none_or(|mold| mold.retired) {
            let mold = make(self, number)?;
            if let Some(old) = self.molds.insert(number, mold) {
                orphans = old.unborn;
            }
        }
        let mold = self.molds.get_mut(&number).ok_or(io::ErrorKind::NotFound)?;
        mold.unborn.append(&mut orphans);
        let receiver = None;
        mold.unborn.insert(order.id, Unborn { order, receiver });
        Ok(mold.ready)
    }

    /// Gives an order to a mold that is ready. The event is that it cannot be given.
    fn cast(&mut self, order: Order) -> Option<Event> {
        let refusal = announce(self, order);
        let mold = self.molds.get_mut(&order.generation)?;
        let unborn = mold.unborn.get_mut(&order.id)?;
        let given = channel().and_then(|(sender, receiver)| {
            casting::give(&mold.orders, order, refusal.as_ref(), sender)?;
            unborn.receiver = Some(receiver);
            Ok(())
        });
        given.err().map(|error| fork_failed(order, &error))
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
                    due = mold.unborn.values().map(|unborn| unborn.order).collect();
                }
                Message::Failed { text, .. } => self.last_words = Some(text),
                _ => {}
            }
        }
        let mut said = Vec::new();
        for (&id, unborn) in &mut mold.unborn {
            if let Some(receiver) = &mut unborn.receiver {
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
        for order in due {
            if let Some(failed) = self.cast(order) {
                self.give_up(order);
                events.push(failed);
            }
        }
        events
    }

    /// Has a worker among the children once it is there; `messages` begin with its birth.
    fn deliver(&mut self, id: ChildId, messages: Vec<Message>) -> Vec<Event> {
        let Some(unborn) = self.forget_unborn(id) else {
            return Vec::new();
        };
        let mut messages = messages.into_iter();
        let (Some(Message::Born { pid }), Some(receiver)) = (messages.next(), unborn.receiver)
        else {
            self.shared.scoreboard.fold(unborn.order.slot);
            let reason = "the mold could not".to_owned();
            return vec![Event::ForkFailed { id, reason }];
        };
        let process = bear(self, unborn.order, pid, receiver);
        self.children.insert(id, process);
        let said = messages.map(|message| Event::Said { id, message });
        [Event::Forked { id, pid }]
            .into_iter()
            .chain(said)
            .collect()
    }

    fn forget_unborn(&mut self, id: ChildId) -> Option<Unborn> {
        let mut molds = self.molds.values_mut();
        molds.find_map(|mold| mold.unborn.remove(&id))
    }

    /// Calls off a worker that is to be. The event is its end; `None` where there is no such worker.
    pub(crate) fn call_off(&mut self, id: ChildId, signal: Signal) -> Option<Event> {
        if signal == Signal::SIGUSR1 {
            // It will open the logs anew by itself.
            return None;
        }
        let unborn = self.forget_unborn(id)?;
        self.shared.scoreboard.fold(unborn.order.slot);
        // One that is told to end by force was not ready in time, for its mold is not.
        if matches!(signal, Signal::SIGABRT | Signal::SIGKILL)
            && let Some(mold) = self.molds.get_mut(&unborn.order.generation)
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
        self.hooked.tell(Moment::MoldExit { pid });
        for (id, unborn) in mold.unborn {
            self.shared.scoreboard.fold(unborn.order.slot);
            events.push(Event::Died { id, death });
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
    pub(crate) fn see_molds_end(&mut self, succession: Succession) {
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
    let (orders, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
    prctl::set_child_subreaper(true)?;
    let parent = getpid();
    let mut ours = Some((receiver, orders));
    let pid = fork_to(master, crate::sys::fork, |master| {
        ours = None;
        Casting {
            sender,
            orders: theirs,
            parent,
        }
        .live(master, number)
    })?;
    let (receiver, orders) = ours.take().ok_or(io::ErrorKind::NotFound)?;
    Ok(Mold {
        pid,
        receiver,
        orders,
        ready: false,
        retired: false,
        unborn: BTreeMap::new(),
    })
}

fn fork_failed(order: Order, error: &io::Error) -> Event {
    Event::ForkFailed {
        id: order.id,
        reason: error.to_string(),
    }
}

/// The end of a child that has never lived: nothing went wrong with it.
fn called_off(id: ChildId) -> Event {
    let end = End::Exited { code: 0 };
    let death = Death {
        end,
        out_of_memory: false,
    };
    Event::Died { id, death }
}
