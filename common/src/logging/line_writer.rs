//! Writes lines to a file that may be a pipe whose reader has stopped.
//!
//! A process that waited there for ever would see no signal, and a worker would answer nobody. So a line waits
//! for a moment and is then lost. Pipes and sockets that were inherited are shared with other programs, and
//! must not become nonblocking for those (open(2): the flag belongs to the open file).

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::isatty;

use crate::sys;

/// What a pipe that poll(2) calls writable takes without waiting (pipe(7)).
const PIPE_BUF: usize = 4096;

/// Writes in the way that the file behind a descriptor needs: one of the kinds below.
#[derive(Debug)]
pub(super) struct LineWriter(AtomicU8);

/// A disk, or a device that takes everything.
const PLAIN: u8 = 0;
/// The file itself says when it takes nothing now.
const NONBLOCKING: u8 = 1;
/// A write may wait, so poll(2) is asked first.
const BLOCKING: u8 = 2;
const SOCKET: u8 = 3;

impl LineWriter {
    pub(super) const fn new() -> Self {
        Self(AtomicU8::new(PLAIN))
    }

    /// Notes what kind of file `file` is.
    pub(super) fn note(&self, file: &File) {
        self.0
            .store(kind_of(file).unwrap_or(PLAIN), Ordering::Release);
    }

    /// Writes `line` with one write(2), or with more if that takes only a part. Waits for room for at most
    /// `timeout`. The error comes with the number of bytes that were written.
    pub(super) fn write(
        &self,
        file: &File,
        line: &[u8],
        timeout: Duration,
    ) -> Result<(), (usize, io::Error)> {
        let kind = self.0.load(Ordering::Acquire);
        let mut written = 0;
        let mut deadline = None;
        while written < line.len() {
            match attempt(kind, file, &line[written..]) {
                Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let until = *deadline.get_or_insert_with(|| Instant::now() + timeout);
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() || !is_writable(file.as_fd(), left) {
                        return Err((written, error));
                    }
                }
                Err(error) => return Err((written, error)),
            }
        }
        Ok(())
    }
}

/// A copy of a standard stream for our own use. A pipe is opened again, so that only our copy is
/// nonblocking; anything else, and a pipe that we may not open, is duplicated as it is.
pub(super) fn own(stream: BorrowedFd<'_>) -> io::Result<File> {
    let is_pipe = fstat(stream).is_ok_and(|it| file_type(it.st_mode) == SFlag::S_IFIFO);
    if is_pipe {
        let place = format!("/proc/self/fd/{}", stream.as_raw_fd());
        let mut options = OpenOptions::new();
        let opened = options.write(true).custom_flags(libc::O_NONBLOCK);
        if let Ok(file) = opened.open(place) {
            return Ok(file);
        }
    }
    Ok(stream.try_clone_to_owned()?.into())
}

/// Whether a write to a standard stream would wait for its reader.
pub(super) fn is_full(stream: BorrowedFd<'_>) -> bool {
    let waits = fstat(stream).is_ok_and(|it| match file_type(it.st_mode) {
        SFlag::S_IFIFO | SFlag::S_IFSOCK => true,
        SFlag::S_IFCHR => isatty(stream).unwrap_or(false),
        _ => false,
    });
    waits && !is_writable(stream, Duration::ZERO)
}

fn kind_of(file: &File) -> nix::Result<u8> {
    let flags = OFlag::from_bits_truncate(fcntl(file, FcntlArg::F_GETFL)?);
    Ok(match file_type(fstat(file)?.st_mode) {
        SFlag::S_IFSOCK => SOCKET,
        _ if flags.contains(OFlag::O_NONBLOCK) => NONBLOCKING,
        SFlag::S_IFIFO => BLOCKING,
        SFlag::S_IFCHR if isatty(file).unwrap_or(false) => BLOCKING,
        _ => PLAIN,
    })
}

