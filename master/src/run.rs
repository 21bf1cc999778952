//! From the command line to the loop: reads the settings, finds the application, binds, goes into the background, and
//! becomes the [`Master`].
//!
//! Everything that can fail without a child fails here, before the first fork: one line on standard error and an exit
//! code.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use log::{error, info};
use oxicorn_common::bell::Bell;
use oxicorn_common::hooks::HookEvent;
use oxicorn_common::rate_limits::RateLimitSet;
use oxicorn_common::settings::{ApplicationSettings, Loaded, SettingsError, Source};
use oxicorn_common::{Application, Handoff, Settings, SignalPipe, exit_code, logging};
use oxicorn_worker::TlsConfig;

use crate::admin_resources::AdminResources;
use crate::child_context::{ChildContext, SharedResources};
use crate::children::Children;
use crate::config_check::find_problems;
use crate::control::Control;
use crate::ctl::control;
use crate::daemon::{Side, daemonize};
use crate::descriptor_limit::DescriptorLimit;
use crate::fork_queue::ForkQueue;
use crate::gauges::Gauges;
use crate::generation::{
    Generation, change_directory, change_environment, describe_directory, log_warnings,
    place_metrics, shared_memory_of, warn_of_refork,
};
use crate::hook_caller::HookCaller;
use crate::host::{Host, Native};
use crate::inherited::Inherited;
use crate::launch::{Launch, Resolve};
use crate::lifetime::Lifetime;
use crate::listeners::Listeners;
use crate::master::Master;
use crate::mold::Molds;
use crate::notify::Notifier;
use crate::other_memory::OtherMemory;
use crate::pidfile::{self, Pidfile};
use crate::reap::Reaper;
use crate::scaling::AutoScaler;
use crate::start_command::StartCommand;
use crate::title::Title;
use crate::upgrade::Upgrade;
use crate::{activation, master_signals, native, privileges, sys};

/// The positional argument is missing, or must not be given.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// An error and its exit code.
struct Failure {
    code: i32,
    reason: anyhow::Error,
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(reason: E) -> Self {
        Self {
            code: exit_code::CONFIGURATION_ERROR,
            reason: reason.into(),
        }
    }
}

/// Runs the whole process, from its command line to its exit code. `resolve` finds the application
/// that the settings name; it may not start threads. `applications` are the settings that those applications bring.
pub fn serve<R>(applications: ApplicationSettings, resolve: R) -> ExitCode
where
    R: Fn(&Settings) -> anyhow::Result<Arc<dyn Application>> + 'static,
{
    let source = Source::process().context("cannot tell the working directory");
    let code = match source {
        Ok(source) => {
            let source = Source {
                applications,
                ..source
            };
            if let Some(code) = control(&source) {
                return ExitCode::from(code);
            }
            serve_in(Arc::new(Native), source, resolve)
        }
        Err(reason) => to_u8(report(&reason.into())),
    };
    ExitCode::from(code)
}

/// As [`serve`], in a process of `host` that was started with `source`; returns the exit code.
pub fn serve_in<R>(host: Arc<dyn Host>, source: Source, resolve: R) -> u8
where
    R: Fn(&Settings) -> anyhow::Result<Arc<dyn Application>> + 'static,
{
    let code = start(host, source, Box::new(resolve));
    to_u8(code.unwrap_or_else(|failure| report(&failure)))
}

fn to_u8(code: i32) -> u8 {
    u8::try_from(code).unwrap_or(1)
}

/// Prints why there is no server, or the requested answer; returns the exit code.
fn report(failure: &Failure) -> i32 {
    if let Some(SettingsError::Information(text)) = failure.reason.downcast_ref() {
        print!("{text}");
        return exit_code::SUCCESS;
    }
    eprintln!("oxicorn: {:#}", failure.reason);
    failure.code
}

/// Prints the problems that a start would have, or `ok`; returns the exit code.
fn report_check(loaded: &Loaded, source: &Source, application: &dyn Application) -> i32 {
    let rights = privileges::warning(&loaded.settings);
    for warning in loaded.warnings.iter().chain(&rights) {
        eprintln!("oxicorn: warning: {warning}");
    }
    let problems = find_problems(loaded, source, application);
    for problem in &problems {
        eprintln!("oxicorn: {problem}");
    }
    match problems.is_empty() {
        true => println!("oxicorn: ok"),
        false => return exit_code::CONFIGURATION_ERROR,
    }
    exit_code::SUCCESS
}

