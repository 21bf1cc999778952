//! Forking a child, and its first steps before it is a worker or a runner.
//!
//! A fork copies the whole master. The child keeps what it is given in [`Boot`] and closes the
//! rest: the pipes of its siblings, the pidfile whose lock it would hold, the sockets of other
//! generations. It never returns into the master's code.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use anyhow::{Context, bail};
use log::{error, info};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpid, getppid};
use oxicorn_common::hooks::{HookError, HookEvent};
use oxicorn_common::message::channel;
use oxicorn_common::{Message, MessageReceiver, MessageSender, WorkerContext, exit_code, signals};
use oxicorn_worker::{Boot, End, run_runner, run_web};

use crate::generation::Generation;
use crate::host::Host;
use crate::master::Master;
use crate::supervisor::{ChildId, ChildKind};
use crate::{privileges, sys};

/// What to fork.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SpawnRequest {
    pub(crate) id: ChildId,
    pub(crate) kind: ChildKind,
    pub(crate) slot: usize,
    pub(crate) generation: u32,
}

/// A child as the loop knows it.
#[derive(Debug)]
pub(crate) struct ChildProcess {
    pub(crate) pid: i32,
    pub(crate) kind: ChildKind,
    pub(crate) slot: usize,
    pub(crate) receiver: MessageReceiver,
}

/// Forks one child. Returns in the master only.
pub(crate) fn spawn(master: &mut Master, request: SpawnRequest) -> io::Result<ChildProcess> {
    let (sender, receiver) = channel()?;
    claim(master, request)?;
    let parent = getpid();
    let refusal = announce(master, request);
    let mut receiver = Some(receiver);
    let forked = fork_to(master, sys::fork, |master| {
        receiver = None;
        live(master, request, sender, parent, refusal)
    });
    match forked {
        Ok(pid) => {
            let receiver = receiver.take().ok_or(io::ErrorKind::NotFound)?;
            Ok(register(master, request, pid, receiver))
        }
        Err(error) => {
            master.shared.scoreboard.fold(request.slot);
            Err(error)
        }
    }
}

/// Takes the slot of a child to be.
pub(crate) fn claim(master: &Master, request: SpawnRequest) -> io::Result<()> {
    let generation = master.generations.get(&request.generation);
    let threads = generation.map(|generation| generation.settings.threads);
    let threads = threads.ok_or(io::ErrorKind::NotFound)?;
    let board = &master.shared.scoreboard;
    board.claim(request.slot, request.kind.number(), threads);
    Ok(())
}

/// Notes that a child has its process.
pub(crate) fn register(
    master: &Master,
    request: SpawnRequest,
    pid: i32,
    receiver: MessageReceiver,
) -> ChildProcess {
    if request.kind == ChildKind::Web {
        let age = request.id;
        master
            .hook_caller
            .call_or_log(HookEvent::Forked { age, pid });
    }
    ChildProcess {
        pid,
        kind: request.kind,
        slot: request.slot,
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
        leave(&*master.host, code.unwrap_or(exit_code::BOOT_ERROR));
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
pub(crate) fn announce(master: &Master, request: SpawnRequest) -> Option<HookError> {
    let generation = master.generations.get(&request.generation);
    let hook_caller = generation
        .filter(|_| request.kind == ChildKind::Web)?
        .hook_caller();
    hook_caller
        .call(HookEvent::PreFork { age: request.id })
        .err()
}

/// The life of a child of `parent`, the master; returns its exit code.
pub(crate) fn live(
    master: &mut Master,
    request: SpawnRequest,
    sender: MessageSender,
    parent: Pid,
    refusal: Option<HookError>,
) -> i32 {
    let generation = master.generations.get(&request.generation);
    let hook_caller = generation.map(Generation::hook_caller);
    let conclude = move || {
        if let (ChildKind::Web, Some(hook_caller)) = (request.kind, hook_caller) {
            hook_caller.call_or_log(HookEvent::WorkerExit { age: request.id });
        }
    };
    let (host, last) = (Arc::clone(&master.host), conclude.clone());
    let end = Box::new(move |code| {
        last();
        leave(&*host, code)
    });
    let code = serve(master, request, sender, parent, refusal, end);
    conclude();
    code
}

fn serve(
    master: &mut Master,
    request: SpawnRequest,
    sender: MessageSender,
    parent: Pid,
    refusal: Option<HookError>,
    end: End,
) -> i32 {
    let kind = request.kind;
    let generation = match prepare(master, request, parent, refusal) {
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
            slot: request.slot,
            generation: request.generation,
            age: request.id,
            bell: master.shared.bell.clone(),
            outages: master.shared.outages.clone(),
            news: master.shared.news.clone(),
            hooks: generation.hooks,
            scoreboard: master.shared.scoreboard.clone(),
        },
        application: generation.application,
        listeners,
        sender: Arc::new(sender),
        handoff: master.shared.handoff.clone(),
        tls: generation.tls,
        end,
    };
    // These were the last of the master's: what the boot holds are duplicates.
    drop(generation.listeners);
    match kind {
        ChildKind::Web => run_web(boot),
        ChildKind::Runner => run_runner(boot),
    }
}

/// Makes the copy of the master a process of its own.
fn prepare(
    master: &mut Master,
    request: SpawnRequest,
    parent: Pid,
    refusal: Option<HookError>,
) -> anyhow::Result<Generation> {
    signals::reset_to_default()?;
    let generation = master
        .generations
        .remove(&request.generation)
        .context("its generation is gone")?;
    master.let_go();
    let pid = getpid();
    master
        .shared
        .scoreboard
        .confine(request.slot)
        .context("cannot protect the scoreboard")?;
    info!("Booting {} with pid: {pid}", request.kind.noun());
    master.title.show(request.kind.noun());
    if let Some(refusal) = refusal {
        return Err(refusal.into());
    }
    if request.kind == ChildKind::Web {
        // With the master's rights still, as in gunicorn.
        let event = HookEvent::PostFork { age: request.id };
        generation.hook_caller().call(event)?;
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

fn fail(sender: &MessageSender, kind: ChildKind, reason: &anyhow::Error) -> i32 {
    let text = format!("{kind} failed to boot: {reason:#}");
    error!("{text}");
    let exit_code = exit_code::BOOT_ERROR;
    // A master that cannot be told sees the exit code.
    let _ = sender.send(&Message::Failed { exit_code, text });
    exit_code
}
