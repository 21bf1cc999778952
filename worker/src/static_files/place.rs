//! [`StaticPlace`]: what a mapping names, a directory or one file, and how files in it are opened.

use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use log::warn;
use rustix::fs::{FileType, Mode, OFlags, Stat, fstat};
use rustix::io::Errno;

use super::beneath::Root;

/// An open directory is looked up again after this time: a link to a release may lead to the next one by then.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// The least time between two log lines about a place that is gone.
const COMPLAIN_AGAIN: Duration = Duration::from_secs(60);

/// A regular file that is open for reading.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) file: File,
    pub(super) stat: Stat,
}

/// What a name stands for.
#[derive(Debug)]
pub(super) enum Found {
    File(OpenFile),
    Directory,
}

#[derive(Debug)]
pub(super) struct StaticPlace {
    path: PathBuf,
    opened: Option<Root>,
    looked_at: Option<Instant>,
    complained_at: Option<Instant>,
}

impl StaticPlace {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            opened: None,
            looked_at: None,
            complained_at: None,
        }
    }

    /// Opens what `name` stands for, which is relative; an empty one is the place itself. `ending` is that of a variant.
    pub(super) fn open(&mut self, name: &[u8], ending: &str, now: Instant) -> Result<Found, Errno> {
        let is_fresh = |at: Instant| now.saturating_duration_since(at) < LOOK_AGAIN;
        if self.opened.is_none() || !self.looked_at.is_some_and(is_fresh) {
            match self.look(now) {
                // A file is opened by its own name each time.
                Err(Errno::NOTDIR) if name.is_empty() => return self.open_itself(ending, now),
                looked => looked?,
            };
        }
        match self.open_in_directory(name, ending) {
            // Another directory may have taken the name of the one that is open.
            Err(Errno::NOENT | Errno::STALE) if self.look(now)? => {
                self.open_in_directory(name, ending)
            }
            opened => opened,
        }
    }

    /// The name of the file that `name` stands for: the ending of a mapping's file may differ from that of the URL.
    pub(super) fn file_name<'n>(&'n self, name: &'n [u8]) -> &'n [u8] {
        match name {
            [] => self.path.as_os_str().as_bytes(),
            _ => name,
        }
    }

    /// Opens the directory by its name; whether it is another one than before.
    fn look(&mut self, now: Instant) -> Result<bool, Errno> {
        self.looked_at = Some(now);
        let before = self.opened.take();
        match Root::open(&self.path) {
            Ok(root) => {
                let is_same = before.as_ref().is_some_and(|before| root.is(before));
                self.opened = Some(root);
                Ok(!is_same)
            }
            Err(Errno::NOTDIR) => Err(Errno::NOTDIR),
            Err(error) => {
                self.complain(error, now);
                Err(error)
            }
        }
    }

    fn open_in_directory(&self, name: &[u8], ending: &str) -> Result<Found, Errno> {
        let root = self.opened.as_ref().ok_or(Errno::NOENT)?;
        let file = match ending {
            "" => root.open_file(name),
            _ => root.open_file(&[name, ending.as_bytes()].concat()),
        };
        sort(file?)
    }

    /// The mapping names a file.
    fn open_itself(&mut self, ending: &str, now: Instant) -> Result<Found, Errno> {
        let path = [self.path.as_os_str().as_bytes(), ending.as_bytes()].concat();
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let opened = rustix::fs::open(path, flags, Mode::empty());
        match opened {
            Ok(file) => sort(file.into()),
            Err(error) => {
                if ending.is_empty() {
                    self.complain(error, now);
                }
                Err(error)
            }
        }
    }

    /// The place was there when the server started.
    fn complain(&mut self, error: Errno, now: Instant) {
        let is_recent = |at: Instant| now.saturating_duration_since(at) < COMPLAIN_AGAIN;
        if !self.complained_at.is_some_and(is_recent) {
            self.complained_at = Some(now);
            warn!("static_map: cannot open {}: {error}", self.path.display());
        }
    }
}

/// What has been opened, if it may be served.
fn sort(file: File) -> Result<Found, Errno> {
    let stat = fstat(&file)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(Found::File(OpenFile { file, stat })),
        FileType::Directory => Ok(Found::Directory),
        _ => Err(Errno::NXIO),
    }
}
