//! A log file, which can be opened again by its name after a rotation.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::PathBuf;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, fchown};

use crate::directory_entry::DirectoryEntry;

/// The user and group that new log files are given to, so that children can open them again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileOwner {
    pub user: Option<Uid>,
    pub group: Option<Gid>,
}

#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    owner: FileOwner,
}

impl LogFile {
    /// Nothing is opened yet; `name` is relative to the working directory of now.
    pub(super) fn new(name: &str, owner: FileOwner) -> io::Result<Self> {
        let path = std::path::absolute(name)?;
        Ok(Self { path, owner })
    }

    /// Opens the file for appending, or makes it.
    pub(super) fn open(&self) -> io::Result<File> {
        let FileOwner { user, group } = self.owner;
        let mode = Mode::from_bits_truncate(0o666);
        let opened = DirectoryEntry::find(&self.path, user)
            .and_then(|entry| entry.open(OFlag::O_WRONLY | OFlag::O_APPEND, mode));
        let (file, is_new) = opened.map_err(|error| self.explain(&error))?;
        if is_new && (user.is_some() || group.is_some()) {
            // Children open it as another user. Fails unless we are root.
            let _ = fchown(&file, user, group);
        }
        Ok(file)
    }

    fn explain(&self, error: &io::Error) -> io::Error {
        let advice = match (error.kind(), error.raw_os_error()) {
            (io::ErrorKind::PermissionDenied, Some(_)) => {
                format!(" (for uid {}: give it the file)", Uid::effective())
            }
            (io::ErrorKind::NotFound, _) => " (is there such a directory?)".to_owned(),
            (_, Some(libc::ENXIO)) => " (nobody reads the pipe)".to_owned(),
            _ => String::new(),
        };
        let text = format!("cannot open the log file {self}: {error}{advice}");
        io::Error::new(error.kind(), text)
    }
}

impl fmt::Display for LogFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_opened_is_named() {
        let file = LogFile::new("/nowhere/log", FileOwner::default()).expect("a path");
        let error = file.open().expect_err("no such directory").to_string();
        assert!(error.starts_with("cannot open the log file /nowhere/log: "));
    }
}
