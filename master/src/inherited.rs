//! What a new master inherits from the old one over exec: descriptors, and the variables that name them.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use anyhow::Context;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::getppid;
use oxicorn_common::address::Address;

use crate::exit_token::ExitToken;
use crate::listeners::{ADMIN_SOCKETS, Listeners, SOCKETS};
use crate::ready_pipe::ReadySender;
use crate::shared_files::{InheritedFiles, SharedFiles};
use crate::supervisor::UpgradeState;
use crate::sys;

/// The pid of the old master.
const OLD_MASTER: &str = "OXICORN_PID";
/// The descriptors of the ready pipe, of the exit token, of the memory of the metrics, and of the scoreboard; the side of
/// that which is free; and how many workers the load needs.
const HANDOVER: &str = "OXICORN_HANDOVER";
/// Variables that are meant for this process, and not for those that it starts.
pub(crate) const VARIABLES: [&str; 5] =
    [SOCKETS, ADMIN_SOCKETS, OLD_MASTER, HANDOVER, "LISTEN_PID"];

#[derive(Debug, Default)]
pub(crate) struct Inherited {
    /// SIGUSR2 to another master has started this process.
    pub(crate) is_new_master: bool,
    /// The present parent: the old master may be gone.
    pub(crate) upgrade: UpgradeState,
    pub(crate) sockets: Vec<(OwnedFd, Address)>,
    pub(crate) admin_sockets: Vec<(OwnedFd, Address)>,
    /// The pipe to the old master.
    pub(crate) ready_sender: ReadySender,
    pub(crate) exit_token: Option<ExitToken>,
    pub(crate) shared: InheritedFiles,
    /// How many workers the load needs; `None` if the old master does not say.
    pub(crate) workers_needed: Option<usize>,
}

impl Inherited {
    /// Removes the variables from the environment: neither children nor a reload may see them.
    pub(crate) fn take(environment: &mut BTreeMap<String, String>) -> anyhow::Result<Self> {
        let mut take = |name| {
            sys::remove_variable(name);
            environment.remove(name)
        };
        let (sockets, admin_sockets) = (take(SOCKETS), take(ADMIN_SOCKETS));
        let old_master = take(OLD_MASTER);
        let handover = take(HANDOVER).unwrap_or_default();
        let mut handover = handover.split(',').map(|number| number.parse().ok());
        let mut number = || handover.next().flatten();
        let mut next = || sys::adopt(number()?).ok();
        let (pipe, eventfd) = (next(), next());
        let files = SharedFiles::inherited([next(), next()]);
        let [side, workers_needed] = [number(), number()].map(|it| usize::try_from(it?).ok());
        let Some(old_master) = old_master.and_then(|pid| pid.parse::<i32>().ok()) else {
            return Ok(Self::default());
        };
        // Harmless: it only wakes the master's loop.
        prctl::set_pdeathsig(Signal::SIGCHLD)?;
        let lives = getppid().as_raw() == old_master;
        Ok(Self {
            is_new_master: true,
            upgrade: UpgradeState {
                old_master: lives.then_some(old_master),
                new_master: None,
            },
            sockets: adopt_sockets(SOCKETS, sockets)?,
            admin_sockets: adopt_sockets(ADMIN_SOCKETS, admin_sockets)?,
            ready_sender: pipe.map_or_else(ReadySender::default, ReadySender::inherited),
            exit_token: eventfd.map(ExitToken::inherited),
            shared: InheritedFiles {
                files,
                side: side.unwrap_or_default(),
                old_master,
                is_alone: !lives,
            },
            workers_needed,
        })
    }
}

/// At once, so that no program that a config file executes inherits them too.
fn adopt_sockets(variable: &str, lines: Option<String>) -> anyhow::Result<Vec<(OwnedFd, Address)>> {
    let lines = lines.unwrap_or_default();
    let sockets = lines.lines().map(|line| {
        let socket = line.split_once(' ').and_then(|(fd, address)| {
            let fd = sys::adopt(fd.parse().ok()?).ok()?;
            Some((fd, address.parse().ok()?))
        });
        socket.with_context(|| format!("{variable}: {line:?} is no socket"))
    });
    sockets.collect()
}

/// Keeps open what a new master will inherit; returns the variables that name it.
pub(crate) fn leave_to_new_master(
    old_master: i32,
    [public, admin]: [&Listeners; 2],
    ready_sender: &ReadySender,
    exit_token: &ExitToken,
    (files, [side, workers]): (&SharedFiles, [usize; 2]),
) -> anyhow::Result<Vec<(&'static str, String)>> {
    let mut variables = vec![
        public.keep_across_exec(SOCKETS)?,
        admin.keep_across_exec(ADMIN_SOCKETS)?,
    ];
    variables.push((OLD_MASTER, old_master.to_string()));
    let (pipe, eventfd) = (
        ready_sender.keep_across_exec()?,
        exit_token.keep_across_exec()?,
    );
    let [metrics, scoreboard] = files.keep_across_exec()?;
    let handover = format!("{pipe},{eventfd},{metrics},{scoreboard},{side},{workers}");
    variables.push((HANDOVER, handover));
    Ok(variables)
}
