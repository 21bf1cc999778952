//! Waits for changes with inotify(7) in the directories of the watched files. So the files themselves are read only
//! when something has happened there.

use std::collections::HashSet;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

#[derive(Debug)]
pub(super) struct Directories {
    inotify: Inotify,
    watched: HashSet<PathBuf>,
    /// The kernel does not watch one of the directories for us.
    blind: bool,
}

impl Directories {
    pub(super) fn new() -> io::Result<Self> {
        let flags = InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK;
        Ok(Self {
            inotify: Inotify::init(flags)?,
            watched: HashSet::new(),
            blind: false,
        })
    }

    /// Watches the directories of `files`, and those of the targets of links.
    pub(super) fn add(&mut self, files: &[PathBuf]) {
        for file in files {
            let target = file
                .is_symlink()
                .then(|| file.canonicalize().ok())
                .flatten();
            for file in [Some(file), target.as_ref()].into_iter().flatten() {
                let parent = file.parent().filter(|it| !it.as_os_str().is_empty());
                let directory = parent.unwrap_or(Path::new("."));
                if !self.watched.contains(directory) {
                    self.blind |= self.watch(directory).is_err();
                    self.watched.insert(directory.to_owned());
                }
            }
        }
    }

    /// Waits for at most `timeout`; true when a file may have changed.
    pub(super) fn wait(&mut self, timeout: Duration) -> bool {
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(self.inotify.as_fd(), PollFlags::POLLIN)];
        let happened = poll(&mut fds, timeout).unwrap_or(0) > 0;
        // The kind of event does not matter, nor that some events were lost.
        while self.inotify.read_events().is_ok_and(|it| !it.is_empty()) {}
        happened || self.blind
    }

    fn watch(&self, directory: &Path) -> nix::Result<()> {
        let flags = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_ATTRIB
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO;
        self.inotify.add_watch(directory, flags).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn something_happens_in_a_directory() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("file");
        let mut directories = Directories::new().expect("inotify");
        directories.add(std::slice::from_ref(&file));
        assert!(!directories.wait(Duration::ZERO));
        fs::write(&file, "x").expect("a file");
        assert!(directories.wait(Duration::from_secs(10)));
        assert!(!directories.wait(Duration::ZERO), "all of it was read");
    }

    #[test]
    fn what_cannot_be_watched_is_looked_at() {
        let mut directories = Directories::new().expect("inotify");
        directories.add(&["/nowhere/file".into()]);
        assert!(directories.wait(Duration::ZERO));
    }
}
