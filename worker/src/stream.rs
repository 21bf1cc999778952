//! A client's socket, TCP or Unix: non-blocking, shared by the connection and by the watch that
//! may have to answer for a thread that never comes back.
//!
//! The calls go straight to the kernel, by rustix: in a process with several threads the C library
//! makes each of them a cancellation point (pthreads(7)), which costs more than it looks.

use std::fs::File;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use mio::net::{TcpStream, UnixStream};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use oxicorn_common::request::Peer;
use rustix::fs::sendfile;
use rustix::io::retry_on_intr;
use rustix::net::{SendFlags, send};

#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    pub(crate) fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        Ok(retry_on_intr(|| rustix::io::read(self, &mut *into))?)
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(retry_on_intr(|| send(self, bytes, SendFlags::NOSIGNAL))?)
    }

    pub(crate) fn write_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(retry_on_intr(|| rustix::io::writev(self, parts))?)
    }

    /// As [`Stream::write`], when more follows at once and is to share a packet.
    pub(crate) fn write_more(&self, bytes: &[u8]) -> io::Result<usize> {
        let flags = SendFlags::NOSIGNAL | SendFlags::MORE;
        Ok(retry_on_intr(|| send(self, bytes, flags))?)
    }

    /// Has the kernel send up to `count` bytes of `file`. The error at the end of the file is
    /// `UnexpectedEof`: it had been longer.
    pub(crate) fn send_file(&self, file: &File, offset: u64, count: usize) -> io::Result<usize> {
        let mut at = offset;
        match retry_on_intr(|| sendfile(self, file, Some(&mut at), count))? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            sent => Ok(sent),
        }
    }

    /// Waits until the client takes more, for at most `patience`; zero is for ever.
    pub(crate) fn wait_for_room(&self, patience: Duration) -> io::Result<()> {
        let timeout = match patience.is_zero() {
            true => PollTimeout::NONE,
            false => PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX),
        };
        let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLOUT)];
        match poll(&mut fds, timeout) {
            Ok(0) => Err(io::ErrorKind::TimedOut.into()),
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Our end of the connection.
    pub(crate) fn local(&self) -> Peer {
        match self {
            Self::Tcp(socket) => socket.local_addr().map_or(Peer::Unix, Peer::Tcp),
            Self::Unix(_) => Peer::Unix,
        }
    }

    /// Ends one or both directions; a peer that is gone already is no error.
    pub(crate) fn shutdown(&self, how: Shutdown) {
        let _ = match self {
            Self::Tcp(socket) => socket.shutdown(how),
            Self::Unix(socket) => socket.shutdown(how),
        };
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
