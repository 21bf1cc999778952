//! The pid file, locked as long as the master lives, so that a stale one prevents no start.
//!
//! The lock is an open file description lock (fcntl(2)): it belongs to the open file, which the daemon inherits from
//! the process that started it, and ends with the last descriptor. It is a write lock, so a process that may only
//! read the file cannot hold it; anybody could hold a flock(2). The file is written and locked under another name
//! first, so that a reader always finds the whole pid.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat};
use nix::unistd::Uid;
use oxicorn_common::{DirectoryEntry, Settings};

use crate::supervisor::UpgradeState;

/// Why there is no pidfile.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PidfileError {
    #[error(
        "pidfile {}: oxicorn is already running as pid {pid}; stop it first, or choose another \
         --pid",
        path.display()
    )]
    Running { path: PathBuf, pid: String },

    #[error("pidfile {}: there is something of that name that is no file", path.display())]
    NoFile { path: PathBuf },

    #[error("pidfile {}: cannot be written", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// A locked file. Dropping it unlocks; only [`Pidfile::remove`] removes one with a pid in it, as forked
/// children drop theirs.
#[derive(Debug)]
pub(crate) struct Pidfile {
    path: PathBuf,
    entry: DirectoryEntry,
    file: File,
    workers: Option<Uid>,
    /// The process that has made the file, until its pid is in it.
    empty_by: Option<u32>,
}

/// The path of the pid file: beside that of the old master, while there is one.
pub(crate) fn path_of(settings: &Settings, upgrade: UpgradeState) -> Option<PathBuf> {
    let mut path = settings.pidfile.clone()?.into_os_string();
    path.push(upgrade.suffix());
    Some(path.into())
}

impl Pidfile {
    /// Locks the file at `path`, if one is wanted, and writes the pid of this process.
    pub(crate) fn create(
        path: Option<&Path>,
        workers: Option<Uid>,
    ) -> Result<Option<Self>, PidfileError> {
        let Some(path) = path else { return Ok(None) };
        let mut pidfile = Self::lock(path, workers)?;
        pidfile.write()?;
        Ok(Some(pidfile))
    }

