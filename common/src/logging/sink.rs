//! Where log lines go: a descriptor whose number never changes.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{Gid, Uid, fchown};

use crate::sys;

/// How long a line waits for a full pipe that somebody made nonblocking, in milliseconds.
const PATIENCE: u16 = 1000;

/// One log.
#[derive(Debug)]
pub(super) struct Sink {
    stream: Stream,
    open: AtomicBool,
    file: OnceLock<File>,
    /// The file behind the descriptor, unless it is a standard stream.
    name: Mutex<Option<PathBuf>>,
}

/// What `-` means.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

/// Whom log files are given to, so that children can open them again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner {
    pub(super) user: Option<Uid>,
    pub(super) group: Option<Gid>,
}

/// What a sink will write to next.
#[derive(Debug)]
pub(super) struct Prepared {
    file: Option<File>,
    name: Option<PathBuf>,
}

impl Sink {
    pub(super) const fn new(stream: Stream) -> Self {
        Self {
            stream,
            open: AtomicBool::new(false),
            file: OnceLock::new(),
            name: Mutex::new(None),
        }
    }

    /// Opens `target`: a file, `-` for the standard stream, or nothing.
    pub(super) fn prepare(&self, target: Option<&str>, owner: Owner) -> io::Result<Prepared> {
        match target {
            None => Ok(Prepared {
                file: None,
                name: None,
            }),
            Some("-") => Ok(Prepared {
                file: Some(self.stream.duplicate()?.into()),
                name: None,
            }),
            Some(name) => {
                let name = std::path::absolute(name)?;
                let file = open(&name)?;
                if owner.user.is_some() || owner.group.is_some() {
                    // It fails for a device such as /dev/null, which needs no owner.
                    let _ = fchown(&file, owner.user, owner.group);
                }
                Ok(Prepared {
                    file: Some(file),
                    name: Some(name),
                })
            }
        }
    }

    pub(super) fn replace(&self, prepared: Prepared) -> io::Result<()> {
        let mut name = self.name.lock().unwrap_or_else(PoisonError::into_inner);
        self.open.store(prepared.file.is_some(), Ordering::Release);
        *name = prepared.name;
        match prepared.file {
            Some(file) => self.put(file),
            None => Ok(()),
        }
    }

    pub(super) fn reopen(&self) -> io::Result<()> {
        let name = self.name.lock().unwrap_or_else(PoisonError::into_inner);
        match name.as_deref() {
            Some(name) => self.put(open(name)?),
            None => Ok(()),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Writes one line; there is nobody to tell if it fails.
    pub(super) fn write(&self, line: &[u8]) {
        if let Some(file) = self.file.get().filter(|_| self.is_open()) {
            let _ = write_whole(file, line);
        }
    }

    fn put(&self, file: File) -> io::Result<()> {
        let current = match self.file.get() {
            Some(current) => current,
            None => match self.file.set(file) {
                Ok(()) => return Ok(()),
                Err(_) => unreachable!("set under the lock of the name only"),
            },
        };
        sys::replace_fd(file.as_fd(), current.as_fd())
    }
}

impl Stream {
    fn duplicate(self) -> io::Result<OwnedFd> {
        match self {
            Self::Stdout => io::stdout().as_fd().try_clone_to_owned(),
            Self::Stderr => io::stderr().as_fd().try_clone_to_owned(),
        }
    }
}

fn open(name: &Path) -> io::Result<File> {
    let file = OpenOptions::new().append(true).create(true).open(name);
    file.map_err(|error| {
        let text = format!("cannot open the log file {}: {error}", name.display());
        io::Error::new(error.kind(), text)
    })
}

/// One write(2), and more only for what a pipe or a full disk did not take.
fn write_whole(mut file: &File, mut line: &[u8]) -> io::Result<()> {
    while !line.is_empty() {
        match file.write(line) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => line = &line[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLOUT)];
                if poll(&mut fds, PollTimeout::from(PATIENCE))? == 0 {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::thread;

    const NOBODY: Owner = Owner {
        user: None,
        group: None,
    };

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("oxicorn-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        path
    }

    #[test]
    fn a_closed_sink_writes_nothing() {
        let sink = Sink::new(Stream::Stdout);
        sink.write(b"before\n");
        let nothing = sink.prepare(None, NOBODY).expect("nothing to open");
        sink.replace(nothing).expect("nothing to put");
        assert!(!sink.is_open());
        sink.reopen().expect("nothing to reopen");
    }

    #[test]
    fn a_rotation_loses_no_line_while_threads_write() {
        const LINES: usize = 2000;
        let directory = directory("rotation");
        let name = directory.join("log");
        let sink = Sink::new(Stream::Stdout);
        let prepared = sink
            .prepare(name.to_str(), NOBODY)
            .expect("a file to append to");
        sink.replace(prepared).expect("a first file");
        let line = [b"x".repeat(99), b"\n".to_vec()].concat();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..LINES).for_each(|_| sink.write(&line)));
            }
            for round in 0..20 {
                fs::rename(&name, directory.join(round.to_string())).expect("a rotation");
                sink.reopen().expect("a file of the same name");
            }
        });
        let mut count = 0;
        for entry in fs::read_dir(&directory).expect("the directory") {
            let text = fs::read(entry.expect("a file").path()).expect("a log");
            assert!(text.chunks(100).all(|chunk| chunk == line));
            count += text.len() / 100;
        }
        assert_eq!(count, 4 * LINES);
        fs::remove_dir_all(directory).expect("the end");
    }

    #[test]
    fn what_cannot_be_opened_is_named() {
        let sink = Sink::new(Stream::Stderr);
        let error = sink
            .prepare(Some("/nowhere/log"), NOBODY)
            .expect_err("no such directory");
        assert!(
            error
                .to_string()
                .starts_with("cannot open the log file /nowhere/log: ")
        );
    }
}
