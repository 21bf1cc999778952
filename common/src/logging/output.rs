//! One output for log lines: a descriptor whose number never changes, so that writing takes no lock.
//!
//! Another file (a reload, a rotation) is put behind the same number. Lines that are not taken are counted.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::line_writer::{self, LineWriter};
use super::log_file::{FileOwner, LogFile};
use super::losses::{LossReport, Losses};
use crate::sys;

/// How long a line waits for the reader of a pipe. While lines are being lost, it does not wait at all.
const TIMEOUT: Duration = Duration::from_millis(500);

/// Where one log goes.
#[derive(Debug)]
pub(super) struct LogOutput {
    stream: StandardStream,
    open: AtomicBool,
    file: OnceLock<File>,
    writer: LineWriter,
    losses: OnceLock<Losses>,
    /// The file behind the descriptor, unless it is a standard stream.
    named: Mutex<Option<LogFile>>,
}

/// What `-` means.
#[derive(Debug, Clone, Copy)]
pub(super) enum StandardStream {
    Stdout,
    Stderr,
}

/// What an output will write to next.
#[derive(Debug)]
pub(super) struct Prepared {
    file: Option<File>,
    named: Option<LogFile>,
}

impl LogOutput {
    pub(super) const fn new(stream: StandardStream) -> Self {
        Self {
            stream,
            open: AtomicBool::new(false),
            file: OnceLock::new(),
            writer: LineWriter::new(),
            losses: OnceLock::new(),
            named: Mutex::new(None),
        }
    }

    /// Opens `target`: a file, `-` for the standard stream, or nothing.
    pub(super) fn prepare(&self, target: Option<&str>, owner: FileOwner) -> io::Result<Prepared> {
        if self.losses.get().is_none() {
            let _ = self.losses.set(Losses::new()?);
        }
        let (file, named) = match target {
            None => (None, None),
            Some("-") => (Some(self.stream.duplicate()?), None),
            Some(name) => {
                let named = LogFile::new(name, owner)?;
                (Some(named.open()?), Some(named))
            }
        };
        Ok(Prepared { file, named })
    }

    pub(super) fn replace(&self, prepared: Prepared) -> io::Result<()> {
        let mut named = self.named();
        if let Some(file) = prepared.file {
            self.put(file)?;
            self.open.store(true, Ordering::Release);
        } else {
            self.open.store(false, Ordering::Release);
        }
        *named = prepared.named;
        Ok(())
    }

    /// Opens the file again by its name.
    pub(super) fn reopen(&self) -> io::Result<()> {
        match &*self.named() {
            Some(named) => self.put(named.open()?),
            None => Ok(()),
        }
    }

    /// Takes no more lines. The file stays open behind its number.
    pub(super) fn close(&self) {
        self.open.store(false, Ordering::Release);
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// The file or stream that lines go to.
    pub(super) fn file(&self) -> Option<BorrowedFd<'_>> {
        self.file.get().map(AsFd::as_fd)
    }

    /// To be called when the standard streams have been replaced: lines go to the new one.
    pub(super) fn follow_stream(&self) -> io::Result<()> {
        let named = self.named();
        match self.is_open() && named.is_none() {
            true => self.put(self.stream.duplicate()?),
            false => Ok(()),
        }
    }

    /// Writes one line, or counts it as lost.
    pub(super) fn write(&self, line: &[u8]) {
        let Some(file) = self.file.get().filter(|_| self.is_open()) else {
            return;
        };
        let Some(losses) = self.losses.get() else {
            return;
        };
        let timeout = match losses.is_losing() {
            true => Duration::ZERO,
            false => TIMEOUT,
        };
        let after_cut = losses.take_cut();
        // The half line may be in a file that has been emptied or moved away since.
        let begins_file = || {
            file.metadata()
                .is_ok_and(|it| it.is_file() && it.len() == 0)
        };
        let outcome = match after_cut && !begins_file() {
            // The new line is not part of the half one before it.
            true => self.writer.write(file, &[b"\n", line].concat(), timeout),
            false => self.writer.write(file, line, timeout),
        };
        match outcome {
            Ok(()) => losses.note_delivery(),
            Err((written, error)) => {
                losses.note_loss(&error);
                // With not even the line feed written, the line before is still cut.
                if written > 0 || after_cut {
                    losses.note_cut();
                }
            }
        }
    }

    /// Whether it is a file that has not taken its latest lines.
    pub(super) fn is_losing_file(&self) -> bool {
        self.named().is_some() && self.losses.get().is_some_and(Losses::is_losing)
    }

