//! What the server was launched with. The master comes back to it for a reload and for an upgrade.

use std::sync::Arc;

use oxicorn_common::settings::Source;
use oxicorn_common::{Application, Settings};

use crate::host::Host;
use crate::start_command::StartCommand;

/// Finds the application that the settings name. An error is exit code 4.
pub(crate) type Resolve = Box<dyn Fn(&Settings) -> anyhow::Result<Arc<dyn Application>>>;

pub(crate) struct Launch {
    pub(crate) host: Arc<dyn Host>,
    /// Where the settings come from.
    pub(crate) source: Source,
    pub(crate) resolve: Resolve,
    pub(crate) command: StartCommand,
}
