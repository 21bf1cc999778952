//! Reports the outcome of a start to the process that waits for it: the command that starts a daemon, or the old
//! master of an upgrade. One pipe, written to once: exit code and error message.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;

use crate::sys;

/// The writing end, for the process that starts. It sends nothing if no process waits.
#[derive(Debug, Default)]
pub(crate) struct ReadySender {
    pipe: Option<File>,
}

/// The reading end, for the process that waits.
#[derive(Debug)]
pub(crate) struct ReadyReceiver {
    pipe: File,
    report: Vec<u8>,
}

/// Both ends, made before a fork: each process drops one.
pub(crate) fn ready_pipe() -> io::Result<(ReadyReceiver, ReadySender)> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    let pipe = Some(File::from(writer));
    let receiver = ReadyReceiver {
        pipe: File::from(reader),
        report: Vec::new(),
    };
    Ok((receiver, ReadySender { pipe }))
}

impl ReadySender {
    /// The end that this process has inherited over exec.
    pub(crate) fn inherited(pipe: OwnedFd) -> Self {
        Self {
            pipe: Some(File::from(pipe)),
        }
    }

    /// Keeps the end open over exec; returns its number.
    pub(crate) fn keep_across_exec(&self) -> io::Result<RawFd> {
        let pipe = self.pipe.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        sys::keep_across_exec(pipe)
    }

    /// Reports that the server serves.
    pub(crate) fn serving(&mut self) {
        self.send(0, "");
    }

    /// Reports that the server ends with `code` and never served.
    pub(crate) fn failed(&mut self, code: i32, reason: &str) {
        self.send(u8::try_from(code).unwrap_or(1), reason);
    }

    fn send(&mut self, code: u8, reason: &str) {
        if let Some(mut pipe) = self.pipe.take() {
            // A process that no longer waits needs no report.
            let _ = pipe.write_all(&[code]);
            let _ = pipe.write_all(reason.as_bytes());
        }
    }
}

impl ReadyReceiver {
    /// Waits until the other end is closed. `None`: the process has ended without a report.
    pub(crate) fn wait(mut self) -> Option<(u8, String)> {
        // After an error no report will come.
        let _ = self.pipe.read_to_end(&mut self.report);
        let (&code, reason) = self.report.split_first()?;
        Some((code, String::from_utf8_lossy(reason).trim_end().to_owned()))
    }

    /// What has arrived so far. Never waits.
    pub(crate) fn take(self) -> Option<(u8, String)> {
        self.never_wait().ok()?;
        self.wait()
    }

    /// Whether the server serves; `None` while there is no report. Never waits.
    pub(crate) fn check(&mut self) -> Option<bool> {
        self.never_wait().ok()?;
        match self.pipe.read_to_end(&mut self.report) {
            // The end without a report: it will not serve.
            Ok(_) => Some(self.report.first() == Some(&0)),
            Err(_) => Some(*self.report.first()? == 0),
        }
    }

    fn never_wait(&self) -> io::Result<()> {
        fcntl(&self.pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(())
    }
}

impl AsFd for ReadyReceiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_arrives_once_and_can_be_taken_without_waiting() {
        let (ready_receiver, mut ready_sender) = ready_pipe().expect("a pipe");
        ready_sender.failed(4, "no such module\n");
        ready_sender.serving();
        assert_eq!(
            ready_receiver.wait(),
            Some((4, "no such module".to_owned()))
        );
        let (mut ready_receiver, mut ready_sender) = ready_pipe().expect("a pipe");
        assert_eq!(ready_receiver.check(), None);
        ready_sender.serving();
        assert_eq!(ready_receiver.check(), Some(true));
        assert_eq!(ready_receiver.take(), Some((0, String::new())));
        let (mut ready_receiver, mut ready_sender) = ready_pipe().expect("a pipe");
        ready_sender.failed(3, "no");
        assert_eq!(ready_receiver.check(), Some(false));
        assert_eq!(ready_receiver.take(), Some((3, "no".to_owned())));
        let (mut ready_receiver, ready_sender) = ready_pipe().expect("a pipe");
        drop(ready_sender);
        assert_eq!(ready_receiver.check(), Some(false), "it has ended");
        let (ready_receiver, _silent) = super::ready_pipe().expect("a pipe");
        assert_eq!(ready_receiver.take(), None);
    }
}
