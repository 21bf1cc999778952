//! The bytes of a response that the client has yet to take.

use std::io::{self, IoSlice};

use oxicorn_common::response::{Pieces, ResponseBody};

use crate::http::encode::{Framed, LAST_CHUNK, put_chunk};
use crate::stream::Stream;

/// Bodies up to this size are copied behind their head, to leave in one piece.
const COPIED: usize = 8 * 1024;
/// Buffers larger than this are not kept for the next response.
const KEPT: usize = 64 * 1024;
/// Bytes that one client may take before others have their turn.
const BUDGET: usize = 1024 * 1024;

/// How far a flush has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Everything is sent.
    Done,
    /// The socket takes no more now.
    Blocked,
    /// The socket takes more, but others shall have their turn.
    Yielded,
    /// All that was made is sent; a request thread is to make the next piece.
    NeedsPiece,
}

/// A head with its body, or the latest piece of a stream.
#[derive(Default)]
pub(crate) struct Outgoing {
    pub(crate) bytes: Vec<u8>,
    /// A body too long to copy; follows `bytes`.
    body: ResponseBody,
    sent: usize,
    pieces: Option<Pieces>,
    chunked: bool,
}

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Outgoing({} of {} bytes sent)", self.sent, self.length())
    }
}

impl Outgoing {
    /// Adds the body to the head that is in `bytes`; returns the octets of a sized body.
    pub(crate) fn attach(&mut self, body: ResponseBody, framed: Framed) -> u64 {
        match (framed, body) {
            (Framed::Bodiless, _) => 0,
            (_, ResponseBody::Stream(pieces)) => {
                self.pieces = Some(pieces);
                self.chunked = framed == Framed::Chunked;
                0
            }
            (_, body) => {
                let sized = crate::http::encode::sized(&body);
                let length = sized.len();
                if length <= COPIED {
                    self.bytes.extend_from_slice(sized);
                } else {
                    self.body = body;
                }
                length as u64
            }
        }
    }

    pub(crate) fn has_pieces(&self) -> bool {
        self.pieces.is_some()
    }

    /// Runs the application for one more piece; its octets, or `None` at the end of the body.
    pub(crate) fn make_piece(&mut self) -> Option<io::Result<u64>> {
        self.reset();
        match self.pieces.as_mut()?.next() {
            Some(Ok(data)) if self.chunked => {
                put_chunk(&mut self.bytes, &data);
                Some(Ok(data.len() as u64))
            }
            Some(Ok(data)) => {
                let length = data.len() as u64;
                self.body = ResponseBody::Bytes(data);
                Some(Ok(length))
            }
            Some(Err(error)) => {
                self.pieces = None;
                Some(Err(error))
            }
            None => {
                self.pieces = None;
                if self.chunked {
                    self.bytes.extend_from_slice(LAST_CHUNK);
                }
                None
            }
        }
    }

    /// Sends what the socket takes.
    pub(crate) fn flush(&mut self, stream: &Stream) -> io::Result<Flushed> {
        let pause_at = self.sent.saturating_add(BUDGET);
        while self.sent < self.length() {
            if self.sent >= pause_at {
                return Ok(Flushed::Yielded);
            }
            let body = crate::http::encode::sized(&self.body);
            let outcome = match self.sent.checked_sub(self.bytes.len()) {
                Some(into_body) => stream.write(&body[into_body..]),
                None if body.is_empty() => stream.write(&self.bytes[self.sent..]),
                None => stream
                    .write_vectored(&[IoSlice::new(&self.bytes[self.sent..]), IoSlice::new(body)]),
            };
            match outcome {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Flushed::Blocked);
                }
                Err(error) => return Err(error),
            }
        }
        match stream.flush() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Flushed::Blocked),
            outcome => outcome?,
        }
        if self.pieces.is_some() {
            return Ok(Flushed::NeedsPiece);
        }
        self.reset();
        Ok(Flushed::Done)
    }

    /// Forgets what was sent, and keeps the buffer.
    pub(crate) fn reset(&mut self) {
        self.bytes.clear();
        if self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
        self.body = ResponseBody::Empty;
        self.sent = 0;
    }

    fn length(&self) -> usize {
        self.bytes.len() + crate::http::encode::sized(&self.body).len()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_client_that_takes_a_lot_stops_for_the_others() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let mut client =
            TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        let stream = listener.accept().expect("a connection").0;
        stream.set_nonblocking(true).expect("a socket");
        let stream = Stream::Tcp(mio::net::TcpStream::from_std(stream));
        // Nobody reads yet, and the kernel keeps more than one turn's worth, but not all of it.
        let length = 64 * BUDGET;
        let mut outgoing = Outgoing::default();
        outgoing.attach(ResponseBody::Bytes(vec![b'x'; length]), Framed::Sized);
        assert_eq!(outgoing.flush(&stream).expect("sent"), Flushed::Yielded);
        let taker = std::thread::spawn(move || {
            let mut taken = 0;
            let mut piece = vec![0; BUDGET];
            while taken < length {
                taken += client.read(&mut piece).expect("more");
            }
        });
        while outgoing.flush(&stream).expect("sent") != Flushed::Done {
            std::thread::yield_now();
        }
        taker.join().expect("all is taken");
    }
}
