//! The bytes of a response that the client has yet to take, and the pieces of a stream that are made as it takes
//! them.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use oxicorn_common::response::{FileRange, Piece, Pieces, ResponseBody};

use super::file_parts::{FilePart, FileParts};
use crate::http::encode::{BodyFraming, LAST_CHUNK, put_chunk, sized};
use crate::transport::Transport;

/// Bodies up to this size are copied behind their head, so that both leave in one packet.
const COPIED: usize = 8 * 1024;
/// Buffers larger than this are not kept for the next response.
const KEPT: usize = 64 * 1024;
/// Bytes that one client may take before others have their turn.
const BUDGET: usize = 1024 * 1024;

/// The result of a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Everything is sent.
    Done,
    /// The socket takes no more now.
    Blocked,
    /// The socket takes more, but it is the turn of others.
    Yielded,
    /// All pieces so far are sent; a request thread must make the next one.
    NeedsPiece,
}

/// How a body differs from its declared length.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum LengthError {
    #[error("the body is {0} octets shorter than its Content-Length")]
    Short(u64),
    #[error("the body is longer than its Content-Length; the rest of it is dropped")]
    Long,
}

/// The result of asking for a piece.
#[derive(Debug)]
pub(crate) enum PieceMade {
    /// This many octets of the body.
    Piece(u64),
    /// The body is complete.
    End,
    /// The body is complete, and the application had more.
    TooMuch,
}

/// A head with its body, or the latest piece of a stream.
#[derive(Default)]
pub(crate) struct ResponseWriter {
    bytes: Vec<u8>,
    /// A body too long to copy; follows `bytes`.
    body: ResponseBody,
    /// A part of a file; follows `bytes`.
    file: Option<FileRange>,
    /// Further parts of the same file, which follow when all of this is sent.
    parts: VecDeque<FilePart>,
    /// Octets of `bytes` and the parts that follow.
    sent: usize,
    /// Octets sent of all responses so far.
    total: u64,
    pieces: Option<Pieces>,
    chunked: bool,
    until_close: bool,
    /// The pieces are not sent: the response has no body.
    discards: bool,
    /// A piece was longer than the declared length allowed.
    cut: bool,
    /// Missing octets of a stream whose length is known.
    left: Option<u64>,
}

impl std::fmt::Debug for ResponseWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "ResponseWriter({} of {} bytes sent)",
            self.sent,
            self.length()
        )
    }
}

impl ResponseWriter {
    /// The buffer that a head is written to.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Adds a short interim response as it is.
    pub(crate) fn add_bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Swaps an empty buffer for one that is still in the processor's cache.
    pub(crate) fn swap_buffer(&mut self, spare: &mut Vec<u8>) {
        if self.bytes.is_empty() {
            std::mem::swap(&mut self.bytes, spare);
        }
    }

    /// The head is written: the body has this framing, and this `length` if it is known.
    pub(super) fn begin_body(&mut self, framing: BodyFraming, length: Option<u64>) {
        self.chunked = framing == BodyFraming::Chunked;
        self.until_close = framing == BodyFraming::UntilClose;
        self.left = length.filter(|_| framing == BodyFraming::Sized);
    }

    /// Adds the body after its head; returns the octets that are already known.
    pub(crate) fn add_body(&mut self, body: ResponseBody, framing: BodyFraming) -> u64 {
        match (framing, body) {
            (BodyFraming::Bodiless, ResponseBody::Stream(stream)) => {
                self.discard(stream.rest);
                0
            }
            (BodyFraming::Bodiless, _) => 0,
            (_, ResponseBody::Stream(stream)) => self.add_pieces(stream.first, stream.rest),
            (_, body) => {
                let length = sized(&body).len();
                self.put(body);
                length as u64
            }
        }
    }

