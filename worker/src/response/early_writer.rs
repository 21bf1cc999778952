//! Sends output before the application has returned: early hints, and a response that it writes instead of returning
//! it (`write` of PEP 3333).

use std::io;
use std::time::{Duration, Instant};

use log::error;
use oxicorn_common::request::Request;
use oxicorn_common::response::{Fields, Response};
use oxicorn_common::{EarlyOutput, forks};

use super::sent_head::SentHead;
use super::writer::{Flushed, ResponseWriter};
use crate::http::date::DateCache;
use crate::http::encode::{BodyFraming, ResponseContext, ResponseError, encode_hints};
use crate::in_flight::InFlight;
use crate::pace::{AckProgress, Pace};
use crate::transport::Transport;
use crate::worker_shared::WorkerShared;

/// The most bytes that wait for a client before the application has to wait too.
const MOST_WAITING: usize = 256 * 1024;
/// Long writes are sent in parts of this size, so that a slow client is noticed within one.
const PART: usize = 64 * 1024;

/// Logged when a client takes a written response too slowly.
const TOO_SLOW: &str = "it takes its response too slowly (write_timeout, write_min_rate)";

/// The output of one request before and after its return value.
pub(crate) struct EarlyWriter<'a> {
    shared: &'a WorkerShared,
    in_flight: &'a InFlight,
    transport: &'a Transport,
    writer: &'a mut ResponseWriter,
    date: &'a mut DateCache,
    asked: ResponseContext<'a>,
    started: Instant,
    sent_head: Option<SentHead>,
    acknowledged: AckProgress,
    /// The client's remaining time after a wait for it. All waits share it: otherwise a slow client could make a
    /// little room within each of them, and go on for ever.
    left: Option<Duration>,
    /// The client is gone, or the time of its request is over.
    lost: bool,
}

impl<'a> EarlyWriter<'a> {
    /// For a request that has `started`; `asked` holds its properties that decide the framing of the response.
    pub(crate) fn new(
        shared: &'a WorkerShared,
        in_flight: &'a InFlight,
        (transport, writer): (&'a Transport, &'a mut ResponseWriter),
        date: &'a mut DateCache,
        asked: ResponseContext<'a>,
        started: Instant,
    ) -> Self {
        Self {
            shared,
            in_flight,
            transport,
            writer,
            date,
            asked,
            started,
            sent_head: None,
            acknowledged: AckProgress::default(),
            left: None,
            lost: false,
        }
    }

    /// Whether no more output can reach the client.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.sent_head.is_some()
    }

    /// Begins the response that the application has returned, unless one has begun. A response that must not be
    /// sent becomes a 500.
    pub(crate) fn finish(mut self, response: &mut Response, request: &Request) -> SentHead {
        if let Some(sent) = self.sent_head.take() {
            return sent;
        }
        let begun = self.begin(response).unwrap_or_else(|reason| {
            let (method, path) = (request.method(), request.path());
            error!("Error handling request {method} {path}: {reason}");
            *response = Response::failure();
            self.begin(response)
                .unwrap_or_else(|_| SentHead::empty(response.status))
        });
        begun.with_fields(std::mem::take(&mut response.fields))
    }

    fn begin(&mut self, response: &Response) -> Result<SentHead, ResponseError> {
        // Checked only now: the server may have begun to stop while the application ran.
        let keep_alive = self.asked.keep_alive && self.shared.keeps_alive(self.transport.is_tls());
        let context = ResponseContext {
            keep_alive,
            ..self.asked
        };
        self.writer
            .begin(response, context, self.date.at(self.started))
    }

    pub(crate) fn send(&mut self, early: EarlyOutput<'_>) -> io::Result<()> {
        // The client belongs to the worker, not to a process that the application has forked.
        if self.lost || forks::is_child() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let outcome = match early {
            EarlyOutput::Hints(fields) => self.hint(fields),
            EarlyOutput::Head(response) => self.begin_early(response),
            EarlyOutput::Piece(data) => self.push(data),
        };
        if let Err(error) = &outcome {
            self.lost = error.kind() != io::ErrorKind::InvalidInput;
        }
        outcome
    }

    fn hint(&mut self, fields: &Fields) -> io::Result<()> {
        if self.has_begun() || self.asked.version == oxicorn_common::Version::Http10 {
            return Ok(());
        }
        encode_hints(self.writer.buffer(), fields).map_err(refused)?;
        self.flush(0)
    }

    fn begin_early(&mut self, response: &Response) -> io::Result<()> {
        if self.has_begun() {
            return Err(refused("the response has begun already"));
        }
        let sent = self.begin(response).map_err(refused)?;
        self.sent_head = Some(sent.with_fields(response.fields.clone()));
        match self.in_flight.begin_response() {
            true => Ok(()),
            false => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    fn push(&mut self, data: &[u8]) -> io::Result<()> {
        self.in_flight.note_piece();
        let Some(sent) = &self.sent_head else {
            return Err(refused("the response has no head yet"));
        };
        if sent.framing == BodyFraming::Bodiless {
            return self.flush(MOST_WAITING);
        }
        for part in data.chunks(PART) {
            let octets = self.writer.push(part);
            if let Some(sent) = &mut self.sent_head {
                sent.count_body(octets);
            }
            self.flush(MOST_WAITING)?;
        }
        Ok(())
    }

    /// Sends until at most `most` bytes wait.
    fn flush(&mut self, most: usize) -> io::Result<()> {
        if self.flush_once(most)? {
            return Ok(());
        }
        let in_flight = self.in_flight;
        in_flight.while_waiting(|| self.wait_for_client(most))
    }

    /// Sends as much as the socket takes; true if at most `most` bytes wait then.
    fn flush_once(&mut self, most: usize) -> io::Result<bool> {
        let flushed = self.writer.flush(self.transport)?;
        Ok(flushed == Flushed::Done || self.writer.waiting() <= most)
    }

    /// As [`EarlyWriter::flush`], but first the client has to take something.
    fn wait_for_client(&mut self, most: usize) -> io::Result<()> {
        let pace = Pace::of_response(&self.shared.settings);
        let now = Instant::now();
        let mut since = now;
        let begun = match self.left {
            Some(left) => Some(now + left),
            None => pace.begin(now),
        };
        let mut deadline = self.look_at_acknowledged(begun, now, pace);
        loop {
            self.transport.socket().wait_for_room(deadline)?;
            let is_done = self.flush_once(most)?;
            let now = Instant::now();
            if !is_done && deadline.is_none_or(|at| now < at) {
                continue;
            }
            deadline = self.look_at_acknowledged(deadline, now, pace);
            self.left = deadline.map(|at| at.saturating_duration_since(now));
            if let Some(sent) = &mut self.sent_head {
                sent.waited += now.saturating_duration_since(since);
            }
            since = now;
            if self.left.is_some_and(|left| left.is_zero()) {
                self.transport.socket().reset();
                return Err(io::Error::new(io::ErrorKind::TimedOut, TOO_SLOW));
            }
            if is_done {
                return Ok(());
            }
        }
    }

    /// Gives the client more time for the octets that it has acknowledged since the last look.
    fn look_at_acknowledged(
        &mut self,
        deadline: Option<Instant>,
        now: Instant,
        pace: Pace,
    ) -> Option<Instant> {
        let more = self.acknowledged.look(self.transport, self.writer.total());
        match self.transport.socket().unacknowledged() {
            // The client has acknowledged all that was sent.
            0 => pace.begin(now),
            _ => pace.extend(deadline, more, now),
        }
    }
}

/// An error of the application, as opposed to a lost client.
fn refused<E>(reason: E) -> io::Error
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}
