//! Forking a child, and its first steps before it is a worker or a runner.
//!
//! A fork copies the whole master. The child keeps what it is given in [`Boot`] and closes the
//! rest: the pipes of its siblings, the pidfile whose lock it would hold, the sockets of other
//! generations. It never returns into the master's code.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use anyhow::{Context, bail};
use log::{error, info};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpid, getppid};
use oxicorn_common::hooks::{HookError, Moment};
use oxicorn_common::message::channel;
use oxicorn_common::{Message, MessageReceiver, MessageSender, WorkerContext, signals};
use oxicorn_worker::{Boot, run_runner, run_web};

use crate::generation::Generation;
use crate::host::fork;
use crate::master::Master;
use crate::supervisor::{ChildId, Kind};
use crate::{privileges, sys};

/// gunicorn's `WORKER_BOOT_ERROR`.
const BOOT_ERROR: i32 = 3;

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
pub(crate) fn spawn(master: &mut Master, order: Order) -> std::io::Result<Process> {
    let (sender, receiver) = channel()?;
    let threads = match master.generations.get(&order.generation) {
        Some(generation) => generation.settings.threads,
        None => return Err(std::io::ErrorKind::NotFound.into()),
    };
    let board = &master.shared.scoreboard;
    board.claim(order.slot, order.kind.number(), order.generation, threads);
    let parent = getpid();
    let refusal = announce(master, order);
    signals::block_all()?;
    let forked = fork(&*master.host);
    if matches!(forked, Ok(None)) {
        drop(receiver);
        let code = catch_unwind(AssertUnwindSafe(|| {
            live(master, order, sender, parent, refusal)
        }));
        master.host.leave();
        log::logger().flush();
        sys::exit_now(code.unwrap_or(BOOT_ERROR));
    }
    signals::unblock_all()?;
    let board = &master.shared.scoreboard;
    match forked {
        Ok(Some(pid)) => {
            let slot = board.slot(order.slot);
            slot.pid
                .store(pid.as_raw().unsigned_abs(), Ordering::Relaxed);
            if order.kind == Kind::Web {
                let (age, pid) = (order.id, pid.as_raw());
                master.hooked.tell(Moment::Forked { age, pid });
            }
            Ok(Process {
                pid: pid.as_raw(),
                kind: order.kind,
                slot: order.slot,
                receiver,
            })
        }
        Ok(None) => Err(std::io::ErrorKind::Other.into()),
        Err(error) => {
            board.fold(order.slot);
            Err(error)
        }
    }
}

/// Tells the config file of a worker to be. What its function raises becomes the reason why that
/// worker cannot boot.
fn announce(master: &Master, order: Order) -> Option<HookError> {
    let generation = master.generations.get(&order.generation);
    let hooked = generation.filter(|_| order.kind == Kind::Web)?.hooked();
    hooked.ask(Moment::PreFork { age: order.id }).err()
}

/// The child's life; returns its exit code.
fn live(
    master: &mut Master,
    order: Order,
    sender: MessageSender,
    parent: Pid,
    refusal: Option<HookError>,
) -> i32 {
    let generation = master.generations.get(&order.generation);
    let hooked = generation.map(Generation::hooked);
    let code = serve(master, order, sender, parent, refusal);
    if let (Kind::Web, Some(hooked)) = (order.kind, hooked) {
        hooked.tell(Moment::WorkerExit { age: order.id });
    }
    code
}

fn serve(
    master: &mut Master,
    order: Order,
    sender: MessageSender,
    parent: Pid,
    refusal: Option<HookError>,
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
        },
        application: generation.application,
        listeners,
        scoreboard: master.shared.scoreboard.clone(),
        sender,
        handoff: master.shared.handoff.clone(),
        tls: generation.tls,
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
