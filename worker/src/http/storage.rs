//! The memory that all bodies of a worker share, and the directory for bodies that are too long for it.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use log::warn;
use oxicorn_common::Settings;
use oxicorn_common::body_memory::BodyMemory;

/// Some directories can be listed but not written to; only a write shows it.
const TRIAL: [u8; 4096] = [0; 4096];

#[derive(Debug)]
pub(crate) struct BodyStorage {
    pub(crate) memory: Arc<BodyMemory>,
    /// Longer bodies go to a file, in bytes.
    pub(crate) most_in_memory: u64,
    directory: SpoolDirectory,
    /// The last attempt to make a file failed.
    fails: AtomicBool,
}

/// Why a body cannot be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StorageError {
    #[error(
        "the body cannot be kept: no temporary file can be made in {0}: {1}; and there is no room in \
         memory for all of it (body_buffer_total = {2}). {advice}", advice = .0.advice()
    )]
    NoFile(SpoolDirectory, #[source] io::Error, usize),
    #[error("the body cannot be kept: a temporary file in {0} cannot be written to or read: {1}. {advice}", advice = .0.advice())]
    File(SpoolDirectory, #[source] io::Error),
}

/// The directory for files, and whether a setting names it.
#[derive(Debug, Clone)]
pub(crate) struct SpoolDirectory {
    path: PathBuf,
    chosen: bool,
}

impl std::fmt::Display for SpoolDirectory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let origin = match self.chosen {
            true => "tmp_upload_dir",
            false => "the system's directory for temporary files, as tmp_upload_dir is not set",
        };
        write!(f, "{} ({origin})", self.path.display())
    }
}

impl SpoolDirectory {
    /// The first writable place for temporary files, unless a setting names one.
    fn find(chosen: Option<&Path>) -> (Self, io::Result<()>) {
        if let Some(path) = chosen {
            let outcome = try_out(path);
            let path = path.to_owned();
            return (Self { path, chosen: true }, outcome);
        }
        let system = |path: PathBuf| Self {
            path,
            chosen: false,
        };
        let first = std::env::temp_dir();
        let outcome = try_out(&first);
        let second = Path::new("/var/tmp");
        match outcome.is_err() && try_out(second).is_ok() {
            true => (system(second.to_owned()), Ok(())),
            false => (system(first), outcome),
        }
    }

    fn advice(&self) -> &'static str {
        match self.chosen {
            true => "Make it a directory with free space that the worker's user may write to",
            false => {
                "Set tmp_upload_dir to a directory with free space that the worker's user may write to"
            }
        }
    }
}

impl Default for BodyStorage {
    /// Without a memory limit.
    fn default() -> Self {
        Self {
            memory: BodyMemory::new(usize::MAX),
            most_in_memory: u64::MAX,
            directory: SpoolDirectory {
                path: std::env::temp_dir(),
                chosen: false,
            },
            fails: AtomicBool::new(false),
        }
    }
}

impl From<&Settings> for BodyStorage {
    /// Warns at once if long bodies cannot be stored.
    fn from(settings: &Settings) -> Self {
        let most_in_memory = settings.body_buffer_size.min(settings.body_buffer_total) as u64;
        let (directory, outcome) = SpoolDirectory::find(settings.tmp_upload_dir.as_deref());
        let storage = Self {
            memory: BodyMemory::new(settings.body_buffer_total),
            most_in_memory,
            directory,
            fails: AtomicBool::new(false),
        };
        let longest = settings.limit_request_body;
        if let Err(error) = outcome
            && (longest == 0 || longest > most_in_memory)
        {
            storage.warn(&error);
        }
        storage
    }
}

impl BodyStorage {
    /// A file without a name, so that a crash leaves none behind.
    pub(crate) fn create_file(&self) -> io::Result<File> {
        let made = tempfile::tempfile_in(&self.directory.path);
        match &made {
            Ok(_) => self.fails.store(false, Ordering::Relaxed),
            Err(error) => self.warn(error),
        }
        made
    }

    pub(crate) fn no_file(&self, error: io::Error) -> StorageError {
        StorageError::NoFile(self.directory.clone(), error, self.memory.budget())
    }

    pub(crate) fn file_error(&self, error: io::Error) -> StorageError {
        StorageError::File(self.directory.clone(), error)
    }

    /// Reports once that no file can be made, and again if one could be made in between.
    fn warn(&self, error: &io::Error) {
        if !self.fails.swap(true, Ordering::Relaxed) {
            warn!(
                "no temporary file can be made in {}: {error}. Bodies longer than {} bytes (body_buffer_size) stay \
                 in memory, as far as body_buffer_total = {} goes; further ones are answered 500. {}",
                self.directory,
                self.most_in_memory,
                self.memory.budget(),
                self.directory.advice(),
            );
        }
    }
}

fn try_out(directory: &Path) -> io::Result<()> {
    tempfile::tempfile_in(directory)?.write_all(&TRIAL)
}
