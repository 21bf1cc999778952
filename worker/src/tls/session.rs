//! One connection over TLS: a socket, and the keys and buffers on top of it. Other code reads and writes it like a
//! non-blocking socket.
//!
//! The lock is for the only case in which two threads use a connection: the leader answers 504 for a request thread
//! that does not return.

use std::io::{self, IoSlice, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::ServerConnection;

use super::TlsConfig;
use crate::socket::Socket;

#[derive(Debug)]
pub(crate) struct TlsSession {
    socket: Arc<Socket>,
    state: Mutex<TlsState>,
}

#[derive(Debug)]
struct TlsState {
    tls: ServerConnection,
    /// No more input: the end has come, or bytes that are not TLS.
    over: bool,
    /// This read has emptied the socket: another attempt would only cost a system call.
    emptied: bool,
    /// Encrypted octets that the socket has taken so far.
    sent: u64,
}

/// The progress of a handshake.
#[derive(Debug)]
pub(crate) enum Handshake {
    Done,
    /// The client has to send or take something.
    Waiting,
    Gone,
    Failed(rustls::Error),
}

impl TlsSession {
    /// Begins a session on `socket`; the bytes `read` were read from it before.
    pub(crate) fn new(
        tls: &TlsConfig,
        socket: Arc<Socket>,
        mut read: &[u8],
    ) -> Result<Self, rustls::Error> {
        let mut state = TlsState {
            tls: ServerConnection::new(tls.config())?,
            over: false,
            emptied: false,
            sent: 0,
        };
        while !read.is_empty() {
            // A slice cannot fail, and the buffer holds what one handshake may send.
            if !matches!(state.tls.read_tls(&mut read), Ok(1..)) {
                break;
            }
            if let Err(error) = state.tls.process_new_packets() {
                let _ = state.flush(&socket);
                return Err(error);
            }
        }
        Ok(Self {
            socket,
            state: Mutex::new(state),
        })
    }

    /// The socket below.
    pub(crate) fn socket(&self) -> &Arc<Socket> {
        &self.socket
    }

    /// Continues the handshake as far as possible.
    pub(crate) fn shake_hands(&self) -> Handshake {
        let mut state = self.lock();
        loop {
            match state.flush(&self.socket) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Handshake::Gone,
                _ => {}
            }
            if !state.tls.is_handshaking() {
                return Handshake::Done;
            }
            match state.tls.read_tls(&mut TlsWire::new(&self.socket)) {
                Ok(0) => return Handshake::Gone,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Handshake::Waiting;
                }
                Err(_) => return Handshake::Gone,
            }
            if let Err(error) = state.tls.process_new_packets() {
                // The output that is left is the alert with the reason.
                let _ = state.flush(&self.socket);
                return Handshake::Failed(error);
            }
        }
    }

    /// Fills `into` as far as the client has sent bytes. Leaves room only if the socket is empty, as a read of the
    /// socket itself does; see also [`TlsSession::holds_more`].
    pub(crate) fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        let mut state = self.lock();
        state.emptied = false;
        let mut got = 0;
        while got < into.len() {
            match state.read_some(&self.socket, &mut into[got..]) {
                Ok(0) => break,
                Ok(count) => got += count,
                Err(_) if got > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(got)
    }

    /// Whether a read would report the end, which the socket does not announce any more.
    pub(crate) fn holds_more(&self) -> bool {
        self.lock().over
    }

    /// Buffers as much as fits, once the socket has taken the previous content. [`TlsSession::flush`] sends it.
    pub(crate) fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.lock();
        state.flush(&self.socket)?;
        state.tls.writer().write_vectored(parts)
    }

    /// Sends the buffer. `WouldBlock` if the socket does not take all of it.
    pub(crate) fn flush(&self) -> io::Result<()> {
        self.lock().flush(&self.socket)
    }

    /// Whether the buffer has bytes to send.
    pub(crate) fn wants_to_write(&self) -> bool {
        self.lock().tls.wants_write()
    }

    /// Encrypted octets that the socket has taken so far.
    pub(crate) fn sent(&self) -> u64 {
        self.lock().sent
    }

    /// Sends a close_notify, so that the client can tell the end from a truncation.
    pub(crate) fn finish(&self) {
        let mut state = self.lock();
        state.tls.send_close_notify();
        // A client with no room for thirty bytes does not care.
        let _ = state.flush(&self.socket);
    }

    fn lock(&self) -> MutexGuard<'_, TlsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TlsState {
    /// Decrypted bytes; if there are none, those that the socket's next bytes contain.
    fn read_some(&mut self, socket: &Socket, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.tls.reader().read(into) {
                // The end without a close_notify. HTTP itself shows whether a message is whole.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    self.over = true;
                    return Ok(0);
                }
                Ok(0) => {
                    self.over = true;
                    return Ok(0);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return outcome,
            }
            if self.over {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if self.emptied {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let mut wire = TlsWire::new(socket);
            self.tls.read_tls(&mut wire)?;
            self.emptied = wire.emptied;
            if self.tls.process_new_packets().is_err() {
                // Valid bytes before the error are still to be read, and the alert with the reason to be sent.
                self.over = true;
                let _ = self.flush(socket);
                continue;
            }
            // A key update is answered with a key update (RFC 8446 section 4.6.3); bytes that the socket does not
            // take now are sent before the response.
            match self.flush(socket) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
    }

    fn flush(&mut self, socket: &Socket) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut TlsWire::new(socket))? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => self.sent += count as u64,
            }
        }
        Ok(())
    }
}

/// The socket in the form that rustls needs.
struct TlsWire<'a> {
    socket: &'a Socket,
    /// The last read has left room (epoll(7), question 9).
    emptied: bool,
}

impl<'a> TlsWire<'a> {
    fn new(socket: &'a Socket) -> Self {
        let emptied = false;
        Self { socket, emptied }
    }
}

impl Read for TlsWire<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.socket.read(into)?;
        self.emptied = count < into.len();
        Ok(count)
    }
}

impl Write for TlsWire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.write_vectored(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
