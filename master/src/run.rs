//! From the command line to the loop: reads settings, finds the application, binds, detaches,
//! and hands over to the [`Master`].
//!
//! Whatever can go wrong without a child goes wrong here, before anything is forked: one line on
//! stderr and the exit code.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use log::{error, info};
use oxicorn_common::bell::Bell;
use oxicorn_common::hooks::HookEvent;
use oxicorn_common::settings::{ApplicationSettings, Loaded, SettingsError, Source};
use oxicorn_common::{Application, Handoff, Scoreboard, Settings, SignalPipe, logging};
use oxicorn_common::{News, Outages};
use oxicorn_worker::TlsConfig;

use crate::config_check::find_problems;
use crate::daemon::{Side, daemonize};
use crate::descriptor_limit::DescriptorLimit;
use crate::gauges::Gauges;
use crate::generation::{
    Generation, Resolve, change_directory, change_environment, describe_directory, warn_of,
};
use crate::hook_caller::HookCaller;
use crate::host::{Host, Native};
use crate::listeners::Listeners;
use crate::master::{Master, SIGNALS, Shared};
use crate::notify::Notifier;
use crate::oom::OomWatch;
use crate::pidfile::Pidfile;
use crate::title::Title;
use crate::upgrade::{Command, Inheritance, place_of_pidfile, title_of};
use crate::{activation, native, privileges, sys};

/// Bad configuration, or an address that cannot be had.
const CONFIGURATION_ERROR: u8 = 1;
/// gunicorn's `APP_LOAD_ERROR`.
const LOAD_ERROR: u8 = 4;

/// The positional argument is missing, or not wanted.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// An error and the exit code that goes with it.
struct Failure {
    code: u8,
    reason: anyhow::Error,
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(reason: E) -> Self {
        Self {
            code: CONFIGURATION_ERROR,
            reason: reason.into(),
        }
    }
}

/// The life of the process, from its command line to its exit code. `resolve` finds the application
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
            serve_in(Arc::new(Native), source, resolve)
        }
        Err(reason) => report(&reason.into()),
    };
    ExitCode::from(code)
}

/// As [`serve`], in a process of `host` that was started with `source`; returns the exit code.
pub fn serve_in<R>(host: Arc<dyn Host>, source: Source, resolve: R) -> u8
where
    R: Fn(&Settings) -> anyhow::Result<Arc<dyn Application>> + 'static,
{
    let code = start(host, source, Box::new(resolve));
    code.unwrap_or_else(|failure| report(&failure))
}

/// Says why there is no server, or what was asked for instead of one; returns the exit code.
fn report(failure: &Failure) -> u8 {
    if let Some(SettingsError::Information(text)) = failure.reason.downcast_ref() {
        print!("{text}");
        return 0;
    }
    eprintln!("oxicorn: {:#}", failure.reason);
    failure.code
}

/// Says what a start would trip over, and `ok` where that is nothing; returns the exit code.
fn report_check(loaded: &Loaded, source: &Source, application: &dyn Application) -> u8 {
    let concern = privileges::concern(&loaded.settings);
    for warning in loaded.warnings.iter().chain(&concern) {
        eprintln!("oxicorn: warning: {warning}");
    }
    let problems = find_problems(loaded, source, application);
    for problem in &problems {
        eprintln!("oxicorn: {problem}");
    }
    match problems.is_empty() {
        true => println!("oxicorn: ok"),
        false => return CONFIGURATION_ERROR,
    }
    0
}

fn start(host: Arc<dyn Host>, mut source: Source, resolve: Resolve) -> Result<u8, Failure> {
    let command = Command::new(&*host, &source);
    let inheritance = Inheritance::take(&mut source.environment)?;
    let mut last_words = inheritance.ready_sender.duplicate();
    let launch = Launch {
        host,
        source,
        resolve,
        command,
    };
    check(launch, inheritance).inspect_err(|failure| {
        last_words.failed(failure.code.into(), &format!("{:#}", failure.reason));
    })
}

fn check(launch: Launch, inheritance: Inheritance) -> Result<u8, Failure> {
    let Launch {
        host,
        source,
        resolve,
        ..
    } = &launch;
    let loaded = Settings::load(source)?;
    if loaded.settings.print_config {
        print!("{}", loaded.print_config());
        return Ok(0);
    }
    let application = match find(resolve, &loaded.settings) {
        Err(failure) if loaded.settings.check_config => return Err(failure.reason.into()),
        outcome => outcome?,
    };
    if loaded.settings.check_config {
        return Ok(report_check(&loaded, source, &*application));
    }
    privileges::check(&loaded.settings)?;
    if sys::thread_count() > 1 && !host.allows_threads() {
        return Err(anyhow!("the server must be started before any thread is").into());
    }
    let has_log_file = loaded.settings.errorlog != "-";
    become_master(launch, inheritance, loaded, application).inspect_err(|failure| {
        if has_log_file {
            error!("{:#}", failure.reason);
        }
    })
}

