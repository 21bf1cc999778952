//! Calls the functions of the config file, with the settings that were read together with them.

use std::sync::Arc;

use log::error;
use oxicorn_common::Settings;
use oxicorn_common::hooks::{HookError, HookEvent, Hooks};

use crate::config_children;
use crate::supervisor::UpgradeState;

#[derive(Debug, Clone)]
pub(crate) struct HookCaller {
    pub(crate) hooks: Arc<dyn Hooks>,
    pub(crate) settings: Arc<Settings>,
}

impl HookCaller {
    /// Calls the function for `event`. The error is the exception that it raised.
    pub(crate) fn call(&self, event: HookEvent) -> Result<(), HookError> {
        config_children::note_children_of(|| self.hooks.call(event))
    }

    /// Calls the function for `event`, and only logs an exception.
    pub(crate) fn call_or_log(&self, event: HookEvent) {
        if let Err(raised) = self.call(event) {
            error!("{raised}");
        }
    }

    /// Calls the hooks of the server's start, in the process that will be the master.
    pub(crate) fn call_starting(&self) -> Result<(), HookError> {
        self.call(HookEvent::WorkersChanged {
            new: self.settings.workers,
            old: None,
        })?;
        self.call(HookEvent::Starting)
    }

    /// Reports the other master of an upgrade.
    pub(crate) fn report_upgrade(&self, upgrade: UpgradeState) {
        self.call_or_log(HookEvent::Upgrade {
            old_master: upgrade.old_master.unwrap_or(0),
            new_master: upgrade.new_master.unwrap_or(0),
        });
    }
}
