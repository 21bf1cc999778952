//! What leaves for the client before the application has returned: early hints, and a response that
//! the application writes instead of returning it (`write` of PEP 3333).

use std::io;
use std::time::{Duration, Instant};

use oxicorn_common::response::{Fields, Response, ResponseBody};
use oxicorn_common::{EarlyOutput, forks};

use crate::http::date::DateCache;
use crate::http::encode::{BodyFraming, ResponseContext, encode_head, encode_hints};
use crate::in_flight::InFlight;
use crate::pace::{AckProgress, Pace};
use crate::response_writer::{Flushed, ResponseWriter};
use crate::transport::Transport;
use crate::worker_shared::WorkerShared;

/// Bytes that wait for a client until the application waits too.
const MOST_WAITING: usize = 256 * 1024;
/// Long writes are taken in parts, so that a client's slowness is felt within one.
const PART: usize = 64 * 1024;

/// Why a response that the application writes has come to an end.
const TOO_SLOW: &str = "it takes its response too slowly (write_timeout, write_min_rate)";

/// One request's way around its return value.
pub(crate) struct EarlyWriter<'a> {
    pub(crate) shared: &'a WorkerShared,
    pub(crate) in_flight: &'a InFlight,
    pub(crate) transport: &'a Transport,
    pub(crate) writer: &'a mut ResponseWriter,
    pub(crate) date: &'a mut DateCache,
    pub(crate) asked: ResponseContext,
    pub(crate) started: Instant,
    pub(crate) begun: Option<SentHead>,
    pub(crate) taking: AckProgress,
    /// Of the client's time, after a wait for it. That runs out over all of them: each may end with
    /// the little room that a slow client has made.
    pub(crate) left: Option<Duration>,
    /// The client is gone, or its request's time is over.
    pub(crate) lost: bool,
}

/// A response whose head has left.
#[derive(Debug)]
pub(crate) struct SentHead {
    pub(crate) framed: BodyFraming,
    pub(crate) keep_alive: bool,
    pub(crate) status: u16,
    pub(crate) fields: Fields,
    pub(crate) body_bytes: u64,
}

impl EarlyWriter<'_> {
    pub(crate) fn send(&mut self, early: EarlyOutput<'_>) -> io::Result<()> {
        // The client is the worker's, not that of a process which the application has forked.
        if self.lost || forks::is_child() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let outcome = match early {
            EarlyOutput::Hints(fields) => self.hint(fields),
            EarlyOutput::Head(response) => self.begin(response),
            EarlyOutput::Piece(data) => self.push(data),
        };
        if let Err(error) = &outcome {
            self.lost = error.kind() != io::ErrorKind::InvalidInput;
        }
        outcome
    }

    fn hint(&mut self, fields: &Fields) -> io::Result<()> {
        if self.begun.is_some() || self.asked.version == oxicorn_common::Version::Http10 {
            return Ok(());
        }
        encode_hints(&mut self.writer.bytes, fields).map_err(refused)?;
        self.flush(0)
    }

    fn begin(&mut self, response: &Response) -> io::Result<()> {
        if self.begun.is_some() {
            return Err(refused("the response has begun already"));
        }
        let date = self.date.at(self.started);
        let out = &mut self.writer.bytes;
        let (framed, keep_alive) = encode_head(out, response, self.asked, date).map_err(refused)?;
        let length = match &response.body {
            ResponseBody::Stream(stream) => stream.length,
            _ => None,
        };
        self.writer.begin_stream(framed, length);
        self.begun = Some(SentHead {
            framed,
            keep_alive,
            status: response.status.as_u16(),
            fields: response.fields.clone(),
            body_bytes: 0,
        });
        match self.in_flight.begin_response() {
            true => Ok(()),
            false => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    fn push(&mut self, data: &[u8]) -> io::Result<()> {
        self.in_flight.note_piece();
        let Some(begun) = &mut self.begun else {
            return Err(refused("the response has no head yet"));
        };
        if begun.framed == BodyFraming::Bodiless {
            return self.flush(MOST_WAITING);
        }
        for part in data.chunks(PART) {
            let octets = self.writer.push(part);
            if let Some(begun) = &mut self.begun {
                begun.body_bytes += octets;
            }
            self.flush(MOST_WAITING)?;
        }
        Ok(())
    }

    /// Sends until no more than `most` bytes wait.
    fn flush(&mut self, most: usize) -> io::Result<()> {
        if self.flush_once(most)? {
            return Ok(());
        }
        let in_flight = self.in_flight;
        in_flight.while_waiting(|| self.wait_for_client(most))
    }

    /// Sends what the socket takes; whether no more than `most` bytes wait then.
    fn flush_once(&mut self, most: usize) -> io::Result<bool> {
        let flushed = self.writer.flush(self.transport)?;
        Ok(flushed == Flushed::Done || self.writer.waiting() <= most)
    }

    /// As [`EarlyWriter::flush`], for a client that has to take something first.
    fn wait_for_client(&mut self, most: usize) -> io::Result<()> {
        let pace = Pace::of_response(&self.shared.settings);
        let now = Instant::now();
        let begun = match self.left {
            Some(left) => Some(now + left),
            None => pace.begin(now),
        };
        let mut deadline = self.look_at_taken(begun, now, pace);
        loop {
            self.transport.wait_for_room(deadline)?;
            let is_done = self.flush_once(most)?;
            let now = Instant::now();
            if !is_done && deadline.is_none_or(|at| now < at) {
                continue;
            }
            deadline = self.look_at_taken(deadline, now, pace);
            self.left = deadline.map(|at| at.saturating_duration_since(now));
            if self.left.is_some_and(|left| left.is_zero()) {
                self.transport.reset();
                return Err(io::Error::new(io::ErrorKind::TimedOut, TOO_SLOW));
            }
            if is_done {
                return Ok(());
            }
        }
    }

    /// Gives the client more time for what it has taken since the last look.
    fn look_at_taken(
        &mut self,
        deadline: Option<Instant>,
        now: Instant,
        pace: Pace,
    ) -> Option<Instant> {
        let more = self.taking.look(self.transport, self.writer.total());
        match self.transport.unacknowledged() {
            // It has all that it could have.
            0 => pace.begin(now),
            _ => pace.extend(deadline, more, now),
        }
    }
}

/// The application's mistake, not the client's absence.
fn refused<E>(reason: E) -> io::Error
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}
