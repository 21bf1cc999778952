//! Where log lines go: a descriptor whose number never changes.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, fchown};

use super::line_writer::{self, Way};
use super::losses::{LossReport, Losses};
use crate::{DirectoryEntry, sys};

/// How long a line waits for the reader of a pipe; not at all while lines are being lost.
const PATIENCE: Duration = Duration::from_millis(500);

/// One log.
#[derive(Debug)]
pub(super) struct Sink {
    stream: Stream,
    open: AtomicBool,
    file: OnceLock<File>,
    way: Way,
    losses: OnceLock<Losses>,
    /// The file behind the descriptor, unless it is a standard stream.
    named: Mutex<Option<NamedFile>>,
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

/// A file that can be opened again.
#[derive(Debug)]
struct NamedFile {
    path: PathBuf,
    owner: Owner,
}

/// What a sink will write to next.
#[derive(Debug)]
pub(super) struct Prepared {
    file: Option<File>,
    named: Option<NamedFile>,
}

impl Sink {
    pub(super) const fn new(stream: Stream) -> Self {
        Self {
            stream,
            open: AtomicBool::new(false),
            file: OnceLock::new(),
            way: Way::new(),
            losses: OnceLock::new(),
            named: Mutex::new(None),
        }
    }

    /// Opens `target`: a file, `-` for the standard stream, or nothing.
    pub(super) fn prepare(&self, target: Option<&str>, owner: Owner) -> io::Result<Prepared> {
        if self.losses.get().is_none() {
            let _ = self.losses.set(Losses::new()?);
        }
        let (file, named) = match target {
            None => (None, None),
            Some("-") => (Some(self.stream.duplicate()?), None),
            Some(name) => {
                let path = std::path::absolute(name)?;
                let named = NamedFile { path, owner };
                (Some(named.open()?), Some(named))
            }
        };
        Ok(Prepared { file, named })
    }

    pub(super) fn replace(&self, prepared: Prepared) -> io::Result<()> {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = prepared.file {
            self.put(file)?;
            self.open.store(true, Ordering::Release);
        } else {
            self.open.store(false, Ordering::Release);
        }
        *named = prepared.named;
        Ok(())
    }

    pub(super) fn reopen(&self) -> io::Result<()> {
        let named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        match &*named {
            Some(named) => self.put(named.open()?),
            None => Ok(()),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// The file or stream that lines go to.
    pub(super) fn file(&self) -> Option<BorrowedFd<'_>> {
        self.file.get().map(AsFd::as_fd)
    }

    /// The standard stream has been changed: lines are to go where it goes now.
    pub(super) fn follow_stream(&self) -> io::Result<()> {
        let named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        match self.is_open() && named.is_none() {
            true => self.put(self.stream.duplicate()?),
            false => Ok(()),
        }
    }

    /// Writes one line. One that is not taken is counted.
    pub(super) fn write(&self, line: &[u8]) {
        let Some(file) = self.file.get().filter(|_| self.is_open()) else {
            return;
        };
        let Some(losses) = self.losses.get() else {
            return;
        };
        let patience = match losses.is_losing() {
            true => Duration::ZERO,
            false => PATIENCE,
        };
        let outcome = match losses.take_cut() {
            // Whatever follows half a line is not part of it.
            true => self.way.write(file, &[b"\n", line].concat(), patience),
            false => self.way.write(file, line, patience),
        };
        match outcome {
            Ok(()) => losses.note_delivery(),
            Err((written, error)) => {
                losses.note_loss(&error);
                if written > 0 {
                    losses.note_cut();
                }
            }
        }
    }

    /// What there is to tell of lines that were lost.
    pub(super) fn report(&self) -> Option<LossReport> {
        self.losses.get()?.report()
    }

    /// As messages name it.
    pub(super) fn name(&self) -> String {
        let named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*named, self.stream) {
            (Some(named), _) => named.path.display().to_string(),
            (None, Stream::Stdout) => "standard output".to_owned(),
            (None, Stream::Stderr) => "standard error".to_owned(),
        }
    }

    /// The first file stays for its number, the others come behind it.
    fn put(&self, file: File) -> io::Result<()> {
        self.way.note(&file);
        let mut file = Some(file);
        let current = self.file.get_or_init(|| file.take().expect("taken once"));
        match file {
            Some(file) => sys::replace_fd(file.as_fd(), current.as_fd()),
            None => Ok(()),
        }
    }
}

impl Stream {
    fn duplicate(self) -> io::Result<File> {
        match self {
            Self::Stdout => line_writer::own(io::stdout().as_fd()),
            Self::Stderr => line_writer::own(io::stderr().as_fd()),
        }
    }
}

impl NamedFile {
    fn open(&self) -> io::Result<File> {
        let Owner { user, group } = self.owner;
        let mode = Mode::from_bits_truncate(0o666);
        let opened = DirectoryEntry::find(&self.path, user)
            .and_then(|entry| entry.open(OFlag::O_WRONLY | OFlag::O_APPEND, mode));
        let (file, is_new) = opened.map_err(|error| self.explain(&error))?;
        if is_new && (user.is_some() || group.is_some()) {
            // Children open it as another user. It fails for who is not root.
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
        let path = self.path.display();
        let text = format!("cannot open the log file {path}: {error}{advice}");
        io::Error::new(error.kind(), text)
    }
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
    fn files_are_given_to_their_owner_each_time() {
        use std::os::unix::fs::MetadataExt;
        let directory = directory("owner");
        let name = directory.join("log");
        let owner = Owner {
            user: None,
            group: Some(Gid::from_raw(4711)),
        };
        let sink = Sink::new(Stream::Stdout);
        let prepared = sink.prepare(name.to_str(), owner).expect("a file");
        sink.replace(prepared).expect("a first file");
        fs::remove_file(&name).expect("a rotation");
        sink.reopen().expect("a second file");
        let group = fs::metadata(&name).expect("the file").gid();
        let root = Uid::effective().is_root();
        assert_eq!(group == 4711, root, "only root gives files away");
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
