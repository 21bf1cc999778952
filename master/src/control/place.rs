//! Where the control socket is, for the server and for its clients.

use std::path::{Path, PathBuf};

use nix::unistd::{User, getuid};
use oxicorn_common::Settings;

/// gunicorn's place for the control socket if no setting names one: `$XDG_RUNTIME_DIR/gunicorn.ctl` where there is such a directory, else
/// `~/.gunicorn/gunicorn.ctl`. Read from the environment of the process, even if a program that embeds the server keeps its
/// environment from the settings.
pub fn default_control_socket() -> Option<PathBuf> {
    let variable = |name| {
        let value = std::env::var_os(name).filter(|value| !value.is_empty());
        value.map(PathBuf::from)
    };
    if let Some(directory) = variable("XDG_RUNTIME_DIR").filter(|path| path.is_dir()) {
        return Some(directory.join("gunicorn.ctl"));
    }
    let of_user = || Some(User::from_uid(getuid()).ok()??.dir);
    let home = variable("HOME").or_else(of_user)?;
    Some(home.join(".gunicorn/gunicorn.ctl"))
}

/// The place that the settings name, in absolute form: a relative one starts from `directory`.
pub(crate) fn place_in(settings: &Settings, directory: &Path) -> Option<PathBuf> {
    let named = settings.control.socket.as_ref();
    Some(directory.join(named?))
}