    /// Makes or takes over the file at `path` and locks it. Nothing is written yet: the process
    /// that locks may not be the one that serves. `workers` is the user whose links are not followed.
    pub(crate) fn lock(path: &Path, workers: Option<Uid>) -> Result<Self, PidfileError> {
        let failed = |source| PidfileError::Io {
            path: path.to_owned(),
            source,
        };
        let entry = DirectoryEntry::find(path, workers).map_err(failed)?;
        // A process that held it before may remove it between our open and our lock: try again then.
        loop {
            let (mut file, is_new) = entry.open(OFlag::O_RDWR, PRIVATE).map_err(failed)?;
            let status = fstat(&file).map_err(|errno| failed(errno.into()))?;
            if SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
                let path = path.to_owned();
                return Err(PidfileError::NoFile { path });
            }
            if is_held(&file).map_err(failed)? && is_trusted(&status) {
                let mut pid = String::new();
                file.read_to_string(&mut pid).map_err(failed)?;
                return Err(PidfileError::Running {
                    path: path.to_owned(),
                    pid: pid.trim().to_owned(),
                });
            }
            if entry.is(&file) {
                return Ok(Self {
                    path: path.to_owned(),
                    entry,
                    file,
                    workers,
                    empty_by: is_new.then(std::process::id),
                });
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the pid of this process.
    pub(crate) fn write(&mut self) -> Result<(), PidfileError> {
        let written = self.replace();
        self.file = written.map_err(|source| PidfileError::Io {
            path: self.path.clone(),
            source,
        })?;
        self.empty_by = None;
        Ok(())
    }

    fn replace(&self) -> io::Result<File> {
        let pid = std::process::id();
        let mut name = OsString::from(".");
        name.push(self.entry.name());
        name.push(format!(".{pid}"));
        let draft = self.entry.sibling(&name)?;
        // An earlier process with this number may have left it there.
        let _ = draft.remove();
        let (mut file, is_new) = draft.open(OFlag::O_RDWR, PRIVATE)?;
        let outcome = match is_new {
            false => Err(io::ErrorKind::AlreadyExists.into()),
            true => is_held(&file)
                .and_then(|_| writeln!(file, "{pid}"))
                .and_then(|()| Ok(fchmod(&file, READABLE)?))
                .and_then(|()| self.entry.replace_by(&draft)),
        };
        if outcome.is_err() {
            let _ = draft.remove();
        }
        outcome.map(|()| file)
    }

    /// Moves the file, and replaces any file at the new path.
    pub(crate) fn rename(&mut self, path: &Path) -> Result<(), PidfileError> {
        let entry = DirectoryEntry::find(path, self.workers);
        let moved = entry.and_then(|entry| entry.replace_by(&self.entry).map(|()| entry));
        self.entry = moved.map_err(|source| PidfileError::Io {
            path: path.to_owned(),
            source,
        })?;
        path.clone_into(&mut self.path);
        Ok(())
    }

    /// Removes the file of a process that was killed. One that a process holds stays.
    pub(crate) fn remove_left(path: &Path, workers: Option<Uid>) {
        let is_there = DirectoryEntry::find(path, workers).is_ok_and(|it| it.status().is_ok());
        if is_there && let Ok(left) = Self::lock(path, workers) {
            left.remove();
        }
    }

    /// Removes the file, unless another file has taken its place.
    pub(crate) fn remove(mut self) {
        self.empty_by = None;
        if self.entry.is(&self.file) {
            // A file that cannot be removed is stale, and prevents no start.
            let _ = self.entry.remove();
        }
    }
}

impl Drop for Pidfile {
    /// After a failed start, no empty file stays behind.
    fn drop(&mut self) {
        if self.empty_by == Some(std::process::id()) && self.entry.is(&self.file) {
            let _ = self.entry.remove();
        }
    }
}

/// The mode until the file is locked: no other process may hold a lock that keeps us from ours.
const PRIVATE: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR);
const READABLE: Mode = PRIVATE.union(Mode::S_IRGRP).union(Mode::S_IROTH);

/// Locks the file, unless another process holds a write lock. A process that may only read the file can hold a read
/// lock, which would prevent ours; it is ignored.
fn is_held(file: &File) -> io::Result<bool> {
    let lock = |kind| libc::flock {
        l_type: kind,
        l_whence: libc::SEEK_SET as i16,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    match fcntl(
        file.as_fd(),
        FcntlArg::F_OFD_SETLK(&lock(libc::F_WRLCK as i16)),
    ) {
        Ok(_) => return Ok(false),
        Err(Errno::EAGAIN | Errno::EACCES) => {}
        Err(errno) => return Err(errno.into()),
    }
    // Only a write lock prevents a read lock.
    let mut found = lock(libc::F_RDLCK as i16);
    fcntl(file.as_fd(), FcntlArg::F_OFD_GETLK(&mut found))?;
    Ok(found.l_type == libc::F_WRLCK as i16)
}

/// Whether a lock on such a file can be trusted. Root trusts it only where no other user can hold it.
fn is_trusted(status: &FileStat) -> bool {
    let own = Uid::effective();
    let is_ours = status.st_uid == own.as_raw() || status.st_uid == 0;
    let writable = Mode::S_IWGRP | Mode::S_IWOTH;
    let is_private = !Mode::from_bits_truncate(status.st_mode).intersects(writable);
    !own.is_root() || (is_ours && is_private)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn temporary(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("oxicorn-{name}-{}.pid", std::process::id()))
    }

    #[test]
    fn a_stale_file_is_taken_over_and_a_live_one_is_not() {
        let path = temporary("lock");
        std::fs::write(&path, "4711 and what is left of a longer text\n").expect("a stale file");
        let mut pidfile = Pidfile::lock(&path, None).expect("taken over");
        pidfile.write().expect("written");
        let error = Pidfile::lock(&path, None).expect_err("locked");
        let own = std::process::id().to_string();
        assert!(matches!(&error, PidfileError::Running { pid, .. } if *pid == own));
        assert!(error.to_string().contains(&own));
        pidfile.remove();
        assert!(!path.exists());
        Pidfile::lock(&path, None).expect("free again").remove();
    }

    #[test]
    fn a_start_that_fails_leaves_none() {
        let path = temporary("failed");
        drop(Pidfile::lock(&path, None).expect("a pidfile"));
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_another_has_put_in_place_is_left_alone() {
        let path = temporary("replaced");
        let pidfile = Pidfile::lock(&path, None).expect("a pidfile");
        std::fs::remove_file(&path).expect("removed");
        std::fs::write(&path, "another\n").expect("another file");
        pidfile.remove();
        assert!(path.exists());
        std::fs::remove_file(&path).expect("removed");
    }

    /// A read lock, which any reader of the file can hold by flock(2) or fcntl(2), prevents nothing.
    #[test]
    fn a_reader_cannot_hold_it() {
        let path = temporary("reader");
        std::fs::write(&path, "4711\n").expect("a stale file");
        let reader = File::open(&path).expect("readable");
        reader.lock().expect("flock(2)");
        let lock = libc::flock {
            l_type: libc::F_RDLCK as i16,
            l_whence: libc::SEEK_SET as i16,
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        fcntl(&reader, FcntlArg::F_OFD_SETLK(&lock)).expect("fcntl(2)");
        let mut pidfile = Pidfile::lock(&path, None).expect("taken over");
        pidfile.write().expect("written");
        Pidfile::lock(&path, None).expect_err("locked, though the reader has another file");
        pidfile.remove();
        assert!(!path.exists());
    }
}
