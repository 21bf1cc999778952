//! The first steps of a worker, runner or admin process in its own process, and the hand-over to the worker crate.
//!
//! The order matters. Signals are blocked until the handlers of the master are gone. `post_fork` runs with the rights
//! of the master, as in gunicorn. The death signal is set after the change of user, which clears it.

use std::os::fd::OwnedFd;
use std::sync::{Arc, PoisonError};

use anyhow::{Context, bail};
use log::{error, info};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpid, getppid};
use oxicorn_admin::{AdminApplication, AdminFacts, admin_settings};
use oxicorn_common::hooks::{HookError, HookEvent, NoHooks};
use oxicorn_common::metrics::Metrics;
use oxicorn_common::{Handoff, Message, MessageSender, WorkerContext, exit_code, logging, signals};
use oxicorn_worker::{
    Boot, ExitProcess, SpareListeners, WorkerEnd, WorkerRole, run_runner, run_web,
};

use crate::admin_resources::AdminResources;
use crate::child_context::{ChildContext, end_process};
use crate::generation::Generation;
use crate::host::Native;
use crate::listeners::Listeners;
use crate::open_sockets::OpenSockets;
use crate::privileges;
use crate::supervisor::{ChildKind, SpawnRequest};

/// The parts of a child besides its context.
#[derive(Debug)]
pub(crate) struct NewChild {
    pub(crate) request: SpawnRequest,
    /// The messages to the master.
    pub(crate) sender: Arc<MessageSender>,
    /// Over which it will be asked for workers, if it becomes a mold.
    pub(crate) requests: Option<OwnedFd>,
    /// The master's pid.
    pub(crate) parent: Pid,
    /// Why it must not boot.
    pub(crate) pre_fork_error: Option<HookError>,
}

/// How the work of a child ends.
pub(crate) enum ChildEnd {
    /// With an exit code.
    Exit(i32),
    /// As a worker that is to become a mold.
    Drained(Box<WarmWorker>),
}

/// A worker without requests, connections and request threads, and what it needs to be a mold.
pub(crate) struct WarmWorker {
    pub(crate) number: u32,
    pub(crate) context: ChildContext,
    pub(crate) generation: Generation,
    pub(crate) sender: Arc<MessageSender>,
    pub(crate) requests: OwnedFd,
    /// The master's pid.
    pub(crate) parent: Pid,
    /// Those that it had before it loaded the application.
    pub(crate) sockets: OpenSockets,
}

impl NewChild {
    /// The work of the child.
    pub(crate) fn run(mut self, mut context: ChildContext, mut generation: Generation) -> ChildEnd {
        let hooks = generation.hook_caller();
        let SpawnRequest { id, kind, .. } = self.request;
        let worker_exit = move || {
            if kind == ChildKind::Web {
                hooks.call_or_log(HookEvent::WorkerExit { age: id });
            }
        };
        let (host, before_end) = (Arc::clone(&context.host), worker_exit.clone());
        let end = Box::new(move |code| {
            before_end();
            end_process(&*host, code)
        });
        if kind == ChildKind::Admin {
            return ChildEnd::Exit(self.serve_admin(context, generation));
        }
        generation.admin = AdminResources::default();
        let mut sockets = OpenSockets::default();
        let spare = SpareListeners::default();
        let outcome = self.serve(&mut context, &mut generation, (&mut sockets, &spare), end);
        worker_exit();
        match (outcome, self.requests) {
            (WorkerEnd::Exit(code), _) => ChildEnd::Exit(code),
            (WorkerEnd::Drained, None) => ChildEnd::Exit(exit_code::SUCCESS),
            (WorkerEnd::Drained, Some(requests)) => {
                let spare =
                    std::mem::take(&mut *spare.lock().unwrap_or_else(PoisonError::into_inner));
                generation.listeners = Listeners::of_child(spare);
                ChildEnd::Drained(Box::new(WarmWorker {
                    number: self.request.generation,
                    context,
                    generation,
                    sender: self.sender,
                    requests,
                    parent: self.parent,
                    sockets,
                }))
            }
        }
    }

    fn serve(
        &mut self,
        context: &mut ChildContext,
        generation: &mut Generation,
        (sockets, spare): (&mut OpenSockets, &SpareListeners),
        end: ExitProcess,
    ) -> WorkerEnd {
        let prepared = self.prepare(context, generation);
        let listeners = prepared.and_then(|()| Ok(generation.listeners.for_child()?));
        let listeners = match listeners {
            Ok(listeners) => listeners,
            Err(reason) => return WorkerEnd::Exit(self.fail(&reason)),
        };
        if self.requests.is_some() {
            *sockets = OpenSockets::now();
            match generation.listeners.for_child() {
                Ok(listeners) => *spare.lock().unwrap_or_else(PoisonError::into_inner) = listeners,
                Err(error) => return WorkerEnd::Exit(self.fail(&error.into())),
            }
        }
        // The last handles of the master: the worker has duplicates.
        generation.listeners = Listeners::default();
        let boot = Boot {
            role: WorkerRole::Public,
            context: self.worker_context(context, generation),
            application: Arc::clone(&generation.application),
            listeners,
            spare_listeners: Arc::clone(spare),
            sender: Arc::clone(&self.sender),
            handoff: context.shared.handoff.clone(),
            tls: generation.tls.clone(),
            rate_limits: generation.rate_limits.clone(),
            end,
        };
        match self.request.kind {
            ChildKind::Runner => WorkerEnd::Exit(run_runner(boot)),
            ChildKind::Web | ChildKind::Admin => run_web(boot),
        }
    }

