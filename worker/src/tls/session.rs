//! One connection over TLS: a socket, and the keys and buffers on top of it. To the rest of the worker it reads
//! and writes as a non-blocking socket does.
//!
//! The lock is for the one case in which two threads use a connection: the leader answers 504 for a request thread
//! that does not come back.

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
    /// Nothing more will come: the end, or bytes that are no TLS.
    over: bool,
    /// The socket was found empty in this read: asking again would cost a system call.
    emptied: bool,
    /// Octets that the socket has taken so far, encrypted as they were.
    sent: u64,
}

/// How a handshake stands.
#[derive(Debug)]
pub(crate) enum Handshake {
    Done,
    /// The client has to send something, or to take something.
    Waiting,
    Gone,
    Failed(rustls::Error),
}

impl TlsSession {
    /// Begins a session on `socket`, from which `read` has been read already.
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
            // Memory never fails, and the buffer takes what one handshake may send.
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

    /// Goes on with the handshake as far as it gets.
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
                // What is left to send is the alert that says why.
                let _ = state.flush(&self.socket);
                return Handshake::Failed(error);
            }
        }
    }

    /// Fills `into` as far as the client has sent something. Leaves room only when the socket is
    /// empty, as a read of the socket itself does; see also [`TlsSession::holds_more`].
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

    /// Whether there is something to be read that the socket does not have any more: the end.
    pub(crate) fn holds_more(&self) -> bool {
        self.lock().over
    }

    /// Takes what fits the buffer, as long as the socket takes what was in it before. [`TlsSession::flush`] sends it.
    pub(crate) fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.lock();
        state.flush(&self.socket)?;
        state.tls.writer().write_vectored(parts)
    }

    /// Sends what is in the buffer. `WouldBlock` when the socket does not take all of it.
    pub(crate) fn flush(&self) -> io::Result<()> {
        self.lock().flush(&self.socket)
    }

    /// Whether there is something to be sent.
    pub(crate) fn wants_to_write(&self) -> bool {
        self.lock().tls.wants_write()
    }

    /// Octets that the socket has taken so far, encrypted as they were.
    pub(crate) fn sent(&self) -> u64 {
        self.lock().sent
    }

    /// Tells the client that nothing more follows, so that it can tell the end from a cut.
    pub(crate) fn finish(&self) {
        let mut state = self.lock();
        state.tls.send_close_notify();
        // A client that takes no thirty bytes does not care.
        let _ = state.flush(&self.socket);
    }

    fn lock(&self) -> MutexGuard<'_, TlsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TlsState {
    /// What has been decrypted, or else what the next bytes of the socket bring.
    fn read_some(&mut self, socket: &Socket, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.tls.reader().read(into) {
                // The end without TLS's word for it. HTTP has words of its own for what is whole.
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
                // What was good is still to be read, and the alert that says why to be sent.
                self.over = true;
                let _ = self.flush(socket);
                continue;
            }
            // New keys are answered with new keys (RFC 8446 section 4.6.3); what the socket does not
            // take now goes before the response.
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

/// The socket as rustls wants it.
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
