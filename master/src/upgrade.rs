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
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use anyhow::Context;
use log::error;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{AccessFlags, access, execve, getpid, getppid};
use oxicorn_common::address::Address;
use oxicorn_common::hooks::HookEvent;
use oxicorn_common::settings::Source;
use oxicorn_common::{Settings, signals};

use crate::exit_token::ExitToken;
use crate::host::Host;
use crate::master::Master;
use crate::ready_pipe::{ReadyReceiver, ReadySender, ready_pipe};
use crate::spawn::fork_to;
use crate::supervisor::{Death, Event, UpgradeState};
use crate::sys;

/// A line for each socket: descriptor, space, the address that it was bound for.
const SOCKETS: &str = "OXICORN_FD";
/// The pid of the predecessor.
const PREDECESSOR: &str = "OXICORN_PID";
/// Two descriptors: on one it hears how the start goes, by the other both know who ends last.
const HANDOVER: &str = "OXICORN_HANDOVER";

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
        let ours = [SOCKETS, PREDECESSOR, HANDOVER, "LISTEN_PID"];
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
        let program = self.program()?;
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
        execve(&c_string(program.clone().into())?, &arguments, &variables)
            .with_context(|| format!("cannot execute {}", program.display()))
    }

    /// Found as it was at the start: `raw_env` may have another PATH.
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

/// What a predecessor has left to this process.
#[derive(Debug, Default)]
pub(crate) struct Inheritance {
    /// This process was started by SIGUSR2.
    pub(crate) is_heir: bool,
    /// As it is now: who has started us may be gone.
    pub(crate) succession: UpgradeState,
    pub(crate) sockets: Vec<(OwnedFd, Address)>,
    /// To the predecessor.
    pub(crate) ready_sender: ReadySender,
    pub(crate) exit_token: Option<ExitToken>,
}

impl Inheritance {
    /// Takes what is left from the environment: neither children nor a reload shall see it.
    pub(crate) fn take(environment: &mut BTreeMap<String, String>) -> anyhow::Result<Self> {
        let mut take = |name| {
            sys::remove_variable(name);
            environment.remove(name)
        };
        let (sockets, predecessor) = (take(SOCKETS), take(PREDECESSOR));
        let handover = take(HANDOVER).unwrap_or_default();
        let mut handover = handover
            .split(',')
            .map(|fd| sys::adopt(fd.parse().ok()?).ok());
        let (pipe, eventfd) = (handover.next().flatten(), handover.next().flatten());
        let Some(predecessor) = predecessor.and_then(|pid| pid.parse::<i32>().ok()) else {
            return Ok(Self::default());
        };
        // Harmless, and wakes the master's loop.
        prctl::set_pdeathsig(Signal::SIGCHLD)?;
        let lives = getppid().as_raw() == predecessor;
        let sockets = sockets.unwrap_or_default();
        let sockets = sockets.lines().map(|line| {
            // At once, so that no program that a config file executes inherits it too.
            let socket = line.split_once(' ').and_then(|(fd, address)| {
                let fd = sys::adopt(fd.parse().ok()?).ok()?;
                Some((fd, address.parse().ok()?))
            });
            socket.with_context(|| format!("{SOCKETS}: {line:?} is no socket"))
        });
        Ok(Self {
            is_heir: true,
            succession: UpgradeState {
                predecessor: lives.then_some(predecessor),
                successor: None,
            },
            sockets: sockets.collect::<anyhow::Result<_>>()?,
            ready_sender: pipe.map_or_else(ReadySender::default, ReadySender::inherited),
            exit_token: eventfd.map(ExitToken::inherited),
        })
    }
}

impl Master {
    /// Carries out `Action::StartNewMaster`.
    pub(crate) fn start_new_master(&mut self) -> Event {
        let own_pid = getpid().as_raw();
        let mut start = || -> io::Result<i32> {
            let (ready_receiver, mut ready_sender) = ready_pipe()?;
            let exit_token = ExitToken::new()?;
            let pid = fork_to(self, sys::fork, |master| {
                let Err(reason) = master.become_new_master(own_pid, &ready_sender, &exit_token);
                ready_sender.failed(1, &format!("{reason:#}"));
                sys::exit_now(1);
            })?;
            self.ready_receiver = Some(ready_receiver);
            self.exit_token = Some(exit_token);
            Ok(pid)
        };
        match start() {
            Ok(pid) => Event::NewMasterStarted { pid },
            Err(error) => Event::NewMasterFailed {
                reason: error.to_string(),
            },
        }
    }

    /// In a copy of the master whose pid is `predecessor`.
    fn become_new_master(
        &mut self,
        predecessor: i32,
        ready_sender: &ReadySender,
        exit_token: &ExitToken,
    ) -> anyhow::Result<Infallible> {
        signals::reset_to_default()?;
        let newest = self.generations.values().next_back();
        let newest = newest.context("there is nothing to serve")?;
        newest.hook_caller().call(HookEvent::PreExec)?;
        let mut variables = newest.listeners.bequeath(SOCKETS)?;
        variables.push((PREDECESSOR, predecessor.to_string()));
        let descriptors = [ready_sender.bequeath()?, exit_token.bequeath()?];
        let descriptors = descriptors.map(|fd| fd.to_string());
        variables.push((HANDOVER, descriptors.join(",")));
        signals::unblock_all()?;
        self.descriptor_limit.restore();
        self.command.execute(variables)
    }

    /// Carries out `Action::Promote`.
    pub(crate) fn promote(&mut self) {
        self.exit_token = None;
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
        self.notifier.promoted();
    }

    /// How the successor has come to its end.
    pub(crate) fn new_master_exited(&mut self, death: Death) -> Event {
        self.exit_token = None;
        let news = self.ready_receiver.take().and_then(ReadyReceiver::take);
        let reason = news.map(|(_, reason)| reason).filter(|it| !it.is_empty());
        Event::NewMasterExited { death, reason }
    }

    /// The last look, before what only one of two masters may remove is removed, or left to the other.
    pub(crate) fn look_around(&mut self, succession: UpgradeState) -> UpgradeState {
        let gone = |pid| sys::reap(pid).is_some();
        let successor = succession.successor.filter(|&pid| !gone(pid));
        let predecessor = succession.predecessor;
        let now = UpgradeState {
            predecessor: predecessor.filter(|_| look_for_old_master(succession).is_none()),
            successor,
        };
        let exit_token = self.exit_token.take();
        let is_last = now.is_alone() || exit_token.is_some_and(|it| !it.is_first());
        if !is_last {
            return now;
        }
        if predecessor.is_some() {
            self.promote();
        }
        UpgradeState::default()
    }
}

/// Whether the master that has started this one is gone.
pub(crate) fn look_for_old_master(succession: UpgradeState) -> Option<Event> {
    let predecessor = succession.predecessor?;
    (getppid().as_raw() != predecessor).then_some(Event::OldMasterExited)
}

/// Where the pidfile is to be: beside that of the predecessor, while there is one.
pub(crate) fn place_of_pidfile(settings: &Settings, succession: UpgradeState) -> Option<PathBuf> {
    let mut place = settings.pidfile.clone()?.into_os_string();
    if succession.predecessor.is_some() {
        place.push(".2");
    }
    Some(place.into())
}

/// What ps shows a process of this name as.
pub(crate) fn title_of(name: String, succession: UpgradeState) -> String {
    match succession.predecessor {
        Some(_) => format!("{name}.2"),
        None => name,
    }
}