    /// Adds content from a file after its head; returns its octets.
    pub(crate) fn add_file(&mut self, content: FileParts, framing: BodyFraming) -> u64 {
        if framing == BodyFraming::Bodiless {
            return 0;
        }
        let octets = content.octets();
        let (first, rest) = content.begin();
        if let Some((before, range)) = first {
            self.bytes.extend_from_slice(&before);
            self.file = Some(range);
        }
        self.parts = rest;
        octets
    }

    /// All is sent: goes on with the next part of the file; false if there is none.
    fn begin_part(&mut self) -> bool {
        let Some(part) = self.parts.pop_front() else {
            return false;
        };
        self.bytes.clear();
        self.bytes.extend_from_slice(&part.before);
        self.sent = 0;
        if let Some(range) = &mut self.file {
            (range.offset, range.length) = (part.offset, part.length);
        }
        true
    }

    /// As [`ResponseWriter::add_body`], for a response of which the head and more has been sent already.
    pub(crate) fn add_rest(&mut self, body: ResponseBody, framing: BodyFraming) -> u64 {
        match body {
            ResponseBody::Stream(_) => self.add_body(body, framing),
            _ if framing == BodyFraming::Bodiless => 0,
            body => {
                let whole = Piece::Bytes(sized(&body).to_vec());
                self.add_pieces(Some(whole), Box::new(std::iter::empty()))
            }
        }
    }

    /// The body continues with `first`, and then with the pieces of `rest`.
    fn add_pieces(&mut self, first: Option<Piece>, rest: Pieces) -> u64 {
        self.pieces = Some(rest);
        first.map_or(0, |piece| self.add(piece))
    }

    /// A body that is not sent is closed after the head, as others are.
    fn discard(&mut self, pieces: Pieces) {
        self.pieces = Some(pieces);
        self.discards = true;
        (self.chunked, self.until_close, self.left) = (false, false, None);
    }

    /// Whether the body ends with the connection.
    pub(crate) fn ends_with_connection(&self) -> bool {
        self.until_close
    }

    pub(crate) fn has_pieces(&self) -> bool {
        self.pieces.is_some()
    }

    /// Closes the application's stream, wherever it is.
    pub(crate) fn abandon(&mut self) {
        (self.discards, self.cut) = (false, false);
        self.pieces = None;
    }

    /// Asks the application for one more piece. An error ends the connection.
    pub(crate) fn make_piece(&mut self) -> io::Result<PieceMade> {
        self.reset();
        if std::mem::take(&mut self.discards) {
            self.pieces = None;
        }
        if std::mem::take(&mut self.cut) {
            self.pieces = None;
            return Ok(PieceMade::TooMuch);
        }
        let Some(pieces) = self.pieces.as_mut() else {
            return Ok(PieceMade::End);
        };
        match pieces.next() {
            Some(Ok(piece)) => {
                if self.left == Some(0) && piece.length() > 0 {
                    self.pieces = None;
                    return Ok(PieceMade::TooMuch);
                }
                Ok(PieceMade::Piece(self.add(piece)))
            }
            Some(Err(error)) => {
                self.pieces = None;
                Err(error)
            }
            None => {
                self.pieces = None;
                self.finish()
            }
        }
    }

    /// The body is over: writes the end of its framing.
    fn finish(&mut self) -> io::Result<PieceMade> {
        if let Some(short) = self.left.take().filter(|&left| left > 0) {
            return Err(io::Error::other(LengthError::Short(short)));
        }
        if std::mem::take(&mut self.chunked) {
            self.bytes.extend_from_slice(LAST_CHUNK);
        }
        Ok(PieceMade::End)
    }

