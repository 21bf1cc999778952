//! Finds the control socket of the server that is meant.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use clap::ArgMatches;
use oxicorn_common::Settings;
use oxicorn_common::settings::{Loaded, Source};

use super::careful_reader::CarefulReader;
use crate::control::place::{default_control_socket, place_in};

/// The path of `--socket`, else that of the settings that a server would have here, else the default.
pub(super) fn find(matches: &ArgMatches, source: &Source) -> Result<PathBuf, String> {
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    if let Some(path) = text("socket") {
        return Ok(source.directory.join(path));
    }
    let program = source.arguments.first().cloned().unwrap_or_default();
    let mut arguments: Vec<OsString> = vec![program];
    for name in ["config", "env-file"] {
        if let Some(value) = text(name) {
            arguments.extend([format!("--{name}").into(), value.into()]);
        }
    }
    let is_named = arguments.len() > 1;
    let mut source = Source {
        arguments,
        ..source.clone()
    };
    if Loaded::config_given(&source).is_ok_and(|it| it.is_none()) {
        source.reader = Arc::new(CarefulReader(source.reader));
    }
    let default =
        || default_control_socket().ok_or_else(|| "name the socket with --socket".to_owned());
    match Settings::load(&source) {
        Ok(loaded) => {
            let settings = loaded.settings;
            let directory = settings.chdir.as_ref().unwrap_or(&source.directory);
            place_in(&settings, directory).map_or_else(default, Ok)
        }
        Err(error) if is_named => Err(format!("cannot read the settings: {error}")),
        // The server that runs here was started before they were broken, or with others.
        Err(error) => {
            let path = default()?;
            eprintln!(
                "the settings here cannot be read, trying {}: {error}",
                path.display()
            );
            Ok(path)
        }
    }
}
