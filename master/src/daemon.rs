//! `--daemon`: the server continues in the background, and the command that started it returns once it serves.
//!
//! ```text
//!   command --fork--> session leader --fork--> master --fork--> workers
//!      ^                  (exits)                |
//!      '-- ready pipe: exit code, error message -'
//! ```
//!
//! The second fork makes a process that leads no session and so can never get a terminal again (daemon(7)).

use std::fs::File;
use std::io::{self, IsTerminal};

use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, setsid};
use oxicorn_common::exit_code;

use crate::host::{Host, fork};
use crate::ready_pipe::{ReadyReceiver, ReadySender, ready_pipe};
use crate::sys;

/// The process in which [`daemonize`] has returned.
#[derive(Debug)]
pub(crate) enum Side {
    /// The command that was started; the start has succeeded or failed.
    Command(i32),
    Master(ReadySender),
}

/// Detaches from the terminal. In the command it returns when the master has reported the outcome of its start.
///
/// Standard output and error go to /dev/null. With `keep_output` they stay as they are, unless they are a terminal.
pub(crate) fn daemonize(host: &dyn Host, keep_output: bool) -> io::Result<Side> {
    let (ready_receiver, ready_sender) = ready_pipe()?;
    if fork(host)?.is_some() {
        drop(ready_sender);
        return Ok(Side::Command(wait_for_master(ready_receiver)));
    }
    drop(ready_receiver);
    setsid()?;
    if fork(host)?.is_some() {
        sys::exit_now(0);
    }
    let null = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    let keeps = |stream: &dyn IsTerminal| keep_output && !stream.is_terminal();
    if !keeps(&io::stdout()) {
        dup2_stdout(&null)?;
    }
    if !keeps(&io::stderr()) {
        dup2_stderr(&null)?;
    }
    Ok(Side::Master(ready_sender))
}

fn wait_for_master(ready_receiver: ReadyReceiver) -> i32 {
    match ready_receiver.wait() {
        Some((0, _)) => exit_code::SUCCESS,
        Some((code, reason)) => {
            eprintln!("oxicorn: {reason}");
            code.into()
        }
        None => {
            eprintln!("oxicorn: the master has ended before it served; see the error log");
            exit_code::CONFIGURATION_ERROR
        }
    }
}
