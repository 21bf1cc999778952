//! Where one request thread works: takes a connection that is ready, runs the application for it,
//! and sends what the client takes at once.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::Instant;

use log::{debug, error, warn};
use oxicorn_common::logging::EXCEPTION;
use oxicorn_common::request::{Body, Request, RequestHead};
use oxicorn_common::response::{Response, ResponseBody};
use oxicorn_common::{EarlyOutput, ResponseSink, forks};

use crate::access_record::AccessRecord;
use crate::connection::{Connection, Phase, Then};
use crate::early_writer::{EarlyWriter, SentHead};
use crate::http::date::DateCache;
use crate::http::encode::{BodyFraming, ResponseContext, encode_head};
use crate::pace::AckProgress;
use crate::response_writer::{Flushed, LengthError, PieceMade};
use crate::transport::Transport;
use crate::worker_shared::WorkerShared;

pub(crate) struct RequestHandler<'a> {
    shared: &'a WorkerShared,
    index: usize,
    date: DateCache,
    /// A buffer that goes from response to response, warm in the cache.
    spare: Vec<u8>,
}

impl<'a> RequestHandler<'a> {
    pub(crate) fn new(shared: &'a WorkerShared, index: usize) -> Self {
        shared.in_flight[index].claim();
        Self {
            shared,
            index,
            date: DateCache::new(),
            spare: Vec::new(),
        }
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Answers the request that is whole, or goes on with the response that wants its next piece.
    /// It is `started` now, as the caller knows from the clock; returns when it ended.
    pub(crate) fn serve(&mut self, connection: &mut Connection, started: Instant) -> Instant {
        let slot = self.shared.slot();
        let stats = slot.thread(self.index);
        // The time of the last beat is near enough, and saves reading another clock.
        stats.begin(slot.heartbeat());
        if connection.phase == Phase::Dead {
            abandon(connection);
        } else if connection.writer.has_pieces() {
            self.resume(connection, started);
        } else {
            self.answer(connection, started);
        }
        stats.end();
        let ended = Instant::now();
        if let Some(record) = connection.record.as_ref()
            && !connection.writer.has_pieces()
        {
            let latency = ended.saturating_duration_since(record.started);
            stats.record(record.status, record.body_bytes, latency);
            if connection.phase != Phase::Sending {
                connection.conclude(self.shared, ended);
            }
        }
        ended
    }

    fn answer(&mut self, connection: &mut Connection, started: Instant) {
        let Some(buffers) = connection.buffers.as_mut() else {
            connection.phase = Phase::Dead;
            return;
        };
        let in_flight = &self.shared.in_flight[self.index];
        let decoder = &mut buffers.decoder;
        let stream = &connection.transport;
        let mut request = Request {
            head: std::mem::take(&mut decoder.head),
            body: std::mem::take(&mut decoder.body),
            peer: connection.peer,
            local: connection.local,
            scheme: decoder.scheme,
            proxied: connection.proxied,
            trusted: connection.trust.trusted,
            logged: Vec::new(),
        };
        request.body.begin();
        in_flight.begin(stream, started, &request.head, request.peer, request.scheme);
        let keeps_alive = decoder.framing.keep_alive;
        let writer = &mut connection.writer;
        std::mem::swap(&mut writer.bytes, &mut self.spare);
        writer.reset();
        let mut early_writer = EarlyWriter {
            shared: self.shared,
            in_flight,
            transport: stream,
            writer,
            date: &mut self.date,
            asked: asked(self.shared, stream, &request.head, keeps_alive),
            started,
            begun: None,
            taking: AckProgress::default(),
            left: None,
            lost: false,
        };
        let called = call(self.shared, &mut request, &mut early_writer);
        let (begun, mut lost) = (early_writer.begun.take(), early_writer.lost);
        let early = begun.is_some();
        // A panic in the middle of a response.
        lost |= early && called.is_none();
        let mut response = called.unwrap_or_else(Response::failure);
        let begun = match begun {
            Some(begun) => begun,
            None => {
                // Not before: the server may have begun to stop while the application ran.
                let asked = asked(self.shared, stream, &request.head, keeps_alive);
                let date = self.date.at(started);
                encode(
                    &mut connection.writer.bytes,
                    &mut response,
                    asked,
                    date,
                    &request,
                )
            }
        };
        let streams = early || matches!(response.body, ResponseBody::Stream(_));
        let mut in_time = match streams {
            true => in_flight.begin_response(),
            false => in_flight.end(),
        };
        if lost || !in_time {
            drop(response);
            if connection.writer.ends_with_connection() {
                stream.reset();
            }
            decoder.head = request.head;
            if streams {
                in_time &= in_flight.end();
            }
            return match in_time {
                true => connection.phase = Phase::Dead,
                false => connection.give_up(),
            };
        }
        if !begun.keep_alive {
            self.shared.place_wanted.store(false, Ordering::Relaxed);
        }
        connection.then = match (begun.keep_alive, buffers.input.is_empty()) {
            (true, _) => Then::KeepAlive,
            // Over TLS a client may say goodbye too, which closing would answer with a reset.
            (false, true) if !keeps_alive && !stream.is_tls() => Then::Close,
            (false, _) => Then::Linger,
        };
        let writer = &mut connection.writer;
        let octets = match early {
            true => writer.go_on_with(response.body, begun.framed),
            false => writer.attach(response.body, begun.framed),
        };
        decoder.head = request.head;
        decoder.body = Body::default();
        connection.record = Some(AccessRecord {
            started,
            scheme: request.scheme,
            variables: request.logged,
            status: begun.status,
            fields: begun.fields,
            body_bytes: begun.body_bytes + octets,
        });
        self.shared.count_request();
        self.send(connection);
        if streams && !in_flight.end() {
            connection.writer.abandon();
            connection.give_up();
        }
        if connection.writer.bytes.is_empty() {
            std::mem::swap(&mut connection.writer.bytes, &mut self.spare);
        }
    }

    /// Goes on with a streamed response whose last piece the client has taken.
    fn resume(&mut self, connection: &mut Connection, started: Instant) {
        let in_flight = &self.shared.in_flight[self.index];
        if let Some(buffers) = &connection.buffers {
            let (head, scheme) = (&buffers.decoder.head, buffers.decoder.scheme);
            in_flight.begin(
                &connection.transport,
                started,
                head,
                connection.peer,
                scheme,
            );
            in_flight.begin_response();
        }
        self.send(connection);
        if !in_flight.end() {
            connection.writer.abandon();
            connection.give_up();
        }
    }

    /// Sends until the client takes no more, running the application for each piece.
    fn send(&mut self, connection: &mut Connection) {
        let in_flight = &self.shared.in_flight[self.index];
        connection.phase = loop {
            match connection.writer.flush(&connection.transport) {
                Ok(Flushed::Done) => break Phase::after(connection.then),
                Ok(Flushed::Blocked) => break Phase::Sending,
                Ok(Flushed::Yielded) => {
                    connection.eager = true;
                    break Phase::Sending;
                }
                Ok(Flushed::NeedsPiece) => {}
                Err(reason) => {
                    debug!("the client is gone: {reason}");
                    break abandon(connection);
                }
            }
            let made = catch_unwind(AssertUnwindSafe(|| connection.writer.make_piece()));
            forks::end_child(i32::from(!matches!(made, Ok(Ok(_)))));
            let reason = match made {
                Ok(Ok(PieceMade::Piece(octets))) => {
                    in_flight.note_piece();
                    if let Some(record) = &mut connection.record {
                        record.body_bytes += octets;
                    }
                    continue;
                }
                Ok(Ok(PieceMade::End)) => continue,
                Ok(Ok(PieceMade::TooMuch)) => {
                    warn!("Response to {}: {}", line_of(connection), LengthError::Long);
                    continue;
                }
                Ok(Err(reason)) => reason.to_string(),
                Err(panic) => format!("panic: {}", panic_text(&*panic)),
            };
            error!(
                "Error making the response body for {}: {reason}",
                line_of(connection)
            );
            if connection.writer.ends_with_connection() {
                // Nothing but a reset tells this client that there should be more.
                connection.transport.reset();
            }
            break abandon(connection);
        };
    }
}

/// What the head of a response depends on.
fn asked(
    shared: &WorkerShared,
    stream: &Transport,
    head: &RequestHead,
    keeps_alive: bool,
) -> ResponseContext {
    // A sibling can go on with a connection, unless its keys are here.
    let is_leaving =
        shared.closing.load(Ordering::Relaxed) || (stream.is_tls() && shared.is_draining());
    // The house is full, and somebody waits at the door.
    let is_wanted = shared.place_wanted.load(Ordering::Relaxed);
    ResponseContext {
        version: head.version,
        head_only: head.method() == "HEAD",
        keep_alive: keeps_alive
            && !shared.settings.keepalive.is_zero()
            && !is_leaving
            && !is_wanted,
    }
}

/// Runs the application; `None` is a panic.
fn call(
    shared: &WorkerShared,
    request: &mut Request,
    early_writer: &mut EarlyWriter<'_>,
) -> Option<Response> {
    let app = &shared.app;
    let mut send = |early: EarlyOutput<'_>| early_writer.send(early);
    let mut sink = ResponseSink::new(&mut send);
    let called = catch_unwind(AssertUnwindSafe(|| app.call(request, &mut sink)));
    forks::end_child(i32::from(called.is_err()));
    called
        .inspect_err(|panic| {
            let (method, path) = (request.head.method(), request.head.path());
            let text = panic_text(&**panic);
            error!(target: EXCEPTION, "Error handling request {method} {path}: panic: {text}");
        })
        .ok()
}

/// Puts the head of `response` into `out`. One that must not be sent becomes a 500.
fn encode(
    out: &mut Vec<u8>,
    response: &mut Response,
    asked: ResponseContext,
    date: &str,
    request: &Request,
) -> SentHead {
    let before = out.len();
    let encoded = encode_head(out, response, asked, date);
    let (framed, keep_alive) = encoded.unwrap_or_else(|reason| {
        let (method, path) = (request.method(), request.path());
        error!("Error handling request {method} {path}: {reason}");
        out.truncate(before);
        *response = Response::failure();
        encode_head(out, response, asked, date).unwrap_or((BodyFraming::Bodiless, false))
    });
    SentHead {
        framed,
        keep_alive,
        status: response.status.as_u16(),
        fields: std::mem::take(&mut response.fields),
        body_bytes: 0,
    }
}

/// Nobody wants the rest of this response.
fn abandon(connection: &mut Connection) -> Phase {
    let outcome = catch_unwind(AssertUnwindSafe(|| connection.writer.abandon()));
    forks::end_child(i32::from(outcome.is_err()));
    if let Err(panic) = outcome {
        error!("Error ending a response: panic: {}", panic_text(&*panic));
    }
    Phase::Dead
}

fn line_of(connection: &Connection) -> String {
    let Some(buffers) = &connection.buffers else {
        return String::new();
    };
    let head = &buffers.decoder.head;
    format!("{} {}", head.method(), head.path())
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("of an unknown type")
}

#[cfg(test)]
mod tests;
