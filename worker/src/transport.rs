//! The way to a client: its socket, or TLS on top of that. Reads and writes never block. Clones are handles of the
//! same socket: a connection and its request thread share it with the leader, which may have to answer for a thread
//! that does not return.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::socket::Socket;
use crate::tls::TlsSession;

/// The size of the pieces of a file that are read and encrypted.
const FILE_BLOCK: usize = 16 * 1024;

#[derive(Debug, Clone)]
pub(crate) enum Transport {
    Plain(Arc<Socket>),
    Tls(Arc<TlsSession>),
}

impl Transport {
    pub(crate) fn new(socket: Socket) -> Self {
        Self::Plain(Arc::new(socket))
    }

    /// The socket below.
    pub(crate) fn socket(&self) -> &Arc<Socket> {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(session) => session.socket(),
        }
    }

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// A read that leaves room has emptied the socket; [`Transport::holds_more`] tells if there is more.
    pub(crate) fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(into),
            Self::Tls(session) => session.read(into),
        }
    }

    /// As [`Transport::read`], but appends to `into`, up to its capacity. Not for TLS, which would have to fill all
    /// of that room with zeros before each read.
    pub(crate) fn read_onto(&self, into: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read_onto(into),
            Self::Tls(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Whether there is something to read, if only the end, that the poll does not report.
    pub(crate) fn holds_more(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(session) => session.holds_more(),
        }
    }

    /// Written bytes may stay in a buffer until [`Transport::flush`] succeeds.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(session) => session.write(&[IoSlice::new(bytes)]),
        }
    }

    pub(crate) fn write_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write_vectored(parts),
            Self::Tls(session) => session.write(parts),
        }
    }

    /// As [`Transport::write`], if more follows at once and should share the packet.
    pub(crate) fn write_more(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write_more(bytes),
            Self::Tls(session) => session.write(&[IoSlice::new(bytes)]),
        }
    }

    /// Sends up to `count` bytes of `file`, without copying them to this process if they need no encryption.
    /// At the end of the file the error is `UnexpectedEof`: the file has become shorter.
    pub(crate) fn send_file(&self, file: &File, offset: u64, count: usize) -> io::Result<usize> {
        let sent = match self {
            Self::Plain(socket) => socket.send_file(file, offset, count)?,
            Self::Tls(session) => {
                let mut block = [0; FILE_BLOCK];
                let most = count.min(FILE_BLOCK);
                match file.read_at(&mut block[..most], offset)? {
                    0 => 0,
                    read => session.write(&[IoSlice::new(&block[..read])])?,
                }
            }
        };
        match sent {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            sent => Ok(sent),
        }
    }

    /// Sends buffered bytes. `WouldBlock` if the socket does not take all of them.
    pub(crate) fn flush(&self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(session) => session.flush(),
        }
    }

    /// Whether buffered bytes wait for room in the socket.
    pub(crate) fn wants_to_write(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(session) => session.wants_to_write(),
        }
    }

    /// After the last byte: sends TLS's close_notify; does nothing without TLS.
    pub(crate) fn finish(&self) {
        if let Self::Tls(session) = self {
            session.finish();
        }
    }

    /// How much the client has acknowledged, if `written` octets were written here. Only differences between two
    /// calls are exact: another process may have written before.
    pub(crate) fn acknowledged(&self, written: u64) -> i64 {
        let sent = match self {
            Self::Plain(_) => written,
            Self::Tls(session) => session.sent(),
        };
        let left = self.socket().unacknowledged();
        sent.wrapping_sub(left).cast_signed()
    }
}

impl AsFd for Transport {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket().as_fd()
    }
}

impl AsRawFd for Transport {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