    /// Adds a piece, cut to the declared length; returns its octets.
    fn add(&mut self, piece: Piece) -> u64 {
        let octets = piece.length().min(self.left.unwrap_or(u64::MAX));
        self.cut = octets < piece.length();
        self.left = self.left.map(|left| left - octets);
        let most = usize::try_from(octets).unwrap_or(usize::MAX);
        match piece {
            Piece::File(range) => {
                debug_assert!(!self.chunked, "files are for streams of known length");
                self.file = Some(FileRange {
                    length: octets,
                    ..range
                });
            }
            Piece::Bytes(bytes) if self.chunked => put_chunk(&mut self.bytes, &bytes),
            Piece::Foreign(bytes) if self.chunked => put_chunk(&mut self.bytes, (*bytes).as_ref()),
            Piece::Bytes(mut bytes) => {
                bytes.truncate(most);
                self.put(ResponseBody::Bytes(bytes));
            }
            Piece::Foreign(bytes) if (*bytes).as_ref().len() > most => {
                self.bytes.extend_from_slice(&(*bytes).as_ref()[..most]);
            }
            Piece::Foreign(bytes) => self.put(ResponseBody::Foreign(bytes)),
        }
        octets
    }

    fn put(&mut self, body: ResponseBody) {
        match sized(&body) {
            short if short.len() <= COPIED => self.bytes.extend_from_slice(short),
            _ => self.body = body,
        }
    }

    /// Adds output to a stream that the application writes itself; returns its octets.
    pub(crate) fn push(&mut self, data: &[u8]) -> u64 {
        // Bytes that were sent need not be kept until all are.
        if self.sent > COPIED {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        let room = usize::try_from(self.left.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
        let data = &data[..data.len().min(room)];
        self.left = self.left.map(|left| left - data.len() as u64);
        match self.chunked {
            true => put_chunk(&mut self.bytes, data),
            false => self.bytes.extend_from_slice(data),
        }
        data.len() as u64
    }

    /// The number of bytes that wait to be sent.
    pub(crate) fn waiting(&self) -> usize {
        self.length() - self.sent
    }

    /// Octets sent so far, of this response and those before it.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Sends as much as the socket takes.
    pub(crate) fn flush(&mut self, transport: &Transport) -> io::Result<Flushed> {
        let pause_at = self.total.saturating_add(BUDGET as u64);
        while self.sent < self.length() || self.begin_part() {
            if self.total >= pause_at {
                return Ok(Flushed::Yielded);
            }
            match self.send(transport) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.sent += count;
                    self.total += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Flushed::Blocked);
                }
                Err(error) => return Err(error),
            }
        }
        match transport.flush() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Flushed::Blocked),
            outcome => outcome?,
        }
        if self.pieces.is_some() {
            return Ok(Flushed::NeedsPiece);
        }
        self.reset();
        Ok(Flushed::Done)
    }

    /// Makes one system call.
    fn send(&self, transport: &Transport) -> io::Result<usize> {
        let body = sized(&self.body);
        match (self.sent.checked_sub(self.bytes.len()), &self.file) {
            (Some(into), Some(range)) => {
                let left = self.length() - self.sent;
                let offset = range.offset + into as u64;
                transport.send_file(&range.file, offset, left.min(BUDGET))
            }
            (Some(into), None) => transport.write(&body[into..]),
            (None, Some(_)) => transport.write_more(&self.bytes[self.sent..]),
            (None, None) if body.is_empty() => transport.write(&self.bytes[self.sent..]),
            (None, None) => transport
                .write_vectored(&[IoSlice::new(&self.bytes[self.sent..]), IoSlice::new(body)]),
        }
    }

    /// Drops the bytes, and keeps the buffer.
    pub(crate) fn reset(&mut self) {
        self.bytes.clear();
        if self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
        self.body = ResponseBody::Empty;
        self.file = None;
        self.parts.clear();
        self.sent = 0;
    }

    /// Octets that are ready and not sent.
    pub(crate) fn unsent(&self) -> u64 {
        let parts: u64 = self.parts.iter().map(FilePart::octets).sum();
        self.length().saturating_sub(self.sent) as u64 + parts
    }

    fn length(&self) -> usize {
        let file = self.file.as_ref().map_or(0, |range| range.length);
        self.bytes.len() + sized(&self.body).len() + usize::try_from(file).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests;
