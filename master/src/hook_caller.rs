//! The functions of the config file, with the settings that were read with them.

use std::sync::Arc;

use log::error;
use oxicorn_common::Settings;
use oxicorn_common::hooks::{HookError, HookEvent, Hooks};

use crate::reap::running_config_code;
use crate::supervisor::UpgradeState;

#[derive(Debug, Clone)]
pub(crate) struct HookCaller {
    pub(crate) hooks: Arc<dyn Hooks>,
    pub(crate) settings: Arc<Settings>,
}

impl HookCaller {
    /// Calls the function for `event` where something depends on it.
    pub(crate) fn call(&self, event: HookEvent) -> Result<(), HookError> {
        running_config_code(|| self.hooks.call(event))
    }

    /// Tells that the server starts, in the process that will be the master.
    pub(crate) fn call_starting(&self) -> Result<(), HookError> {
        self.call(HookEvent::WorkersChanged {
            new: self.settings.workers,
            old: None,
        })?;
        self.call(HookEvent::Starting)
    }

    /// Has the config file know of another master.
    pub(crate) fn report_upgrade(&self, succession: UpgradeState) {
        self.call_or_log(HookEvent::Succession {
            predecessor: succession.predecessor.unwrap_or(0),
            successor: succession.successor.unwrap_or(0),
        });
    }

    /// Calls the function for `event`. What it raises is logged, and nothing else comes of it.
    pub(crate) fn call_or_log(&self, event: HookEvent) {
        if let Err(raised) = self.call(event) {
            error!("{raised}");
        }
    }
}