fn start(host: Arc<dyn Host>, mut source: Source, resolve: Resolve) -> Result<i32, Failure> {
    let command = StartCommand::new(&*host, &source);
    let mut inherited = Inherited::take(&mut source.environment)?;
    let launch = Launch {
        host,
        source,
        resolve,
        command,
    };
    match check(launch, &mut inherited) {
        Ok(Start::Exit(code)) => Ok(code),
        Ok(Start::Serve(master)) => Ok(master.run()),
        Err(failure) => {
            let reason = format!("{:#}", failure.reason);
            inherited.ready_sender.failed(failure.code, &reason);
            Err(failure)
        }
    }
}

/// How a start continues in this process.
enum Start {
    /// The start is over: this is the exit code.
    Exit(i32),
    Serve(Box<Master>),
}

/// Checks everything that can be checked before files are opened, or prints a requested answer instead.
fn check(launch: Launch, inherited: &mut Inherited) -> Result<Start, Failure> {
    let loaded = Settings::load(&launch.source)?;
    if loaded.settings.print_config {
        print!("{}", loaded.print_config());
        return Ok(Start::Exit(exit_code::SUCCESS));
    }
    let application = match find(&launch.resolve, &loaded.settings) {
        Err(failure) if loaded.settings.check_config => return Err(failure.reason.into()),
        outcome => outcome?,
    };
    if loaded.settings.check_config {
        let code = report_check(&loaded, &launch.source, &*application);
        return Ok(Start::Exit(code));
    }
    privileges::check(&loaded.settings)?;
    if sys::thread_count() > 1 && !launch.host.allows_threads() {
        return Err(anyhow!("the server must be started before any thread is").into());
    }
    let has_log_file = loaded.settings.errorlog != "-";
    become_master(launch, inherited, loaded, application).inspect_err(|failure| {
        if has_log_file {
            error!("{:#}", failure.reason);
        }
    })
}

fn find(resolve: &Resolve, settings: &Settings) -> Result<Arc<dyn Application>, Failure> {
    resolve(settings).map_err(|reason| Failure {
        code: match reason.is::<UsageError>() {
            true => exit_code::CONFIGURATION_ERROR,
            false => exit_code::LOAD_ERROR,
        },
        reason,
    })
}

