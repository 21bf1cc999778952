//! The runtime that embeds a server process: none, or an interpreter that has to take part in each fork.

use std::ffi::OsString;
use std::io;

use nix::unistd::Pid;
use oxicorn_common::{Settings, signals};

use crate::sys;

/// The runtime that the master and its children live in.
pub trait Host: Send + Sync {
    /// Calls `fork`, and returns its result in both processes: `None` is the child. The host does its own
    /// preparations and repairs around a fork here, in both.
    fn around_fork(&self, fork: Fork<'_>) -> io::Result<Option<Pid>>;

    /// Opens the logs again by other settings, after the server has opened its own: the host may redirect log
    /// records. On an error everything stays as it was.
    fn open_logs(&self, settings: &Settings) -> anyhow::Result<()> {
        let _ = settings;
        Ok(())
    }

    /// Whether the process may have threads besides the master's. The host then ensures that a fork does no harm
    /// while they work.
    fn allows_threads(&self) -> bool {
        false
    }

    /// The command line that starts this program again, if it is not that of the process.
    fn command(&self) -> Option<Vec<OsString>> {
        None
    }

    /// Shows the title of the process, if the host can do it itself: two mechanisms would write to the same memory.
    fn title(&self) -> Option<ShowTitle> {
        None
    }

    /// Prepares, before the first fork, objects that all children may share.
    fn share(&self) {}

    /// The host's work at the end of a process. Called last in a child that ends regularly.
    fn leave(&self);
}

/// Shows a text as the title of this process, for `ps` and `top`.
pub type ShowTitle = Box<dyn FnMut(&str)>;

/// Forks when called.
pub type Fork<'a> = &'a mut dyn FnMut() -> io::Result<Option<Pid>>;

/// No other runtime: the `oxicorn` binary, and programs that embed the server.
#[derive(Debug, Clone, Copy, Default)]
pub struct Native;

impl Host for Native {
    fn around_fork(&self, fork: Fork<'_>) -> io::Result<Option<Pid>> {
        fork()
    }

    fn open_logs(&self, settings: &Settings) -> anyhow::Result<()> {
        let config = &settings.logconfig;
        anyhow::ensure!(
            config.is_stock_class(),
            "logger_class: {} is Python, which takes the oxicorn of the wheel (pip install oxicorn)",
            config.class
        );
        Ok(())
    }

    fn leave(&self) {}
}

/// Forks; `None` is the child.
pub(crate) fn fork(host: &dyn Host) -> io::Result<Option<Pid>> {
    host.around_fork(&mut sys::fork)
}

/// Forks by `fork`, with all signals blocked meanwhile. They stay blocked in the child, which still has the handlers
/// of its parent.
pub(crate) fn fork_blocking_signals(host: &dyn Host, fork: Fork<'_>) -> io::Result<Option<Pid>> {
    signals::block_all()?;
    let forked = host.around_fork(fork);
    if !matches!(forked, Ok(None)) {
        signals::unblock_all()?;
    }
    forked
}
