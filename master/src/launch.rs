//! [`Launch`]: the host, the source of the settings, the application resolver and the start command. The master keeps
//! it for reloads and upgrades.

use std::sync::Arc;

use oxicorn_common::settings::Source;
use oxicorn_common::{Application, Settings};

use crate::host::Host;
use crate::start_command::StartCommand;

/// Finds the application that the settings name. An error leads to exit code 4.
pub(crate) type Resolve = Box<dyn Fn(&Settings) -> anyhow::Result<Arc<dyn Application>>>;

pub(crate) struct Launch {
    pub(crate) host: Arc<dyn Host>,
    /// The sources of the settings.
    pub(crate) source: Source,
    pub(crate) resolve: Resolve,
    pub(crate) command: StartCommand,
}
