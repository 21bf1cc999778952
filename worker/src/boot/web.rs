//! A worker, or the admin process, which runs the same code: makes everything that it needs, each step after those it depends on, reports `ready`, serves, and
//! returns the exit code.

use std::path::PathBuf;
use std::sync::Arc;

use log::{info, warn};
use nix::sys::signal::Signal;
use oxicorn_common::hooks::HookEvent;
use oxicorn_common::scoreboard::SlotState;
use oxicorn_common::{
    App, Application, LoadError, Message, MessageSender, Settings, WorkerContext, exit_code, forks,
    signals,
};

use super::error::BootError;
use super::load::load;
use super::parts::Boot;
use super::prepare::{install_signals, log_panics};
use crate::http::server_field;
use crate::memory_watch::MemoryWatch;
use crate::rate_limits::RateLimiter;
use crate::reactor::Reactor;
use crate::reload;
use crate::role::WorkerRole;
use crate::thread_spawn;
use crate::threads;
use crate::worker_shared::WorkerShared;

/// How the life of a worker ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerEnd {
    /// With an exit code.
    Exit(i32),
    /// It has drained and is to become a mold: the process goes on.
    Drained,
}

/// The life of a worker.
pub fn run_web(boot: Boot) -> WorkerEnd {
    log_panics();
    let (role, sender) = (boot.role, Arc::clone(&boot.sender));
    let end = serve(boot, &sender);
    end.unwrap_or_else(|error| WorkerEnd::Exit(error.report(role.noun(), &sender)))
}

fn serve(boot: Boot, sender: &Arc<MessageSender>) -> Result<WorkerEnd, BootError> {
    let context = &boot.context;
    let age = context.age;
    let signals = install_signals(&context.settings)?;
    forks::notice()?;
    server_field::choose(&context.settings.server_header);

    let (app, broken_files) = load_app(&*boot.application, context)?;

    let settings = limited(&context.settings, app.body_limit());
    let (board, slot) = (context.scoreboard.clone(), context.slot);
    let shared = WorkerShared::new(app, settings, board, slot, Arc::clone(sender))?;
    let shared = shared.with_hooks(context).with_role(boot.role);
    let shared = shared.with_spare_listeners(boot.spare_listeners);
    let shared = Arc::new(shared.with_rate_limits(boot.rate_limits));
    let (reactor, waker) = Reactor::new(
        Arc::clone(&shared),
        boot.listeners,
        boot.handoff,
        signals,
        boot.tls,
    )?;

    watch_redis(&shared)?;
    let initialized = context.hooks.call(HookEvent::PostWorkerInit { age });
    forks::end_child(i32::from(initialized.is_err()));
    initialized?;
    // The application's code may have changed them meanwhile.
    signals::reclaim()?;
    shared.slot().beat();
    if context.settings.reload.enabled {
        warn!("Reloader is on. Use in development only!");
        let application = Arc::clone(&boot.application);
        reload::start(
            application,
            broken_files,
            &context.settings,
            Arc::clone(sender),
        )?;
    }

    let is_worker = boot.role == WorkerRole::Public;
    let watch = MemoryWatch::start(&context.settings, is_worker, sender);
    let threads = shared.first_threads();
    shared.slot().set_serving_threads(threads, threads);
    let ready = || {
        shared.slot().set_state(SlotState::Ready);
        shared.master.send(&Message::Ready);
    };
    let (last, leave) = (Arc::clone(&shared), boot.end);
    let end = Box::new(move |code| leave(conclude(&last, age, code)));
    let code = threads::run(Arc::clone(&shared), reactor, waker, ready, end)?;
    watch.iter().for_each(MemoryWatch::end);
    if code == 0 && shared.becomes_mold() {
        shared.stack_log.finish();
        if let Some(shedding) = &shared.shedding {
            shedding.report_last();
        }
        return Ok(WorkerEnd::Drained);
    }
    Ok(WorkerEnd::Exit(conclude(&shared, age, code)))
}

/// Looks for the Redis of the rate limits on a thread of its own, so that no request waits for names or for an outage.
fn watch_redis(shared: &WorkerShared) -> Result<(), BootError> {
    let limiter = shared.rate_limiter.as_ref();
    if let Some(endpoint) = limiter.and_then(RateLimiter::redis) {
        let endpoint = Arc::clone(endpoint);
        let what = || "the thread that looks for the Redis of rate_limit_redis".to_owned();
        thread_spawn::start(
            "limits-redis",
            what,
            thread_spawn::stack_size(),
            move || endpoint.watch(),
        )?;
    }
    Ok(())
}

/// The application. With `reload`, an application that is broken at the first start is replaced by a page with the
/// reason, because no older worker could serve; the files are those to watch for its repair.
fn load_app(
    application: &dyn Application,
    context: &WorkerContext,
) -> Result<(Box<dyn App>, Vec<PathBuf>), BootError> {
    let is_first = context.settings.reload.enabled && context.generation == 1;
    match load(application, |application| application.load(context)) {
        Err(BootError::Load {
            source: LoadError::Broken(reason),
            ..
        }) if is_first => {
            let app = reload::LoadErrorApp::of(&reason);
            let files = app.files.clone();
            Ok((Box::new(app), files))
        }
        outcome => Ok((outcome?, Vec::new())),
    }
}

/// The settings, with the application's own limit if they set none.
fn limited(settings: &Arc<Settings>, body: Option<u64>) -> Arc<Settings> {
    match body {
        Some(limit) if settings.limit_request_body == 0 => Arc::new(Settings {
            limit_request_body: limit,
            ..(**settings).clone()
        }),
        _ => Arc::clone(settings),
    }
}

/// Calls the hook of a worker that a signal ends. Returns `code`, or the exit code of that signal if it has its own.
fn conclude(shared: &WorkerShared, age: u64, code: i32) -> i32 {
    let code = match shared.quit_signal() {
        Some(Signal::SIGABRT) => {
            shared.call_hook(HookEvent::WorkerAbort { age });
            exit_code::ABORTED
        }
        Some(_) => {
            shared.call_hook(HookEvent::WorkerInt { age });
            code
        }
        None => code,
    };
    shared.stack_log.finish();
    if let Some(shedding) = &shared.shedding {
        shedding.report_last();
    }
    let (who, pid) = (shared.role.noun(), std::process::id());
    info!("{who} exiting (pid: {pid})");
    code
}
