//! The settings, sockets and memory that all children of one generation are started with.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use oxicorn_common::hooks::Hooks;
use oxicorn_common::metrics::{MetricError, MetricMemory, MetricPlaces};
use oxicorn_common::rate_limits::RateLimitSet;
use oxicorn_common::settings::{Loaded, Source};
use oxicorn_common::{Application, Settings, SharedMemory};
use oxicorn_worker::TlsConfig;

use crate::admin_resources::AdminResources;
use crate::hook_caller::HookCaller;
use crate::launch::Resolve;
use crate::listeners::Listeners;
use crate::supervisor::Plan;
use crate::{native, privileges, sys};

#[derive(Clone)]
pub(crate) struct Generation {
    pub(crate) settings: Arc<Settings>,
    pub(crate) application: Arc<dyn Application>,
    /// The words that the application asks for.
    pub(crate) shared_memory: SharedMemory,
    /// The words of the metrics that the application lists.
    pub(crate) metric_places: MetricPlaces,
    pub(crate) listeners: Listeners,
    /// Read from files that children may not be allowed to read.
    pub(crate) tls: Option<TlsConfig>,
    /// The rules and buckets of `rate_limits`.
    pub(crate) rate_limits: Option<Arc<RateLimitSet>>,
    pub(crate) admin: AdminResources,
    pub(crate) hooks: Arc<dyn Hooks>,
}

/// What a generation opens and reads besides its settings.
type Acquired = (
    Listeners,
    Option<TlsConfig>,
    Option<Arc<RateLimitSet>>,
    AdminResources,
);

impl Generation {
    pub(crate) fn plan(&self) -> Plan {
        let settings = &self.settings;
        Plan {
            workers: settings.workers,
            scaling: settings.worker_bounds(),
            runners: match self.application.has_runner() {
                true => settings.runners,
                false => 0,
            },
            admin: self.admin.exist(),
            timeout: settings.timeout,
            reforks: self.reforks(),
            boot_timeout: settings.recycling.boot_timeout,
            worker_max_age: settings.recycling.worker_max_age,
            max_worker_memory: settings.recycling.max_worker_memory.in_bytes(),
            max_total_memory: settings.recycling.max_total_memory.in_bytes(),
            graceful_timeout: settings.graceful_timeout,
            drain_delay: settings.drain_delay,
        }
    }

    /// Whether its workers are forked from a mold. Not with `reload`: a mold would keep the old code.
    pub(crate) fn preloads(&self) -> bool {
        let settings = &self.settings;
        settings.preload_app && !settings.reload.enabled && self.application.can_preload()
    }

    /// Whether a worker may become the mold of others.
    pub(crate) fn reforks(&self) -> bool {
        reforks(&self.settings) && self.application.can_refork()
    }

    pub(crate) fn hook_caller(&self) -> HookCaller {
        HookCaller {
            hooks: Arc::clone(&self.hooks),
            settings: Arc::clone(&self.settings),
        }
    }

    /// Its name in the process titles.
    pub(crate) fn name(&self) -> String {
        let name = self.settings.proc_name.as_deref();
        name.unwrap_or(self.application.name()).to_owned()
    }

    /// The next generation, for a reload: reads and binds everything, and changes nothing of this one.
    pub(crate) fn next(
        &self,
        source: &Source,
        resolve: &Resolve,
        metric_memory: &MetricMemory,
    ) -> anyhow::Result<Self> {
        let loaded = Settings::load(source)?;
        log_warnings(&loaded);
        let Loaded {
            settings, hooks, ..
        } = loaded;
        privileges::check(&settings)?;
        let application = resolve(&settings)?;
        warn_of_refork(&settings, &*application);
        let shared_memory = self.shared_memory_for(&*application)?;
        let metric_places = place_metrics(metric_memory, &*application)?;
        change_directory(&settings, source)?;
        match self.acquire(&settings) {
            Ok((listeners, tls, rate_limits, admin)) => Ok(Self {
                settings: Arc::new(settings),
                application,
                shared_memory,
                metric_places,
                listeners,
                tls,
                rate_limits,
                admin,
                hooks,
            }),
            Err(error) => {
                change_directory(&self.settings, source)?;
                Err(error)
            }
        }
    }

    /// The same words if the application stays and asks for the same number: both generations then share them.
    fn shared_memory_for(&self, application: &dyn Application) -> io::Result<SharedMemory> {
        let before = &*self.application;
        let is_same = before.name() == application.name()
            && before.shared_words() == application.shared_words();
        match is_same {
            true => Ok(self.shared_memory.clone()),
            false => shared_memory_of(application),
        }
    }