    /// What this process has to report of lost lines.
    pub(super) fn report(&self) -> Option<LossReport> {
        self.losses.get()?.report()
    }

    /// As messages name it.
    pub(super) fn name(&self) -> String {
        match (&*self.named(), self.stream) {
            (Some(named), _) => named.to_string(),
            (None, StandardStream::Stdout) => "standard output".to_owned(),
            (None, StandardStream::Stderr) => "standard error".to_owned(),
        }
    }

    /// The first file is kept for its number, each later one is put behind it.
    fn put(&self, file: File) -> io::Result<()> {
        self.writer.note(&file);
        let mut file = Some(file);
        let current = self.file.get_or_init(|| file.take().expect("taken once"));
        match file {
            Some(file) => sys::replace_fd(file.as_fd(), current.as_fd()),
            None => Ok(()),
        }
    }

    fn named(&self) -> MutexGuard<'_, Option<LogFile>> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StandardStream {
    fn duplicate(self) -> io::Result<File> {
        match self {
            Self::Stdout => line_writer::own(io::stdout().as_fd()),
            Self::Stderr => line_writer::own(io::stderr().as_fd()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;
    use std::thread;

    use nix::unistd::{Gid, Uid};

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("oxicorn-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        path
    }

    #[test]
    fn a_closed_output_writes_nothing() {
        let output = LogOutput::new(StandardStream::Stdout);
        output.write(b"before\n");
        let nothing = output
            .prepare(None, FileOwner::default())
            .expect("nothing to open");
        output.replace(nothing).expect("nothing to put");
        assert!(!output.is_open());
        output.reopen().expect("nothing to reopen");
    }

    #[test]
    fn a_rotation_loses_no_line_while_threads_write() {
        const LINES: usize = 2000;
        let directory = directory("rotation");
        let name = directory.join("log");
        let output = LogOutput::new(StandardStream::Stdout);
        let prepared = output
            .prepare(name.to_str(), FileOwner::default())
            .expect("a file to append to");
        output.replace(prepared).expect("a first file");
        let line = [b"x".repeat(99), b"\n".to_vec()].concat();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..LINES).for_each(|_| output.write(&line)));
            }
            for round in 0..20 {
                fs::rename(&name, directory.join(round.to_string())).expect("a rotation");
                output.reopen().expect("a file of the same name");
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
    fn a_line_after_a_cut_one_begins_a_line_however_long_nothing_could_be_written() {
        use std::io::Read;
        use std::os::unix::fs::OpenOptionsExt;
        let directory = directory("cut");
        let name = directory.join("log");
        nix::unistd::mkfifo(&name, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        let mut options = fs::OpenOptions::new();
        let opened = options.read(true).custom_flags(libc::O_NONBLOCK);
        let mut reader = opened.open(&name).expect("its reader");
        let output = LogOutput::new(StandardStream::Stdout);
        let prepared = output.prepare(name.to_str(), FileOwner::default());
        output.replace(prepared.expect("a pipe")).expect("a pipe");
        // Longer than PIPE_BUF, so that a part of it fits.
        let line = [b"x".repeat(6000), b"\n".to_vec()].concat();
        for _ in 0..20 {
            output.write(&line);
        }
        let mut piece = vec![0; 1 << 20];
        let count = reader.read(&mut piece).expect("what was taken");
        assert!(!piece[..count].ends_with(b"\n"), "the last line is cut");
        output.write(b"whole\n");
        let count = reader.read(&mut piece).expect("one more");
        assert_eq!(&piece[..count], b"\nwhole\n");
        fs::remove_dir_all(directory).expect("the end");
    }

    #[test]
    fn files_are_given_to_their_owner_each_time() {
        use std::os::unix::fs::MetadataExt;
        let directory = directory("owner");
        let name = directory.join("log");
        let owner = FileOwner {
            user: None,
            group: Some(Gid::from_raw(4711)),
        };
        let output = LogOutput::new(StandardStream::Stdout);
        let prepared = output.prepare(name.to_str(), owner).expect("a file");
        output.replace(prepared).expect("a first file");
        fs::remove_file(&name).expect("a rotation");
        output.reopen().expect("a second file");
        let group = fs::metadata(&name).expect("the file").gid();
        let root = Uid::effective().is_root();
        assert_eq!(group == 4711, root, "only root gives files away");
        fs::remove_dir_all(directory).expect("the end");
    }
}
