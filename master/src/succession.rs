//! SIGUSR2: another master, of the program as it is on the disk by now, beside this one.
//!
//! ```text
//!   predecessor --fork--> pre_exec --exec, sockets open--> successor
//!       | ends, however it does ---- SIGCHLD (PR_SET_PDEATHSIG) ---^ takes its name and its pidfile
//! ```
//!
//! The successor is started as its predecessor was: the same command, directory and environment. What is
//! left to it are the listening sockets and two variables, which only its master sees.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use anyhow::Context;
use log::error;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{execvpe, getpid, getppid};
use oxicorn_common::address::Address;
use oxicorn_common::hooks::Moment;
use oxicorn_common::settings::Source;
use oxicorn_common::{Settings, signals};

use crate::host::Host;
use crate::master::Master;
use crate::spawn::fork_to;
use crate::supervisor::{Event, Succession};
use crate::sys;

/// A line for each socket: descriptor, space, the address that it was bound for.
const SOCKETS: &str = "OXICORN_FD";
/// The pid of the predecessor.
const PREDECESSOR: &str = "OXICORN_PID";

/// How this process was started, and how its successor will be.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: PathBuf,
}

impl Command {
    /// To be made before anything has changed the environment.
    pub(crate) fn new(host: &dyn Host, source: &Source) -> Self {
        let arguments = host.command().unwrap_or_else(|| source.arguments.clone());
        let ours = [SOCKETS, PREDECESSOR, "LISTEN_PID"];
        let environment = std::env::vars_os();
        Self {
            arguments,
            environment: environment
                .filter(|(name, _)| !ours.iter().any(|our| name == our))
                .collect(),
            directory: source.directory.clone(),
        }
    }

    /// Becomes the command, with `more` in its environment.
    fn execute(&self, more: Vec<(&str, String)>) -> anyhow::Result<Infallible> {
        std::env::set_current_dir(&self.directory)
            .with_context(|| format!("cannot change to {}", self.directory.display()))?;
        let arguments = self.arguments.iter().cloned().map(c_string);
        let arguments = arguments.collect::<anyhow::Result<Vec<_>>>()?;
        let program = arguments.first().context("there is no command line")?;
        let own = self.environment.iter().cloned();
        let more = more
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        let variables = own.chain(more).map(|(mut variable, value)| {
            variable.push("=");
            variable.push(value);
            c_string(variable)
        });
        let variables = variables.collect::<anyhow::Result<Vec<_>>>()?;
        execvpe(program, &arguments, &variables)
            .with_context(|| format!("cannot execute {}", program.to_string_lossy()))
    }
}

fn c_string(text: OsString) -> anyhow::Result<CString> {
    Ok(CString::new(text.into_vec())?)
}

/// What a predecessor has left to this process.
#[derive(Debug, Default)]
pub(crate) struct Inheritance {
    /// This process was started by SIGUSR2.
    pub(crate) is_heir: bool,
    /// As it is now: who has started us may be gone.
    pub(crate) succession: Succession,
    pub(crate) sockets: Vec<(RawFd, Address)>,
}

impl Inheritance {
    /// Takes what is left from the environment: neither children nor a reload shall see it.
    pub(crate) fn take(environment: &mut BTreeMap<String, String>) -> anyhow::Result<Self> {
        let mut take = |name| {
            sys::remove_variable(name);
            environment.remove(name)
        };
        let (sockets, predecessor) = (take(SOCKETS), take(PREDECESSOR));
        let Some(predecessor) = predecessor.and_then(|pid| pid.parse::<i32>().ok()) else {
            return Ok(Self::default());
        };
        // Harmless, and wakes the master's loop.
        prctl::set_pdeathsig(Signal::SIGCHLD)?;
        let lives = getppid().as_raw() == predecessor;
        let sockets = sockets.unwrap_or_default();
        let sockets = sockets.lines().map(|line| {
            let socket = line
                .split_once(' ')
                .and_then(|(fd, address)| Some((fd.parse().ok()?, address.parse().ok()?)));
            socket.with_context(|| format!("{SOCKETS}: {line:?} is no socket"))
        });
        Ok(Self {
            is_heir: true,
            succession: Succession {
                predecessor: lives.then_some(predecessor),
                successor: None,
            },
            sockets: sockets.collect::<anyhow::Result<_>>()?,
        })
    }
}

impl Master {
    /// Carries out `Action::StartSuccessor`.
    pub(crate) fn start_successor(&mut self) -> Event {
        let own_pid = getpid().as_raw();
        let forked = fork_to(self, sys::fork, |master| {
            let Err(reason) = master.become_successor(own_pid);
            error!("Cannot start a new master: {reason:#}");
            log::logger().flush();
            sys::exit_now(1);
        });
        match forked {
            Ok(pid) => Event::SuccessorStarted { pid },
            Err(error) => Event::SuccessorFailed {
                reason: error.to_string(),
            },
        }
    }

    /// In a copy of the master whose pid is `predecessor`.
    fn become_successor(&mut self, predecessor: i32) -> anyhow::Result<Infallible> {
        signals::reset_to_default()?;
        let newest = self.generations.values().next_back();
        let newest = newest.context("there is nothing to serve")?;
        newest.hooked().ask(Moment::PreExec)?;
        let mut variables = newest.listeners.bequeath(SOCKETS)?;
        variables.push((PREDECESSOR, predecessor.to_string()));
        signals::unblock_all()?;
        self.command.execute(variables)
    }

    /// Carries out `Action::Promote`.
    pub(crate) fn promote(&mut self) {
        let Some(newest) = self.generations.values().next_back() else {
            return;
        };
        self.title.rename(&newest.name());
        self.title.show("master");
        let place = newest.settings.pidfile.as_deref();
        if let (Some(pidfile), Some(place)) = (&mut self.pidfile, place)
            && let Err(reason) = pidfile.rename(place)
        {
            error!("{:#}", anyhow::Error::from(reason));
        }
        self.notifier.ready();
    }
}

/// Whether the master that has started this one is gone.
pub(crate) fn look_for_predecessor(succession: Succession) -> Option<Event> {
    let predecessor = succession.predecessor?;
    (getppid().as_raw() != predecessor).then_some(Event::PredecessorEnded)
}

/// Where the pidfile is to be: beside that of the predecessor, while there is one.
pub(crate) fn place_of_pidfile(settings: &Settings, succession: Succession) -> Option<PathBuf> {
    let mut place = settings.pidfile.clone()?.into_os_string();
    if succession.predecessor.is_some() {
        place.push(".2");
    }
    Some(place.into())
}

/// What ps shows a process of this name as.
pub(crate) fn title_of(name: String, succession: Succession) -> String {
    match succession.predecessor {
        Some(_) => format!("{name}.2"),
        None => name,
    }
}
