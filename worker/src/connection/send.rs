//! Sends to the client: its response, or an error in its place. Also finds out how much of it the client has
//! acknowledged.

use std::io;
use std::time::{Duration, Instant};

use http::StatusCode;
use oxicorn_common::Response;
use oxicorn_common::logging::RequestTag;
use oxicorn_common::request::{RequestHead, Scheme};
use oxicorn_common::scoreboard::ThreadStats;

use super::{AfterResponse, ClientIdentity, Connection, RequestBuffers};
use crate::http::encode::{CONTINUE, ResponseContext};
use crate::pace::Pace;
use crate::request_ids::RequestIds;
use crate::response::{AccessRecord, Arrival, Flushed, ResponseWriter};
use crate::transport::Transport;

impl Connection {
    /// The writer that takes the response; its head is written into the buffer `spare`.
    pub(crate) fn begin_output(
        &mut self,
        spare: &mut Vec<u8>,
    ) -> (&Transport, &mut ResponseWriter) {
        self.writer.reset();
        self.writer.swap_buffer(spare);
        (&self.transport, &mut self.writer)
    }

    /// Takes the buffer back that [`Connection::begin_output`] has lent, if it is empty.
    pub(crate) fn swap_output(&mut self, spare: &mut Vec<u8>) {
        self.writer.swap_buffer(spare);
    }

    pub(crate) fn writer(&self) -> &ResponseWriter {
        &self.writer
    }

    pub(crate) fn writer_mut(&mut self) -> &mut ResponseWriter {
        &mut self.writer
    }

    /// Answers the request, or the part of it that has come, in place of the application. If it cannot be read,
    /// the log gets no more than its first line. Returns what lines about the request say of it.
    pub(crate) fn begin_error(
        &mut self,
        status: StatusCode,
        advice: &str,
        started: Instant,
        date: &str,
        ids: &mut RequestIds,
    ) -> RequestTag {
        let arrival = self.has_request().then(|| Arrival {
            whole_at: self.lifecycle.ready_at(),
            proxy_queue: None,
        });
        let (mut scheme, mut head, mut tag) = (Scheme::default(), None, RequestTag::NONE);
        if let Some(RequestBuffers { input, decoder, .. }) = self.buffers.as_deref_mut() {
            let has_head = decoder.refuse(input);
            let is_trusted = has_head && self.identity.trust().trusted;
            ids.assign(&mut decoder.head, is_trusted);
            scheme = decoder.scheme;
            head = has_head.then_some(&decoder.head);
            tag = RequestTag::of(&decoder.head);
        }
        self.writer.reset();
        let id = ids.latest_field();
        let sent = self.writer.begin_error(status, advice, head, id, date);
        let record = AccessRecord::new(sent, started, scheme, Vec::new());
        self.record = Some(record.with_arrival(arrival));
        tag
    }

    /// Answers a whole request in place of the application, without a trace in the logs. Returns the step after the
    /// response.
    pub(crate) fn begin_own(
        &mut self,
        response: Response,
        may_stay: bool,
        date: &str,
    ) -> AfterResponse {
        let Some(request) = self.take_request() else {
            return AfterResponse::Close;
        };
        let context = ResponseContext {
            version: request.head.version,
            head_only: request.head.method() == "HEAD",
            keep_alive: may_stay && self.wants_keep_alive(),
            id: None,
            limits: &[],
        };
        self.return_head(request.head);
        self.writer.reset();
        let Ok(sent) = self.writer.begin(&response, context, date) else {
            return AfterResponse::Close;
        };
        self.writer.add_body(response.body, sent.framing);
        match sent.keep_alive {
            true => AfterResponse::KeepAlive,
            false => AfterResponse::Linger,
        }
    }

    /// Answers the request whose head has come, in place of the application. Returns the step after the response.
    pub(crate) fn begin_refusal(
        &mut self,
        mut response: Response,
        may_stay: bool,
        started: Instant,
        date: &str,
        ids: &mut RequestIds,
    ) -> AfterResponse {
        let is_trusted = self.identity.trust().trusted;
        let Some(decoder) = self.buffers.as_mut().map(|it| &mut it.decoder) else {
            return AfterResponse::Close;
        };
        ids.assign(&mut decoder.head, is_trusted);
        let context = ResponseContext {
            version: decoder.head.version,
            head_only: decoder.head.method() == "HEAD",
            keep_alive: may_stay && decoder.framing.keep_alive,
            id: ids.latest_field(),
            limits: &[],
        };
        self.writer.reset();
        let Ok(mut sent) = self.writer.begin(&response, context, date) else {
            return AfterResponse::Close;
        };
        let body = std::mem::take(&mut response.body);
        sent.count_body(self.writer.add_body(body, sent.framing));
        let keeps_alive = sent.keep_alive;
        let sent = sent.with_fields(response.fields);
        self.record = Some(AccessRecord::new(sent, started, decoder.scheme, Vec::new()));
        match keeps_alive {
            true => AfterResponse::KeepAlive,
            false => AfterResponse::Linger,
        }
    }