fn attempt(kind: u8, mut file: &File, bytes: &[u8]) -> io::Result<usize> {
    match kind {
        SOCKET => {
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            Ok(send(file.as_raw_fd(), bytes, flags)?)
        }
        BLOCKING => match sys::write_now(file.as_fd(), bytes) {
            Err(error) if is_unsupported(&error) => {
                // If another process fills it first, this waits after all.
                if !is_writable(file.as_fd(), Duration::ZERO) {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                file.write(&bytes[..bytes.len().min(PIPE_BUF)])
            }
            outcome => outcome,
        },
        _ => file.write(bytes),
    }
}

/// Whether the file does not support RWF_NOWAIT: a terminal, or a pipe before Linux 6.5.
fn is_unsupported(error: &io::Error) -> bool {
    let unknown = [libc::EOPNOTSUPP, libc::ENOSYS, libc::EINVAL];
    error
        .raw_os_error()
        .is_some_and(|errno| unknown.contains(&errno))
}

fn is_writable(fd: BorrowedFd<'_>, timeout: Duration) -> bool {
    let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::ZERO);
    let mut fds = [PollFd::new(fd, PollFlags::POLLOUT)];
    // An error or a reader that is gone is found by the write.
    poll(&mut fds, timeout).is_ok_and(|count| count > 0)
}

fn file_type(mode: libc::mode_t) -> SFlag {
    SFlag::from_bits_truncate(mode) & SFlag::S_IFMT
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use nix::unistd::pipe;

    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(20);

    /// Fills what nobody reads; then each line costs its timeout and no more, and when somebody does
    /// read, all that was taken is whole lines.
    fn fill_and_read(file: File, mut reader: impl Read, kind: u8) {
        let line = [b"x".repeat(299), b"\n".to_vec()].concat();
        let writer = LineWriter::new();
        writer.note(&file);
        assert_eq!(writer.0.load(Ordering::Relaxed), kind);
        let mut taken = 0;
        let (cut, error) = loop {
            match writer.write(&file, &line, TIMEOUT) {
                Ok(()) => taken += line.len(),
                Err(reason) => break reason,
            }
            assert!(taken < 64 << 20, "it has no bounds");
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        for _ in 0..5 {
            let (more, _) = writer
                .write(&file, &line, Duration::ZERO)
                .expect_err("full");
            assert_eq!(more, 0);
        }
        drop(file);
        let mut text = Vec::new();
        reader.read_to_end(&mut text).expect("all of it");
        assert_eq!(text.len(), taken + cut);
        assert!(text.chunks_exact(300).all(|it| it == line));
    }

    #[test]
    fn nobody_waits_for_a_reader_that_has_stopped() {
        let (reader, writer) = pipe().expect("a pipe");
        let ours = own(writer.as_fd()).expect("an open file of our own");
        drop(writer);
        fill_and_read(ours, File::from(reader), NONBLOCKING);
        let (reader, writer) = pipe().expect("a pipe");
        fill_and_read(writer.into(), File::from(reader), BLOCKING);
        let (reader, writer) = UnixStream::pair().expect("a pair");
        fill_and_read(std::os::fd::OwnedFd::from(writer).into(), reader, SOCKET);
    }

    #[test]
    fn a_pipe_is_full_until_it_is_read() {
        let (reader, writer) = pipe().expect("a pipe");
        let ours = own(writer.as_fd()).expect("an open file of our own");
        assert!(!is_full(writer.as_fd()) && !is_full(ours.as_fd()));
        while (&ours).write(&[b'x'; 4096]).is_ok() {}
        assert!(is_full(writer.as_fd()));
        File::from(reader)
            .read_exact(&mut [0; 4096])
            .expect("some of it");
        assert!(!is_full(writer.as_fd()));
    }

    #[test]
    fn what_we_were_given_stays_as_it_is() {
        let (_reader, writer) = pipe().expect("a pipe");
        let _ours = own(writer.as_fd()).expect("an open file of our own");
        let flags = fcntl(&writer, FcntlArg::F_GETFL).expect("flags");
        assert!(!OFlag::from_bits_truncate(flags).contains(OFlag::O_NONBLOCK));
    }
}
