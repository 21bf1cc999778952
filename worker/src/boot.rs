//! The entry points of a child process: makes what a worker, runner or mold needs; the first two say
//! `ready`, work, and return the exit code. `ready` is said when nothing is left to be made.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Instant;

use log::{error, info, warn};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use oxicorn_common::app::{RUNNER_POLL_INTERVAL, Stop};
use oxicorn_common::hooks::{HookError, HookEvent};
use oxicorn_common::logging::AccessFormatError;
use oxicorn_common::message::PROBE;
use oxicorn_common::scoreboard::SlotState;
use oxicorn_common::{
    Application, Handoff, Listener, LoadError, Message, MessageSender, Runner, Settings,
    SignalPipe, WorkerContext, exit_code, forks, logging, signals,
};

use crate::http::server_field;
use crate::reactor::Reactor;
use crate::reload;
use crate::thread_spawn::{self, ThreadError};
use crate::threads::{self, End, LaunchError};
use crate::tls::TlsConfig;
use crate::worker_shared::WorkerShared;

/// What a child is given by the master.
#[allow(
    missing_debug_implementations,
    reason = "an application need not have one"
)]
pub struct Boot {
    pub context: WorkerContext,
    pub application: Arc<dyn Application>,
    pub listeners: Vec<Listener>,
    pub sender: MessageSender,
    pub handoff: Handoff,
    /// Set where clients are to speak TLS.
    pub tls: Option<TlsConfig>,
    /// Ends the process of a web worker whose main thread is stuck, on another thread.
    pub end: End,
}

