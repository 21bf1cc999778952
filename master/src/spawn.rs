//! Forking a child, and its first steps before it is a worker or a runner.
//!
//! A fork copies the whole master. The child keeps what it is given in [`Boot`] and closes the
//! rest: the pipes of its siblings, the pidfile whose lock it would hold, the sockets of other
//! generations. It never returns into the master's code.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context, bail};
use log::{error, info};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpid, getppid};
use oxicorn_common::hooks::{HookError, Moment};
use oxicorn_common::message::channel;
use oxicorn_common::{Message, MessageReceiver, MessageSender, WorkerContext, signals};
use oxicorn_worker::{Boot, End, run_runner, run_web};

use crate::generation::Generation;
use crate::host::Host;
use crate::master::Master;
use crate::supervisor::{ChildId, Kind};
use crate::{privileges, sys};

/// gunicorn's `WORKER_BOOT_ERROR`.
pub(crate) const BOOT_ERROR: i32 = 3;

/// What to fork.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order {
    pub(crate) id: ChildId,
    pub(crate) kind: Kind,
    pub(crate) slot: usize,
    pub(crate) generation: u32,
}

/// A child as the loop knows it.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) kind: Kind,
    pub(crate) slot: usize,
    pub(crate) receiver: MessageReceiver,
}

/// Forks one child. Returns in the master only.
pub(crate) fn spawn(master: &mut Master, order: Order) -> io::Result<Process> {
    let (sender, receiver) = channel()?;
    claim(master, order)?;
    let parent = getpid();
    let refusal = announce(master, order);
    let mut receiver = Some(receiver);
    let forked = fork_to(master, sys::fork, |master| {
        receiver = None;
        live(master, order, sender, parent, refusal)
    });
    match forked {
        Ok(pid) => {
            let receiver = receiver.take().ok_or(io::ErrorKind::NotFound)?;
            Ok(bear(master, order, pid, receiver))
        }
        Err(error) => {
            master.shared.scoreboard.fold(order.slot);
            Err(error)
        }
    }
}

/// Takes the slot of a child to be.
pub(crate) fn claim(master: &Master, order: Order) -> io::Result<()> {
    let generation = master.generations.get(&order.generation);
    let threads = generation.map(|generation| generation.settings.threads);
    let threads = threads.ok_or(io::ErrorKind::NotFound)?;
    let board = &master.shared.scoreboard;
    board.claim(order.slot, order.kind.number(), order.generation, threads);
    Ok(())
}

/// Notes that a child has its process.
pub(crate) fn bear(master: &Master, order: Order, pid: i32, receiver: MessageReceiver) -> Process {
    let slot = master.shared.scoreboard.slot(order.slot);
    slot.pid.store(pid.unsigned_abs(), Ordering::Relaxed);
    if order.kind == Kind::Web {
        let age = order.id;
        master.hooked.tell(Moment::Forked { age, pid });
    }
    Process {
        pid,
        kind: order.kind,
        slot: order.slot,
        receiver,
    }
}

/// Forks by `fork` a process that does nothing but `life`, whose result is its exit code. Returns in
/// the parent, with the pid.
pub(crate) fn fork_to(
    master: &mut Master,
    mut fork: impl FnMut() -> io::Result<Option<Pid>>,
    life: impl FnOnce(&mut Master) -> i32,
) -> io::Result<i32> {
    signals::block_all()?;
    let forked = master.host.around_fork(&mut fork);
    if matches!(forked, Ok(None)) {
        let code = catch_unwind(AssertUnwindSafe(|| life(master)));
        leave(&*master.host, code.unwrap_or(BOOT_ERROR));
    }
    signals::unblock_all()?;
    let pid = forked?.ok_or(io::ErrorKind::Other)?;
    Ok(pid.as_raw())
}

/// Ends the process of a child whose work is done.
fn leave(host: &dyn Host, code: i32) -> ! {
    host.leave();
    log::logger().flush();
    sys::exit_now(code)
}