    /// Serves the admin process: with the worker's code, but without hooks, and without code of the host once the title is
    /// shown.
    fn serve_admin(mut self, mut context: ChildContext, generation: Generation) -> i32 {
        logging::log_records_only(generation.settings.loglevel);
        let prepared = self.prepare(&mut context, &generation);
        let sockets = prepared.and_then(|()| {
            // A handoff of its own: what waits in that of the workers is theirs.
            let handoff = Handoff::new().context("no socket pair")?;
            Ok((generation.admin.listeners.for_child()?, handoff))
        });
        let (listeners, handoff) = match sockets {
            Ok(sockets) => sockets,
            Err(reason) => return self.fail(&reason),
        };
        let worker_context = self.worker_context(&context, &generation);
        let (settings, admin) = (&generation.settings, &generation.admin);
        let facts = AdminFacts {
            master: self.parent,
            token: admin.token(),
            certificates: admin.asks_for_certificates(),
            application: generation.application.name().to_owned(),
            threads_per_worker: settings.threads,
            timeout: settings.timeout,
            listeners: generation.listeners.inodes(),
            handoff: context.shared.handoff,
            metric_memory: context.shared.metric_memory.clone(),
            rate_limits: generation.rate_limits.clone(),
        };
        let boot = Boot {
            role: WorkerRole::Admin,
            context: WorkerContext {
                settings: Arc::new(admin_settings(&generation.settings)),
                hooks: Arc::new(NoHooks),
                ..worker_context
            },
            application: Arc::new(AdminApplication::new(facts)),
            listeners,
            spare_listeners: SpareListeners::default(),
            sender: self.sender,
            handoff,
            tls: generation.admin.tls.clone(),
            rate_limits: None,
            end: Box::new(|code| end_process(&Native, code)),
        };
        drop((generation.listeners, generation.admin));
        match run_web(boot) {
            WorkerEnd::Exit(code) => code,
            WorkerEnd::Drained => exit_code::SUCCESS,
        }
    }

    fn worker_context(&self, context: &ChildContext, generation: &Generation) -> WorkerContext {
        let (request, shared) = (self.request, &context.shared);
        let metrics = shared.metric_memory.clone();
        WorkerContext {
            settings: Arc::clone(&generation.settings),
            slot: request.slot,
            generation: request.generation,
            age: request.id,
            bell: shared.bell.clone(),
            shared_memory: generation.shared_memory.clone(),
            metrics: Metrics::new(metrics, request.slot, generation.metric_places.clone()),
            hooks: Arc::clone(&generation.hooks),
            scoreboard: shared.scoreboard.clone(),
        }
    }

    /// Makes the copy of the master a process of its own.
    fn prepare(
        &mut self,
        context: &mut ChildContext,
        generation: &Generation,
    ) -> anyhow::Result<()> {
        signals::reset_to_default()?;
        let SpawnRequest { id, kind, slot, .. } = self.request;
        logging::note_child(id, self.request.generation);
        let scoreboard = &context.shared.scoreboard;
        scoreboard
            .confine(slot)
            .context("cannot protect the scoreboard")?;
        let metric_memory = &context.shared.metric_memory;
        metric_memory
            .confine(slot)
            .context("cannot protect the metrics")?;
        let pid = getpid();
        info!("Booting {} with pid: {pid}", kind.noun());
        context.title.show(kind.role());
        if let Some(error) = self.pre_fork_error.take() {
            return Err(error.into());
        }
        if kind == ChildKind::Web {
            let event = HookEvent::PostFork { age: id };
            generation.hook_caller().call(event)?;
        }
        context.descriptor_limit.restore();
        privileges::drop_to(&generation.settings)?;
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        // If the master died before that, this process already has another parent.
        if getppid() != self.parent {
            bail!("the master is gone");
        }
        Ok(())
    }

    fn fail(&self, reason: &anyhow::Error) -> i32 {
        let text = format!("{} failed to boot: {reason:#}", self.request.kind);
        error!("{text}");
        let exit_code = exit_code::BOOT_ERROR;
        // If the master cannot be told, it still sees the exit code.
        let _ = self.sender.send(&Message::Failed { exit_code, text });
        exit_code
    }
}
