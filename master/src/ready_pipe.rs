//! How a master tells the process that has started it how that went: the command that waits for a daemon,
//! or the predecessor of a successor. One pipe, written to once: exit code, last words.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{OwnedFd, RawFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;

use crate::sys;

/// The way to whoever waits; nothing where nobody does.
#[derive(Debug, Default)]
pub(crate) struct ReadySender {
    pipe: Option<File>,
}

/// The other end.
#[derive(Debug)]
pub(crate) struct ReadyReceiver(File);

/// Both ends, for a fork: each side drops one.
pub(crate) fn ready_pipe() -> io::Result<(ReadyReceiver, ReadySender)> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    let pipe = Some(File::from(writer));
    Ok((ReadyReceiver(File::from(reader)), ReadySender { pipe }))
}

impl ReadySender {
    /// That of a process that this one has been executed by.
    pub(crate) fn inherited(pipe: OwnedFd) -> Self {
        Self {
            pipe: Some(File::from(pipe)),
        }
    }

    /// Keeps it open over exec; returns its number.
    pub(crate) fn keep_across_exec(&self) -> io::Result<RawFd> {
        let pipe = self.pipe.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        sys::keep_across_exec(pipe)
    }

    /// Tells that the server serves.
    pub(crate) fn serving(&mut self) {
        self.send(0, "");
    }

    /// Tells that the server ends with `code` before it has ever served.
    pub(crate) fn failed(&mut self, code: i32, reason: &str) {
        self.send(u8::try_from(code).unwrap_or(1), reason);
    }

    fn send(&mut self, code: u8, reason: &str) {
        if let Some(mut pipe) = self.pipe.take() {
            // Who was interrupted hears nothing, which is its own wish.
            let _ = pipe.write_all(&[code]);
            let _ = pipe.write_all(reason.as_bytes());
        }
    }
}

impl ReadyReceiver {
    /// Waits until the other end is closed. `None` is a process that has ended without a word.
    pub(crate) fn wait(mut self) -> Option<(u8, String)> {
        let mut report = Vec::new();
        // An error is a pipe that brings nothing.
        let _ = self.0.read_to_end(&mut report);
        let (&code, reason) = report.split_first()?;
        Some((code, String::from_utf8_lossy(reason).trim_end().to_owned()))
    }

    /// What has been said so far. Does not wait.
    pub(crate) fn take(self) -> Option<(u8, String)> {
        fcntl(&self.0, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).ok()?;
        self.wait()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_arrive_once_and_nobody_has_to_wait_for_them() {
        let (ready_receiver, mut ready_sender) = ready_pipe().expect("a pipe");
        ready_sender.failed(4, "no such module\n");
        ready_sender.serving();
        assert_eq!(
            ready_receiver.wait(),
            Some((4, "no such module".to_owned()))
        );
        let (ready_receiver, _silent) = super::ready_pipe().expect("a pipe");
        assert_eq!(ready_receiver.take(), None);
    }
}
