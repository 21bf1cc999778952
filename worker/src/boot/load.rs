//! Loads the application, in any kind of child.

use oxicorn_common::{Application, LoadError, MessageSender, Settings, forks};

use super::error::BootError;
use super::prepare::log_panics;

/// Runs a step that makes something of the application; the error names the application.
pub(super) fn load<T>(
    application: &dyn Application,
    make: impl FnOnce(&dyn Application) -> Result<T, LoadError>,
) -> Result<T, BootError> {
    let pid = std::process::id();
    let made = make(application);
    // A process that the application's code has forked must not become a second worker or mold.
    forks::end_copy_of(pid, i32::from(made.is_err()));
    made.map_err(|source| BootError::Load {
        name: application.name().to_owned(),
        source,
    })
}

/// Loads the application in a mold. The error is the exit code; its reason is logged and sent to the master.
pub fn preload(
    application: &dyn Application,
    settings: &Settings,
    sender: &MessageSender,
) -> Result<(), i32> {
    log_panics();
    load(application, |application| application.preload(settings))
        .map_err(|error| error.report("Mold", sender))
}
