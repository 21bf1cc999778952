//! A client's socket, TCP or Unix, or a session of TLS on top of one: non-blocking, shared by the
//! connection and by the watchdog that may have to answer for a thread that never comes back.
//!
//! The calls go straight to the kernel, by rustix: in a process with several threads the C library
//! makes each of them a cancellation point (pthreads(7)), which costs more than it looks.

use std::fs::File;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use mio::net::{TcpStream, UnixStream};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use oxicorn_common::request::Peer;
use rustix::buffer::spare_capacity;
use rustix::fs::sendfile;
use rustix::io::retry_on_intr;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::sys;
use crate::tls::TlsSession;

/// How much of a file is read at a time, to be encrypted.
const FILE_BLOCK: usize = 16 * 1024;

#[derive(Debug)]
pub(crate) enum Transport {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsSession>),
}

impl Transport {
    /// A read that leaves room has emptied the socket; then [`Transport::holds_more`] knows the rest.
    pub(crate) fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tls(session) => session.read(into),
            plain => Ok(retry_on_intr(|| rustix::io::read(plain, &mut *into))?),
        }
    }

    /// As [`Transport::read`], to the end of `into`, as much as it has the capacity for. Not for a session
    /// of TLS, which would have to have all of that room filled with zeros before each read.
    pub(crate) fn read_onto(&self, into: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Tls(_) => Err(io::ErrorKind::Unsupported.into()),
            plain => Ok(retry_on_intr(|| {
                rustix::io::read(plain, spare_capacity(&mut *into))
            })?),
        }
    }

    /// Whether something is to be read, if only the end, of which the poll will not tell.
    pub(crate) fn holds_more(&self) -> bool {
        match self {
            Self::Tls(session) => session.holds_more(),
            _ => false,
        }
    }

    /// What is written may be in a buffer until [`Transport::flush`] succeeds.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tls(session) => session.write(&[IoSlice::new(bytes)]),
            plain => Ok(retry_on_intr(|| send(plain, bytes, SendFlags::NOSIGNAL))?),
        }
    }

    pub(crate) fn write_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tls(session) => session.write(parts),
            plain => Ok(retry_on_intr(|| rustix::io::writev(plain, parts))?),
        }
    }

    /// As [`Transport::write`], when more follows at once and is to share a packet.
    pub(crate) fn write_more(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tls(session) => session.write(&[IoSlice::new(bytes)]),
            plain => {
                let flags = SendFlags::NOSIGNAL | SendFlags::MORE;
                Ok(retry_on_intr(|| send(plain, bytes, flags))?)
            }
        }
    }

    /// Sends up to `count` bytes of `file`: by the kernel alone, where they need no encryption. The
    /// error at the end of the file is `UnexpectedEof`: it had been longer.
    pub(crate) fn send_file(&self, file: &File, offset: u64, count: usize) -> io::Result<usize> {
        if let Self::Tls(session) = self {
            let mut block = [0; FILE_BLOCK];
            let most = count.min(FILE_BLOCK);
            return match file.read_at(&mut block[..most], offset)? {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                read => session.write(&[IoSlice::new(&block[..read])]),
            };
        }
        let mut at = offset;
        match retry_on_intr(|| sendfile(self, file, Some(&mut at), count))? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            sent => Ok(sent),
        }
    }

    /// Waits until the socket takes more, or until `deadline`; without one for ever.
    pub(crate) fn wait_for_room(&self, deadline: Option<Instant>) -> io::Result<()> {
        let timeout = match deadline {
            None => PollTimeout::NONE,
            // Rounded up: a wait that ends too early would be begun again and again.
            Some(at) => {
                let left = at.saturating_duration_since(Instant::now());
                let left = left.saturating_add(Duration::from_millis(1));
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
            }
        };
        let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLOUT)];
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Octets that the socket has and the client's system has not acknowledged. Where the kernel
    /// does not tell there are none.
    pub(crate) fn unacknowledged(&self) -> u64 {
        sys::unacknowledged(self).unwrap_or(0)
    }

    /// How much the client has taken, where so many octets were `written` here. By how much it grows
    /// is exact; where it begins is not, as another process may have written before.
    pub(crate) fn taken(&self, written: u64) -> i64 {
        let sent = match self {
            Self::Tls(session) => session.sent(),
            _ => written,
        };
        sent.wrapping_sub(self.unacknowledged()).cast_signed()
    }

    pub(crate) fn flush(&self) -> io::Result<()> {
        match self {
            Self::Tls(session) => session.flush(),
            _ => Ok(()),
        }
    }

    /// Whether the client has sent something that has not been read.
    pub(crate) fn has_input(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        matches!(recv(self, &mut [0], flags), Ok((_, 1..)))
    }

    /// Whether something of ours waits for room in the socket.
    pub(crate) fn wants_to_write(&self) -> bool {
        match self {
            Self::Tls(session) => session.wants_to_write(),
            _ => false,
        }
    }

    /// Says goodbye where the protocol has a word for it: all that was to be sent has been.
    pub(crate) fn finish(&self) {
        if let Self::Tls(session) = self {
            session.finish();
        }
    }

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Who is at the other end of the socket; `None` when it has been reset.
    pub(crate) fn peer(&self) -> Option<Peer> {
        match self {
            Self::Tcp(socket) => socket.peer_addr().ok().map(Peer::Tcp),
            Self::Unix(_) => Some(Peer::Unix),
            Self::Tls(session) => session.socket().peer(),
        }
    }

    /// Ends the connection in a way that the peer takes for a failure (RFC 9293 section 3.10.5), also where
    /// another process has the socket. Only TCP has one.
    pub(crate) fn reset(&self) {
        let _ = rustix::net::connect_unspec(self);
    }

    /// Ends one or both directions of the socket; a peer that is gone already is no error.
    pub(crate) fn shutdown(&self, how: Shutdown) {
        let _ = match self {
            Self::Tcp(socket) => socket.shutdown(how),
            Self::Unix(socket) => socket.shutdown(how),
            Self::Tls(session) => return session.socket().shutdown(how),
        };
    }
}

impl AsFd for Transport {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
            Self::Tls(session) => session.socket().as_fd(),
        }
    }
}

impl AsRawFd for Transport {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
