//! SIGHUP: settings, application, sockets and logs anew, or everything as it was.

use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use log::{error, info};
use nix::unistd::Uid;
use oxicorn_common::hooks::HookEvent;
use oxicorn_common::logging;

use crate::generation::{Generation, change_environment, describe_directory};
use crate::master::Master;
use crate::pidfile::Pidfile;
use crate::reap::running_config_code;
use crate::supervisor::{Action, Event, Supervisor, UpgradeState};
use crate::upgrade::{place_of_pidfile, title_of};

impl Master {
    /// Carries out [`Action::Reload`].
    pub(crate) fn reload(&mut self, supervisor: &mut Supervisor) -> Vec<Action> {
        let now = Instant::now();
        let Some(newest) = self.generations.values().next_back() else {
            return Vec::new();
        };
        self.notifier.reloading();
        let next = running_config_code(|| newest.next(&self.source, &self.resolve));
        let succession = supervisor.succession();
        let next = next.and_then(|next| self.adopt(next, succession));
        match next {
            Ok(next) => {
                info!("Hang up: {}", succession.name());
                let plan = next.plan();
                let actions = supervisor.handle(Event::Reloaded(plan), now);
                self.generations.insert(supervisor.newest(), next);
                // After each reload, as in gunicorn, whether it has changed or not.
                let new = supervisor.workers_wanted();
                let old = Some(std::mem::replace(&mut self.workers, new));
                self.hook_caller
                    .call_or_log(HookEvent::WorkersChanged { new, old });
                actions
            }
            Err(reason) => {
                error!("Reload failed, everything stays as it is: {reason:#}");
                self.notifier.ready();
                supervisor.reload_failed(now)
            }
        }
    }

    /// Lets the settings of a reload hold for the master itself. What can fail comes first.
    fn adopt(&mut self, next: Generation, succession: UpgradeState) -> anyhow::Result<Generation> {
        let settings = &next.settings;
        let held = self.pidfile.as_ref().map(Pidfile::path);
        let place = place_of_pidfile(settings, succession);
        let moves = place.as_deref() != held;
        let place = place.filter(|_| moves);
        let mut opened = false;
        let prepared = prepare_pidfile(place.as_deref(), settings.user).and_then(|pidfile| {
            logging::init(settings).context("cannot open the log")?;
            self.host.open_logs(settings)?;
            opened = true;
            next.hook_caller().call(HookEvent::Reloaded)?;
            Ok(pidfile)
        });
        let pidfile = match prepared {
            Ok(pidfile) => pidfile,
            Err(reason) => {
                self.go_back_to_logs(opened);
                let ours = self.generations.values().map(|other| &other.listeners);
                next.listeners.retire(ours);
                return Err(reason);
            }
        };
        if moves && let Some(old) = std::mem::replace(&mut self.pidfile, pidfile) {
            old.remove();
        }
        self.hook_caller = next.hook_caller();
        let before = self.generations.values().next_back();
        if let Some(before) = before {
            change_environment(&before.settings, settings);
        }
        let is_same = |before: &Generation| {
            before.listeners.is_same(&next.listeners) && before.tls.is_some() == next.tls.is_some()
        };
        if !before.is_some_and(is_same) {
            let pid = std::process::id();
            info!("Listening at: {} ({pid})", next.describe());
        }
        info!(
            "Loading from: {}",
            describe_directory(settings, &self.source)
        );
        self.title.rename(&title_of(next.name(), succession));
        self.title.show("master");
        Ok(next)
    }

    /// The settings of a reload are no good after all; the host has `opened` the logs by them, or kept
    /// those of before.
    fn go_back_to_logs(&self, opened: bool) {
        let Some(before) = self.generations.values().next_back() else {
            return;
        };
        let settings = &before.settings;
        let outcome = logging::init(settings).map_err(anyhow::Error::from);
        let outcome = outcome.and_then(|()| match opened {
            true => self.host.open_logs(settings),
            false => Ok(()),
        });
        if let Err(problem) = outcome {
            error!("cannot go back to the logs of before: {problem:#}");
        }
    }
}

fn prepare_pidfile(place: Option<&Path>, workers: Option<Uid>) -> anyhow::Result<Option<Pidfile>> {
    let mut pidfile = place.map(|it| Pidfile::lock(it, workers)).transpose()?;
    if let Some(pidfile) = &mut pidfile {
        pidfile.write()?;
    }
    Ok(pidfile)
}