    /// As [`Connection::begin_refusal`], for a request that is whole, so that the connection may go on.
    pub(crate) fn begin_whole_refusal(
        &mut self,
        response: Response,
        may_stay: bool,
        started: Instant,
        date: &str,
        ids: &mut RequestIds,
    ) -> AfterResponse {
        let Some(request) = self.take_request() else {
            return AfterResponse::Close;
        };
        self.return_head(request.head);
        let after = self.begin_refusal(response, may_stay, started, date, ids);
        self.step_after(after == AfterResponse::KeepAlive, self.wants_keep_alive())
    }

    /// The step after a response to a client that wanted to stay or not.
    pub(crate) fn step_after(&self, stays: bool, wanted_to_stay: bool) -> AfterResponse {
        match (stays, self.unread().is_empty()) {
            (true, _) => AfterResponse::KeepAlive,
            // Over TLS the client may still send a close_notify; a closed socket would answer it with a reset.
            (false, true) if !wanted_to_stay && !self.is_bound() => AfterResponse::Close,
            (false, _) => AfterResponse::Linger,
        }
    }

    /// A response has begun, and `record` is logged when it is over.
    pub(crate) fn begin_record(&mut self, record: AccessRecord) {
        self.record = Some(record);
    }

    pub(crate) fn record(&self) -> Option<&AccessRecord> {
        self.record.as_ref()
    }

    /// Counts the octets that have come and gone since the last call, if any. `stats` are those of the thread that has
    /// the connection.
    pub(crate) fn count_octets<'a>(&mut self, stats: impl FnOnce() -> ThreadStats<'a>) {
        let (received, total) = (std::mem::take(&mut self.received), self.writer.total());
        let sent = total - std::mem::replace(&mut self.counted, total);
        if received + sent > 0 {
            stats().count_octets(received, sent);
        }
    }

    /// A thread has worked for the current response for so long.
    pub(crate) fn count_application(&mut self, time: Duration) {
        if let Some(record) = &mut self.record {
            record.busy += time;
        }
    }

    /// Adds to the octets of the current response.
    pub(crate) fn count_body(&mut self, octets: u64) {
        if let Some(record) = &mut self.record {
            record.body_bytes += octets;
        }
    }

    /// The response is over, all of it sent or not: returns its record for the access log.
    pub(crate) fn end_record(&mut self) -> Option<(&RequestHead, ClientIdentity, AccessRecord)> {
        let mut record = self.record.take()?;
        let head = &self.buffers.as_ref()?.decoder.head;
        record.body_bytes = record.body_bytes.saturating_sub(self.writer.unsent());
        Some((head, self.identity, record))
    }

    /// Sends as much of a response as the socket takes. `after` follows when all of it is sent.
    pub(crate) fn flush(&mut self, after: AfterResponse) -> io::Result<Flushed> {
        let flushed = self.writer.flush(&self.transport);
        match flushed {
            Ok(Flushed::Done) => {
                let after = self.unless_more_came(after);
                self.lifecycle.end_response(after);
            }
            Ok(Flushed::Blocked) => self.lifecycle.begin_sending(after),
            Ok(Flushed::Yielded) => {
                self.yielded = true;
                self.lifecycle.begin_sending(after);
            }
            Ok(Flushed::NeedsPiece) => {}
            Err(_) => self.lifecycle.close(),
        }
        flushed
    }

    /// A client that has asked for the close sends nothing more, or should not. Octets that nobody has read make the close a
    /// reset, and the client may lose the response by it (RFC 9112 section 9.6).
    fn unless_more_came(&self, after: AfterResponse) -> AfterResponse {
        match after {
            AfterResponse::Close if self.transport.socket().has_input() => AfterResponse::Linger,
            after => after,
        }
    }

    /// Tells a waiting client to send its body. The previous response may have filled the socket: bytes that
    /// the socket does not take now are kept, and sent before anything else.
    pub(crate) fn send_continue(&mut self) {
        self.writer.add_bytes(CONTINUE);
        match self.writer.flush(&self.transport) {
            Ok(Flushed::Done) => {}
            Ok(_) => self.lifecycle.begin_sending(AfterResponse::KeepAlive),
            Err(_) => self.lifecycle.close(),
        }
    }

    /// The client has to take its response: its time begins.
    pub(crate) fn await_room(&mut self, now: Instant, pace: Pace) {
        self.lifecycle.await_room(now, pace);
        self.look_at_acknowledged();
    }

    /// The client has to acknowledge the rest of its response; false if no time limit applies.
    pub(crate) fn await_acknowledgement(&mut self, now: Instant, pace: Pace) -> bool {
        self.look_at_acknowledged();
        self.lifecycle.await_acknowledgement(now, pace)
    }

    /// Gives the client more time for the octets that it has acknowledged since the last look.
    pub(crate) fn extend_for_acknowledged(&mut self, now: Instant, pace: Pace) {
        let more = self.look_at_acknowledged();
        self.lifecycle.extend(now, pace, more);
    }

    /// Whether the client's system has acknowledged all that was sent so far.
    pub(crate) fn is_acknowledged(&self) -> bool {
        self.transport.socket().unacknowledged() == 0
    }

    fn look_at_acknowledged(&mut self) -> u64 {
        self.acknowledged.look(&self.transport, self.writer.total())
    }
}