/// Opens and binds everything that the master needs. The command that starts a daemon returns when that serves.
fn become_master(
    launch: Launch,
    inherited: &mut Inherited,
    loaded: Loaded,
    application: Arc<dyn Application>,
) -> Result<Start, Failure> {
    let (host, source) = (&launch.host, &launch.source);
    let state = inherited.upgrade;
    let settings = Arc::new(loaded.settings.clone());
    change_directory(&settings, source)?;
    logging::init(&settings.logging_options()).context("cannot open the log")?;
    host.open_logs(&settings)?;
    log_warnings(&loaded);
    warn_of_refork(&settings, &*application);
    let descriptor_limit = DescriptorLimit::raise();
    change_environment(&Settings::default(), &settings);
    let mut pidfile = pidfile::path_of(&settings, state)
        .map(|path| Pidfile::lock(&path, settings.user))
        .transpose()?;
    info!("Starting oxicorn {}", env!("CARGO_PKG_VERSION"));
    let hooks = HookCaller {
        hooks: Arc::clone(&loaded.hooks),
        settings: Arc::clone(&settings),
    };
    // A new master already runs in the background.
    let detaches = settings.daemon && !inherited.is_new_master;
    hooks.report_upgrade(state);
    if !detaches {
        hooks.call_starting()?;
    }
    let tls = TlsConfig::load(&settings)?;
    let rate_limits = RateLimitSet::load(&settings, None)?;
    let given = activation::descriptors(&source.environment);
    let listeners = match given.is_empty() {
        true => Listeners::bind(
            std::mem::take(&mut inherited.sockets),
            &settings.bind,
            &settings,
        )?,
        false => Listeners::adopt(given)?,
    };
    let admin = AdminResources::start(std::mem::take(&mut inherited.admin_sockets), &settings);
    let admin = match admin {
        Ok(admin) => admin,
        Err(reason) => {
            // A socket file would be left behind. The old master still needs its own.
            if !inherited.is_new_master {
                listeners.retire(std::iter::empty());
            }
            return Err(reason.into());
        }
    };
    let notifier = Notifier::take(&source.environment, state.old_master.is_some());
    if detaches {
        match daemonize(&**host, settings.enable_stdio_inheritance)
            .context("cannot go into the background")?
        {
            Side::Command(code) => return Ok(Start::Exit(code)),
            Side::Master(ready_sender) => inherited.ready_sender = ready_sender,
        }
        logging::attach().context("cannot open the log")?;
        // The host's log destinations may depend on the process.
        host.open_logs(&settings)?;
    }
    // Before the pid file: a process that reads the pid may send a signal at once.
    let signals = SignalPipe::install(&master_signals::HANDLED).context("cannot catch signals")?;
    if let Some(pidfile) = &mut pidfile {
        pidfile.write()?;
    }
    if detaches {
        hooks.call_starting()?;
    }
    let shared = std::mem::take(&mut inherited.shared);
    let (scoreboard, metric_memory, files) = shared.map().context("no shared memory")?;
    let generation = Generation {
        settings,
        shared_memory: shared_memory_of(&*application).context("no shared memory")?,
        metric_places: place_metrics(&metric_memory, &*application)?,
        application,
        listeners,
        hooks: loaded.hooks,
        tls,
        rate_limits,
        admin,
    };
    let pid = std::process::id();
    info!("Listening at: {} ({pid})", generation.describe());
    if generation.admin.exist() {
        info!("Admin process listens at: {}", generation.admin.describe());
    }
    info!("Using worker: {}", generation.settings.worker_class());
    info!(
        "Loading from: {}",
        describe_directory(&generation.settings, source)
    );
    // A single worker would share them with the master alone, which does not use them.
    if generation.settings.workers > 1 {
        host.share();
    }
    hooks.call(HookEvent::Ready)?;
    let control = Control::new(&generation, state.suffix());
    let mut title = Title::new(&format!("{}{}", generation.name(), state.suffix()), &**host);
    title.show("master");
    let context = ChildContext {
        host: Arc::clone(host),
        shared: SharedResources {
            scoreboard,
            handoff: Handoff::new().context("no socket pair")?,
            bell: Bell::new().context("no eventfd")?,
            metric_memory: metric_memory.clone(),
        },
        title,
        descriptor_limit,
    };
    let master = Master {
        children: Children::new(context.shared.scoreboard.clone(), metric_memory),
        context,
        launch,
        generations: BTreeMap::from([(1, generation)]),
        hooks,
        molds: Molds::default(),
        to_fork: ForkQueue::default(),
        upgrade: Upgrade::new(
            state,
            inherited.exit_token.take(),
            files,
            inherited.workers_needed,
        ),
        reaper: Reaper::new(),
        signals,
        pidfile,
        ready_sender: std::mem::take(&mut inherited.ready_sender),
        notifier,
        gauges: Gauges::default(),
        scaler: AutoScaler::new(),
        admin_listeners: Vec::new(),
        control,
        lifetime: Lifetime::new(),
        other_memory: OtherMemory::default(),
        last_error: None,
    };
    Ok(Start::Serve(Box::new(master)))
}

/// Finds the application that the positional argument of the `oxicorn` command names.
pub fn by_name(settings: &Settings) -> anyhow::Result<Arc<dyn Application>> {
    let Some(name) = settings.application.as_deref() else {
        let names = native::names();
        let text = format!("no application named; use `oxicorn NAME`, with one of: {names}");
        return Err(UsageError(text).into());
    };
    match name.starts_with("native:") {
        true => native::find(name).with_context(|| {
            format!(
                "there is no {name}; the native applications are: {}",
                native::names()
            )
        }),
        false => bail!(
            "{name} is a Python application, which takes the oxicorn of the wheel \
             (pip install oxicorn); this one serves: {}",
            native::names()
        ),
    }
}