fn find(resolve: &Resolve, settings: &Settings) -> Result<Arc<dyn Application>, Failure> {
    resolve(settings).map_err(|reason| Failure {
        code: match reason.is::<UsageError>() {
            true => CONFIGURATION_ERROR,
            false => LOAD_ERROR,
        },
        reason,
    })
}

/// What the master comes back to later.
struct Launch {
    host: Arc<dyn Host>,
    source: Source,
    resolve: Resolve,
    command: Command,
}

/// Becomes the master. In the command that started a daemon it returns when that serves.
fn become_master(
    launch: Launch,
    inheritance: Inheritance,
    loaded: Loaded,
    application: Arc<dyn Application>,
) -> Result<u8, Failure> {
    let Launch {
        host,
        source,
        resolve,
        command,
    } = launch;
    let succession = inheritance.succession;
    let settings = Arc::new(loaded.settings.clone());
    change_directory(&settings, &source)?;
    logging::init(&settings).context("cannot open the log")?;
    host.open_logs(&settings)?;
    warn_of(&loaded);
    let descriptor_limit = DescriptorLimit::raise();
    change_environment(&Settings::default(), &settings);
    let place = place_of_pidfile(&settings, succession);
    let mut pidfile = place
        .as_deref()
        .map(|it| Pidfile::lock(it, settings.user))
        .transpose()?;
    info!("Starting oxicorn {}", env!("CARGO_PKG_VERSION"));
    let hook_caller = HookCaller {
        hooks: Arc::clone(&loaded.hooks),
        settings: Arc::clone(&settings),
    };
    // A successor is in the background already.
    let detaches = settings.daemon && !inheritance.is_heir;
    hook_caller.report_upgrade(succession);
    if !detaches {
        hook_caller.call_starting()?;
    }
    let tls = TlsConfig::load(&settings)?;
    let given = activation::descriptors(&source.environment);
    let listeners = match given.is_empty() {
        true => Listeners::bind(inheritance.sockets, &settings)?,
        false => Listeners::adopt(given)?,
    };
    let notifier = Notifier::take(&source.environment, succession.predecessor.is_some());
    let ready_sender = match detaches {
        false => inheritance.ready_sender,
        true => match daemonize(&*host, settings.enable_stdio_inheritance)
            .context("cannot go into the background")?
        {
            Side::Command(code) => return Ok(code),
            Side::Master(ready_sender) => {
                logging::attach().context("cannot open the log")?;
                // Whose process it is matters to the host.
                host.open_logs(&settings)?;
                ready_sender
            }
        },
    };
    // Who reads the pid may send it a signal at once.
    let signals = SignalPipe::install(&SIGNALS).context("cannot catch signals")?;
    if let Some(pidfile) = &mut pidfile {
        pidfile.write()?;
    }
    if detaches {
        hook_caller.call_starting()?;
    }
    let workers = settings.workers;
    let generation = Generation {
        settings,
        application,
        listeners,
        hooks: loaded.hooks,
        tls,
    };
    let pid = std::process::id();
    info!("Listening at: {} ({pid})", generation.describe());
    info!("Using worker: {}", generation.settings.worker_class());
    info!(
        "Loading from: {}",
        describe_directory(&generation.settings, &source)
    );
    // One worker would share with nobody but the master, which needs none of it.
    if generation.settings.workers > 1 {
        host.share();
    }
    hook_caller.call(HookEvent::Ready)?;
    let mut title = Title::new(&title_of(generation.name(), succession), &*host);
    title.show("master");
    let mut master = Master {
        host,
        source,
        resolve,
        command,
        hook_caller,
        workers,
        generations: BTreeMap::from([(1, generation)]),
        children: BTreeMap::new(),
        molds: BTreeMap::new(),
        shared: Shared {
            scoreboard: Scoreboard::new().context("no shared memory")?,
            handoff: Handoff::new().context("no socket pair")?,
            bell: Bell::new().context("no eventfd")?,
            outages: Outages::new().context("no shared memory")?,
            news: News::new().context("no shared memory")?,
        },
        signals: Some(signals),
        oom: OomWatch::new(),
        pidfile,
        descriptor_limit,
        ready_sender,
        ready_receiver: None,
        exit_token: inheritance.exit_token,
        notifier,
        title,
        gauges: Gauges::default(),
        last_words: None,
    };
    let code = master.run(succession);
    Ok(u8::try_from(code).unwrap_or(CONFIGURATION_ERROR))
}

/// Finds what the positional argument of the `oxicorn` command names.
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