/// Tells the config file of a worker to be. What its function raises becomes the reason why that
/// worker cannot boot.
pub(crate) fn announce(master: &Master, order: Order) -> Option<HookError> {
    let generation = master.generations.get(&order.generation);
    let hooked = generation.filter(|_| order.kind == Kind::Web)?.hooked();
    hooked.ask(Moment::PreFork { age: order.id }).err()
}

/// The life of a child of `parent`, the master; returns its exit code.
pub(crate) fn live(
    master: &mut Master,
    order: Order,
    sender: MessageSender,
    parent: Pid,
    refusal: Option<HookError>,
) -> i32 {
    let generation = master.generations.get(&order.generation);
    let hooked = generation.map(Generation::hooked);
    let conclude = move || {
        if let (Kind::Web, Some(hooked)) = (order.kind, hooked) {
            hooked.tell(Moment::WorkerExit { age: order.id });
        }
    };
    let (host, last) = (Arc::clone(&master.host), conclude.clone());
    let end = Box::new(move |code| {
        last();
        leave(&*host, code)
    });
    let code = serve(master, order, sender, parent, refusal, end);
    conclude();
    code
}

fn serve(
    master: &mut Master,
    order: Order,
    sender: MessageSender,
    parent: Pid,
    refusal: Option<HookError>,
    end: End,
) -> i32 {
    let kind = order.kind;
    let generation = match prepare(master, order, parent, refusal) {
        Ok(generation) => generation,
        Err(reason) => return fail(&sender, kind, &reason),
    };
    let listeners = match generation.listeners.for_child() {
        Ok(listeners) => listeners,
        Err(error) => return fail(&sender, kind, &error.into()),
    };
    let boot = Boot {
        context: WorkerContext {
            settings: generation.settings,
            slot: order.slot,
            generation: order.generation,
            age: order.id,
            bell: master.shared.bell.clone(),
            outages: master.shared.outages.clone(),
            news: master.shared.news.clone(),
            hooks: generation.hooks,
            scoreboard: master.shared.scoreboard.clone(),
        },
        application: generation.application,
        listeners,
        sender,
        handoff: master.shared.handoff.clone(),
        tls: generation.tls,
        end,
    };
    // These were the last of the master's: what the boot holds are duplicates.
    drop(generation.listeners);
    match kind {
        Kind::Web => run_web(boot),
        Kind::Runner => run_runner(boot),
    }
}

/// Makes the copy of the master a process of its own.
fn prepare(
    master: &mut Master,
    order: Order,
    parent: Pid,
    refusal: Option<HookError>,
) -> anyhow::Result<Generation> {
    signals::reset_to_default()?;
    let generation = master
        .generations
        .remove(&order.generation)
        .context("its generation is gone")?;
    master.let_go();
    let pid = getpid();
    master
        .shared
        .scoreboard
        .confine(order.slot)
        .context("cannot protect the scoreboard")?;
    let slot = master.shared.scoreboard.slot(order.slot);
    slot.pid
        .store(pid.as_raw().unsigned_abs(), Ordering::Relaxed);
    info!("Booting {} with pid: {pid}", order.kind.noun());
    master.title.show(order.kind.noun());
    if let Some(refusal) = refusal {
        return Err(refusal.into());
    }
    if order.kind == Kind::Web {
        // With the master's rights still, as in gunicorn.
        let moment = Moment::PostFork { age: order.id };
        generation.hooked().ask(moment)?;
    }
    master.descriptor_limit.restore();
    privileges::drop_to(&generation.settings)?;
    // A change of user clears the death signal (prctl(2)), so it comes after; and a master that
    // died before it was set has left us to another parent.
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if getppid() != parent {
        bail!("the master is gone");
    }
    Ok(generation)
}

fn fail(sender: &MessageSender, kind: Kind, reason: &anyhow::Error) -> i32 {
    let text = format!("{kind} failed to boot: {reason:#}");
    error!("{text}");
    let exit_code = BOOT_ERROR;
    // A master that cannot be told sees the exit code.
    let _ = sender.send(&Message::Failed { exit_code, text });
    exit_code
}
