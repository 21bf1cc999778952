//! Whose turn it is to write. SQLite lets one writer in at a time and has the others poll, which
//! starves some of them for seconds. Here they queue: in the process at a mutex, between processes
//! at flock(2) on a file of its own, which a process that dies lets go of.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
pub(super) struct Turns(Mutex<File>);

/// The right to write, until dropped.
#[derive(Debug)]
pub(super) struct Turn<'a>(MutexGuard<'a, File>);

impl Turns {
    /// Queues at `PATH-turn`, beside the database at `path`.
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let mut name = path.as_os_str().to_owned();
        name.push("-turn");
        let file = File::options().create(true).append(true).open(name)?;
        Ok(Self(Mutex::new(file)))
    }

    pub(super) fn wait(&self) -> io::Result<Turn<'_>> {
        let file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.lock()?;
        Ok(Turn(file))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // It cannot fail for a descriptor that is open (flock(2)).
        let _ = self.0.unlock();
    }
}
