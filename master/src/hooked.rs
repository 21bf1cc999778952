//! The functions of the config file, with the settings that were read with them.

use std::sync::Arc;

use log::error;
use oxicorn_common::Settings;
use oxicorn_common::hooks::{HookError, Hooks, Moment};

use crate::reap::sparing;
use crate::supervisor::Succession;

#[derive(Debug, Clone)]
pub(crate) struct Hooked {
    pub(crate) hooks: Arc<dyn Hooks>,
    pub(crate) settings: Arc<Settings>,
}

impl Hooked {
    /// Calls the function for `moment` where something depends on it.
    pub(crate) fn ask(&self, moment: Moment) -> Result<(), HookError> {
        sparing(|| self.hooks.call(moment, &self.settings))
    }

    /// Tells that the server starts, in the process that will be the master.
    pub(crate) fn begin(&self) -> Result<(), HookError> {
        self.ask(Moment::WorkersChanged {
            new: self.settings.workers,
            old: None,
        })?;
        self.ask(Moment::Starting)
    }

    /// Has the config file know of another master.
    pub(crate) fn tell_of(&self, succession: Succession) {
        self.tell(Moment::Succession {
            predecessor: succession.predecessor.unwrap_or(0),
            successor: succession.successor.unwrap_or(0),
        });
    }

    /// Calls the function for `moment`. What it raises is logged, and nothing else comes of it.
    pub(crate) fn tell(&self, moment: Moment) {
        if let Err(raised) = self.ask(moment) {
            error!("{raised}");
        }
    }
}
