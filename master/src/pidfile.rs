//! The pidfile: locked for as long as the master lives, so that a stale one blocks nobody.
//!
//! The lock is flock(2)'s: it belongs to the open file, which the daemon inherits from the process
//! that started it, and ends with the last descriptor. Children close theirs.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Why there is no pidfile.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PidfileError {
    #[error(
        "pidfile {}: oxicorn is already running as pid {pid}; stop it first, or choose another \
         --pid",
        path.display()
    )]
    Running { path: PathBuf, pid: String },

    #[error("pidfile {}: cannot be written", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// A locked file. Dropping it unlocks; only [`Pidfile::remove`] removes it, as forked children
/// drop theirs.
#[derive(Debug)]
pub(crate) struct Pidfile {
    path: PathBuf,
    file: File,
}

impl Pidfile {
    /// Makes or takes over the file at `path` and locks it. Nothing is written yet: the process
    /// that locks may not be the one that serves.
    pub(crate) fn lock(path: &Path) -> Result<Self, PidfileError> {
        let failed = |source| PidfileError::Io {
            path: path.to_owned(),
            source,
        };
        // Whoever held it before may remove it between our open and our lock: look again then.
        loop {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o644)
                .open(path)
                .map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let mut pid = String::new();
                    file.read_to_string(&mut pid).map_err(failed)?;
                    return Err(PidfileError::Running {
                        path: path.to_owned(),
                        pid: pid.trim().to_owned(),
                    });
                }
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
            let pidfile = Self {
                path: path.to_owned(),
                file,
            };
            if pidfile.is_in_place() {
                return Ok(pidfile);
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the pid of this process.
    pub(crate) fn write(&mut self) -> Result<(), PidfileError> {
        let text = format!("{}\n", std::process::id());
        let written = self
            .file
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.file.set_len(0))
            .and_then(|()| self.file.write_all(text.as_bytes()));
        written.map_err(|source| PidfileError::Io {
            path: self.path.clone(),
            source,
        })
    }

    /// Moves the file, over whatever is there.
    pub(crate) fn rename(&mut self, path: &Path) -> Result<(), PidfileError> {
        std::fs::rename(&self.path, path).map_err(|source| PidfileError::Io {
            path: path.to_owned(),
            source,
        })?;
        path.clone_into(&mut self.path);
        Ok(())
    }

    /// Removes the file, unless another has taken its place.
    pub(crate) fn remove(self) {
        if self.is_in_place() {
            // A file that cannot be removed is stale, and blocks nobody.
            let _ = std::fs::remove_file(&self.path);
        }
    }

    fn is_in_place(&self) -> bool {
        let ours = self.file.metadata().map(|it| (it.dev(), it.ino()));
        let there = std::fs::metadata(&self.path).map(|it| (it.dev(), it.ino()));
        matches!((ours, there), (Ok(ours), Ok(there)) if ours == there)
    }
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
        let mut pidfile = Pidfile::lock(&path).expect("taken over");
        pidfile.write().expect("written");
        let error = Pidfile::lock(&path).expect_err("locked");
        let own = std::process::id().to_string();
        assert!(matches!(&error, PidfileError::Running { pid, .. } if *pid == own));
        assert!(error.to_string().contains(&own));
        pidfile.remove();
        assert!(!path.exists());
        Pidfile::lock(&path).expect("free again").remove();
    }

    #[test]
    fn a_file_that_another_has_put_in_place_is_left_alone() {
        let path = temporary("replaced");
        let pidfile = Pidfile::lock(&path).expect("a pidfile");
        std::fs::remove_file(&path).expect("removed");
        std::fs::write(&path, "another\n").expect("another file");
        pidfile.remove();
        assert!(path.exists());
        std::fs::remove_file(&path).expect("removed");
    }
}
