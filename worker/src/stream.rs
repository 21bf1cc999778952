//! A client's socket, TCP or Unix: non-blocking, shared by the connection and by the watch that
//! may have to answer for a thread that never comes back.
//!
//! The calls go straight to the kernel, by rustix: in a process with several threads the C library
//! makes each of them a cancellation point (pthreads(7)), which costs more than it looks.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use mio::net::{TcpStream, UnixStream};
use oxicorn_common::request::Peer;
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

    /// Who is at the other end of the socket; `None` when it has been reset.
    pub(crate) fn peer(&self) -> Option<Peer> {
        match self {
            Self::Tcp(socket) => socket.peer_addr().ok().map(Peer::Tcp),
            Self::Unix(_) => Some(Peer::Unix),
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