    /// Opens files that the settings may name by relative paths.
    fn acquire(&self, settings: &Settings) -> anyhow::Result<Acquired> {
        let tls = TlsConfig::load(settings)?;
        let rate_limits = RateLimitSet::load(settings, self.rate_limits.as_deref())?;
        let listeners = self.listeners.rebind(&settings.bind, settings)?;
        match self.admin.next(settings) {
            Ok(admin) => Ok((listeners, tls, rate_limits, admin)),
            Err(error) => {
                listeners.retire([&self.listeners].into_iter());
                Err(error)
            }
        }
    }

    /// Removes the socket files that none of `remaining` listens on.
    pub(crate) fn retire<'a>(self, remaining: impl Iterator<Item = &'a Self> + Clone) {
        self.listeners
            .retire(remaining.clone().map(|other| &other.listeners));
        let others = remaining.map(|other| &other.admin.listeners);
        self.admin.listeners.retire(others);
    }

    /// The addresses, in the form of gunicorn's start line.
    pub(crate) fn describe(&self) -> String {
        self.listeners.describe(self.tls.is_some())
    }
}

/// Whether the settings ask for it. Not with `reload`: a mold would keep the old code.
pub(crate) fn reforks(settings: &Settings) -> bool {
    settings.recycling.refork_after > 0 && !settings.reload.enabled
}

/// How long health checks may fail before the server drains, and how long its children may drain then.
pub(crate) fn longest_end(generations: &BTreeMap<u32, Generation>) -> (Duration, Duration) {
    let settings = || generations.values().map(|generation| &generation.settings);
    let delay = settings().map(|it| it.drain_delay).max();
    let drain = settings().map(|it| it.graceful_timeout).max();
    (delay.unwrap_or_default(), drain.unwrap_or_default())
}

/// Says that `refork_after` has no effect, if `application` forbids it.
pub(crate) fn warn_of_refork(settings: &Settings, application: &dyn Application) {
    if reforks(settings) && !application.can_refork() {
        let name = application.name();
        log::warn!("refork_after has no effect: {name} cannot be forked once it has served");
    }
}

/// Memory for all processes of `application`. Unused words take no memory.
pub(crate) fn shared_memory_of(application: &dyn Application) -> io::Result<SharedMemory> {
    SharedMemory::new(application.shared_words().max(1))
}

/// Checks the metrics of `application` and gives them their words. The names of the server's own metrics are for
/// applications that come with it.
pub(crate) fn place_metrics(
    memory: &MetricMemory,
    application: &dyn Application,
) -> Result<MetricPlaces, MetricError> {
    let is_built_in = native::find(application.name()).is_some();
    memory.place(application.metrics(), is_built_in)
}

pub(crate) fn log_warnings(loaded: &Loaded) {
    for warning in &loaded.warnings {
        log::warn!("{warning}");
    }
    let settings = &loaded.settings;
    if let Some(warning) = privileges::warning(settings) {
        log::warn!("{warning}");
    }
    if settings.recycling.refork_after > 0 && settings.reload.enabled {
        log::warn!("refork_after has no effect with reload: each worker loads the application");
    }
    if settings.preload_app && settings.reload.enabled {
        log::warn!("preload_app has no effect with reload: each worker loads the application");
    }
}

/// The directory that code is loaded from; if that is a link, also its target.
pub(crate) fn describe_directory(settings: &Settings, source: &Source) -> String {
    let named = settings.chdir.as_ref().unwrap_or(&source.directory);
    match std::env::current_dir() {
        Ok(actual) if actual != *named => format!("{} ({})", named.display(), actual.display()),
        _ => named.display().to_string(),
    }
}

/// Changes to the directory that relative paths start from. It may be a link that points to another release by now.
pub(crate) fn change_directory(settings: &Settings, source: &Source) -> anyhow::Result<()> {
    let directory = settings.chdir.as_ref().unwrap_or(&source.directory);
    std::env::set_current_dir(directory)
        .with_context(|| format!("cannot change to {}", directory.display()))
}

/// Sets the variables of `raw_env`, and removes earlier ones that it does not have any more.
pub(crate) fn change_environment(before: &Settings, after: &Settings) {
    for (name, _) in &before.raw_env {
        sys::remove_variable(name);
    }
    for (name, value) in &after.raw_env {
        sys::set_variable(name, value);
    }
}
