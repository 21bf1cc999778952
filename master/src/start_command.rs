//! The command line, environment and directory of the start, with which a new master is executed.

use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use anyhow::Context;
use nix::unistd::{AccessFlags, access, execve};
use oxicorn_common::settings::Source;

use crate::host::Host;
use crate::{inherited, service_watchdog};

#[derive(Debug, Clone)]
pub(crate) struct StartCommand {
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: PathBuf,
}

impl StartCommand {
    /// Must be called before the environment is changed. Leaves out variables that are meant for this process alone.
    pub(crate) fn new(host: &dyn Host, source: &Source) -> Self {
        let arguments = host.command().unwrap_or_else(|| source.arguments.clone());
        let watchdog = std::env::var_os(service_watchdog::PID);
        let is_ours = watchdog.is_none_or(|pid| pid == *std::process::id().to_string());
        let hidden = inherited::VARIABLES.iter();
        // Another master has another pid; without one, systemd's watchdog is for whoever gets the variables.
        let hidden = hidden.chain(match is_ours {
            true => &service_watchdog::VARIABLES[1..],
            false => &service_watchdog::VARIABLES[..],
        });
        let hidden: Vec<&str> = hidden.copied().collect();
        let environment = std::env::vars_os();
        Self {
            arguments,
            environment: environment
                .filter(|(name, _)| !hidden.iter().any(|own| name == own))
                .collect(),
            directory: source.directory.clone(),
        }
    }

    /// Executes the command in place of this process, with `variables` added to its environment.
    pub(crate) fn execute(&self, variables: Vec<(&str, String)>) -> anyhow::Result<Infallible> {
        std::env::set_current_dir(&self.directory)
            .with_context(|| format!("cannot change to {}", self.directory.display()))?;
        let program = self.program()?;
        let arguments = self.arguments.iter().cloned().map(c_string);
        let arguments = arguments.collect::<anyhow::Result<Vec<_>>>()?;
        let added = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        let variables = self.environment.iter().cloned().chain(added);
        let variables = variables.map(|(mut variable, value)| {
            variable.push("=");
            variable.push(value);
            c_string(variable)
        });
        let variables = variables.collect::<anyhow::Result<Vec<_>>>()?;
        execve(&c_string(program.clone().into())?, &arguments, &variables)
            .with_context(|| format!("cannot execute {}", program.display()))
    }

    /// Found by the PATH of the start: `raw_env` may have changed it.
    fn program(&self) -> anyhow::Result<PathBuf> {
        let name = self.arguments.first().context("there is no command line")?;
        if name.as_bytes().contains(&b'/') {
            return Ok(name.into());
        }
        let path = self.environment.iter().find(|(name, _)| name == "PATH");
        let path = path.map_or_else(OsString::new, |(_, value)| value.clone());
        let mut places = std::env::split_paths(&path).map(|directory| directory.join(name));
        let found = places.find(|place| access(place, AccessFlags::X_OK).is_ok());
        found.with_context(|| format!("{} is not on the PATH", name.display()))
    }
}

fn c_string(text: OsString) -> anyhow::Result<CString> {
    Ok(CString::new(text.into_vec())?)
}