/// Why a child did not get ready.
#[derive(Debug, thiserror::Error)]
enum BootError {
    #[error("Application {name} failed to load: {source}")]
    Load { name: String, source: LoadError },
    #[error("Worker failed to boot: access_log_format: {0}")]
    AccessFormat(#[from] AccessFormatError),
    #[error("Worker failed to boot: {0}")]
    Io(#[from] io::Error),
    #[error("Worker failed to boot: {0}")]
    Launch(#[from] LaunchError),
    #[error("Worker failed to boot: {0}")]
    Thread(#[from] ThreadError),
    #[error("Runner failed to boot: {0}")]
    Runner(#[source] ThreadError),
    #[error(transparent)]
    Hook(#[from] HookError),
}

impl BootError {
    fn exit_code(&self) -> i32 {
        match self {
            Self::Load {
                source: LoadError::Unusable(_),
                ..
            } => exit_code::LOAD_ERROR,
            _ => exit_code::BOOT_ERROR,
        }
    }

    fn report(&self, sender: &MessageSender) -> i32 {
        error!("{self}");
        let message = Message::Failed {
            exit_code: self.exit_code(),
            text: self.to_string(),
        };
        // A master that cannot be told sees the exit code.
        let _ = sender.send(&message);
        self.exit_code()
    }
}

/// The life of a web worker.
pub fn run_web(boot: Boot) -> i32 {
    log_panics();
    let sender = Arc::new(boot.sender);
    let context = boot.context;
    let serve = || -> Result<i32, BootError> {
        let signals = install_signals(&context.settings)?;
        forks::notice()?;
        server_field::choose(&context.settings.server_header);
        let reloads = context.settings.reload.enabled;
        let mut also = Vec::new();
        let app = match load(&*boot.application, |application| application.load(&context)) {
            // Nobody serves who could serve on, and a change may mend it.
            Err(BootError::Load {
                source: LoadError::Broken(reason),
                ..
            }) if reloads && context.generation == 1 => {
                let broken = reload::LoadErrorApp::of(&reason);
                also.extend(broken.files.clone());
                Box::new(broken)
            }
            outcome => outcome?,
        };
        let settings = limited(&context.settings, app.body_limit());
        let (board, slot) = (context.scoreboard.clone(), context.slot);
        let shared = WorkerShared::new(app, settings, board, slot, Arc::clone(&sender))?;
        let shared = Arc::new(shared.with_hooks(&context));
        let (reactor, waker) = Reactor::new(
            Arc::clone(&shared),
            boot.listeners,
            boot.handoff,
            signals,
            boot.tls,
        )?;
        let age = context.age;
        let event = HookEvent::PostWorkerInit { age };
        let initialized = context.hooks.call(event);
        forks::end_child(i32::from(initialized.is_err()));
        initialized?;
        // Whatever the application's code has done to them meanwhile.
        signals::reclaim()?;
        shared.slot().beat();
        if reloads {
            warn!("Reloader is on. Use in development only!");
            reload::start(
                Arc::clone(&boot.application),
                also,
                &context.settings,
                Arc::clone(&sender),
            )?;
        }
        let ready = || {
            shared.slot().set_state(SlotState::Ready);
            shared.tell(&Message::Ready);
        };
        let (last, leave) = (Arc::clone(&shared), boot.end);
        let end = Box::new(move |code| leave(conclude(&last, age, code)));
        let code = threads::run(Arc::clone(&shared), reactor, waker, ready, end)?;
        Ok(conclude(&shared, age, code))
    };
    serve().unwrap_or_else(|error| error.report(&sender))
}

/// Tells of the end of a worker's work; returns the exit code, which `code` is unless a signal has
/// another.
fn conclude(shared: &WorkerShared, age: u64, code: i32) -> i32 {
    let code = match Signal::try_from(shared.quit_by.load(Ordering::Relaxed)) {
        Ok(Signal::SIGABRT) => {
            shared.call_hook(HookEvent::WorkerAbort { age });
            exit_code::ABORTED
        }
        Ok(_) => {
            shared.call_hook(HookEvent::WorkerInt { age });
            code
        }
        Err(_) => code,
    };
    info!("Worker exiting (pid: {})", std::process::id());
    code
}

/// Loads the application in the process that web workers are to be forked from. The error is its exit
/// code; the reason is told.
pub fn preload(
    application: &dyn Application,
    settings: &Settings,
    sender: &MessageSender,
) -> Result<(), i32> {
    log_panics();
    load(application, |application| application.preload(settings))
        .map_err(|error| error.report(sender))
}

/// The life of a runner: the application's background work on one thread, signals and the
/// heartbeat on the other.
pub fn run_runner(boot: Boot) -> i32 {
    log_panics();
    drop(boot.listeners);
    let sender = boot.sender;
    work(&boot.application, &boot.context, &sender).unwrap_or_else(|error| error.report(&sender))
}

fn work(
    application: &Arc<dyn Application>,
    context: &WorkerContext,
    sender: &MessageSender,
) -> Result<i32, BootError> {
    let mut signals = install_signals(&context.settings)?;
    let runner = load(&**application, |application| application.runner(context))?;
    signals::reclaim()?;
    let Some(runner) = runner else {
        return Ok(0);
    };
    let slot = context.scoreboard.slot(context.slot);
    let stop = Stop::default();
    let work = start(runner, stop.clone()).map_err(BootError::Runner)?;
    slot.beat();
    slot.set_state(SlotState::Ready);
    // A master that is gone takes this process with it.
    let _ = sender.send(&Message::Ready);
    let mut give_up_at: Option<Instant> = None;
    while !work.is_finished() {
        slot.beat();
        logging::tend();
        for signal in wait_for_signals(&mut signals) {
            match signal {
                Signal::SIGTERM if give_up_at.is_none() => {
                    slot.set_state(SlotState::Draining);
                    let _ = sender.send(&Message::Draining);
                    stop.request();
                    give_up_at = Some(Instant::now() + context.settings.graceful_timeout);
                }
                // What is under way is taken up again by the next runner.
                Signal::SIGINT | Signal::SIGQUIT => return Ok(0),
                Signal::SIGUSR1 => logging::reopen(),
                PROBE => drop(sender.send(&Message::Alive)),
                _ => {}
            }
        }
        if give_up_at.is_some_and(|at| Instant::now() >= at) {
            return Ok(0);
        }
    }
    match work.join() {
        Ok(Ok(())) => Ok(0),
        Ok(Err(error)) => {
            error!("Runner failed: {error:#}");
            Ok(1)
        }
        // The panic hook has written it down.
        Err(_) => Ok(1),
    }
}

/// The settings, with the application's own limit where they have none.
fn limited(settings: &Arc<Settings>, body: Option<u64>) -> Arc<Settings> {
    match body {
        Some(limit) if settings.limit_request_body == 0 => Arc::new(Settings {
            limit_request_body: limit,
            ..(**settings).clone()
        }),
        _ => Arc::clone(settings),
    }
}

/// Makes something of the application, and says which application it was where that fails.
fn load<T>(
    application: &dyn Application,
    make: impl FnOnce(&dyn Application) -> Result<T, LoadError>,
) -> Result<T, BootError> {
    let pid = std::process::id();
    let made = make(application);
    // What the application's code has forked is not to become a second worker, or mold.
    forks::end_copy_of(pid, i32::from(made.is_err()));
    made.map_err(|source| BootError::Load {
        name: application.name().to_owned(),
        source,
    })
}

fn start(
    runner: Runner,
    stop: Stop,
) -> Result<thread::JoinHandle<anyhow::Result<()>>, ThreadError> {
    let what = || "the thread of the runner".to_owned();
    thread_spawn::start("runner", what, thread_spawn::stack_size(), move || {
        runner(&stop)
    })
}

fn wait_for_signals(signals: &mut SignalPipe) -> Vec<Signal> {
    use std::os::fd::AsFd;
    let timeout = PollTimeout::try_from(RUNNER_POLL_INTERVAL).unwrap_or(PollTimeout::ZERO);
    // An interrupted or timed-out wait is a wait that is over.
    let _ = poll(
        &mut [PollFd::new(signals.as_fd(), PollFlags::POLLIN)],
        timeout,
    );
    signals.take()
}

/// HUP, USR2 and WINCH are the master's business: a child that gets them from a terminal or a
/// careless `kill` takes no notice. ABRT leaves a core, unless the config file wants to know of it.
fn install_signals(settings: &Settings) -> io::Result<SignalPipe> {
    let mut signals = vec![
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGHUP,
        Signal::SIGWINCH,
        PROBE,
    ];
    if settings.hooks.has("worker_abort") {
        signals.push(Signal::SIGABRT);
    }
    SignalPipe::install(&signals)
}

/// A panic is one line in the error log, whoever catches it.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = thread::current();
        error!(
            "thread {} panicked: {panic}",
            thread.name().unwrap_or("main")
        );
    }));
}
