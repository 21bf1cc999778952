//! SIGHUP: reads the settings and the application again, and opens sockets and logs. If one of these fails,
//! everything stays as it was.

use std::collections::BTreeMap;

use anyhow::Context;
use log::{error, info};
use oxicorn_common::hooks::HookEvent;
use oxicorn_common::metrics::MetricMemory;
use oxicorn_common::{Settings, logging};

use crate::config_children;
use crate::generation::{Generation, change_directory, change_environment, describe_directory};
use crate::host::Host;
use crate::launch::Launch;
use crate::pidfile::{self, Pidfile};
use crate::supervisor::UpgradeState;

/// Makes the next generation, and applies its settings to the master itself. Steps that can fail come first.
pub(crate) fn reload(
    launch: &Launch,
    generations: &BTreeMap<u32, Generation>,
    pidfile: &mut Option<Pidfile>,
    upgrade: UpgradeState,
    metric_memory: &MetricMemory,
) -> anyhow::Result<Generation> {
    let before = generations.values().next_back();
    let before = before.context("there is nothing to reload")?;
    let read = || before.next(&launch.source, &launch.resolve, metric_memory);
    let next = config_children::note_children_of(read)?;
    let settings = &next.settings;
    let path = pidfile::path_of(settings, upgrade);
    let moves = path.as_deref() != pidfile.as_ref().map(Pidfile::path);
    let mut has_host_logs = false;
    let prepared = Pidfile::create(path.as_deref().filter(|_| moves), settings.user)
        .map_err(anyhow::Error::from)
        .and_then(|pidfile| {
            logging::init(&settings.logging_options()).context("cannot open the log")?;
            launch.host.open_logs(settings)?;
            has_host_logs = true;
            next.hook_caller().call(HookEvent::Reloaded)?;
            Ok(pidfile)
        });
    match prepared {
        Ok(new) if moves => {
            if let Some(old) = std::mem::replace(pidfile, new) {
                old.remove();
            }
        }
        Ok(_) => {}
        Err(reason) => {
            let host = Some(&*launch.host).filter(|_| has_host_logs);
            restore_logs(&before.settings, host);
            next.retire(generations.values());
            return Err(reason);
        }
    }
    change_environment(&before.settings, settings);
    let is_same =
        before.listeners.is_same(&next.listeners) && before.tls.is_some() == next.tls.is_some();
    if !is_same {
        let pid = std::process::id();
        info!("Listening at: {} ({pid})", next.describe());
    }
    if next.admin.exist() && !before.admin.listeners.is_same(&next.admin.listeners) {
        info!("Admin process listens at: {}", next.admin.describe());
    }
    info!(
        "Loading from: {}",
        describe_directory(settings, &launch.source)
    );
    Ok(next)
}

/// A generation was given up: the master itself goes back to the settings of `before`, whose workers serve on. What
/// cannot be restored is logged.
pub(crate) fn go_back(
    launch: &Launch,
    given_up: &Settings,
    before: &Settings,
    pidfile: &mut Option<Pidfile>,
    upgrade: UpgradeState,
) {
    change_environment(given_up, before);
    if let Err(problem) = change_directory(before, &launch.source) {
        error!("{problem:#}");
    }
    restore_logs(before, Some(&*launch.host));
    let path_of = |settings| pidfile::path_of(settings, upgrade);
    let path = path_of(before);
    if path_of(given_up) == path {
        return;
    }
    match Pidfile::create(path.as_deref(), before.user) {
        Ok(new) => {
            if let Some(old) = std::mem::replace(pidfile, new) {
                old.remove();
            }
        }
        Err(problem) => error!("{:#}", anyhow::Error::from(problem)),
    }
}

/// Opens the logs by the previous settings, and those of `host` if it has opened its own by the new ones.
fn restore_logs(before: &Settings, host: Option<&dyn Host>) {
    let outcome = logging::init(&before.logging_options()).map_err(anyhow::Error::from);
    let outcome = outcome.and_then(|()| host.map_or(Ok(()), |host| host.open_logs(before)));
    if let Err(problem) = outcome {
        error!("cannot go back to the logs of before: {problem:#}");
    }
}
