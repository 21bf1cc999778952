//! The work of one request thread on one connection: runs the application for a whole request, and sends as much as
//! the client takes at once.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use log::{debug, error, warn};
use oxicorn_common::logging::{EXCEPTION, RequestScope, RequestTag};
use oxicorn_common::request::{Request, RequestHead};
use oxicorn_common::response::{Response, ResponseBody};
use oxicorn_common::scoreboard::{RefusalReason, ThreadStats};
use oxicorn_common::{EarlyOutput, ResponseSink, forks};

use crate::connection::{AfterResponse, Connection, ConnectionState, ThreadWork};
use crate::http::date::DateCache;
use crate::http::encode::ResponseContext;
use crate::in_flight::RequestFacts;
use crate::proxy_queue::proxy_queue;
use crate::rate_limits::ThreadLimits;
use crate::request_ids::RequestIds;
use crate::response::{AccessRecord, Arrival, EarlyWriter, Flushed, LengthError, PieceMade};
use crate::shedding::Refusal;
use crate::worker_shared::WorkerShared;

pub(crate) struct RequestHandler<'a> {
    shared: &'a WorkerShared,
    index: usize,
    date: DateCache,
    ids: RequestIds,
    limits: ThreadLimits,
    /// A buffer that is reused for each response, so that it stays in the processor's cache.
    spare: Vec<u8>,
}

impl<'a> RequestHandler<'a> {
    pub(crate) fn new(shared: &'a WorkerShared, index: usize) -> Self {
        shared.in_flight[index].claim();
        Self {
            shared,
            index,
            date: DateCache::new(),
            ids: RequestIds::new(&shared.settings),
            limits: ThreadLimits::new(shared.rate_limiter.as_ref()),
            spare: Vec::new(),
        }
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Does the thread's work for a connection. `started` is the present time, which the caller has read from the
    /// clock. Returns the time of the end.
    pub(crate) fn serve(&mut self, connection: &mut Connection, started: Instant) -> Instant {
        let stats = self.stats();
        match connection.state() {
            ConnectionState::Ready(ThreadWork::Respond) => self.respond(connection, started),
            ConnectionState::Ready(ThreadWork::NextPiece(after)) => {
                self.resume(connection, after, started);
            }
            _ => {
                let _scope = self.enter_again(connection);
                self.show(connection.head(), started);
                abandon(connection);
            }
        }
        stats.end();
        let ended = Instant::now();
        connection.count_application(ended.saturating_duration_since(started));
        self.conclude(connection, ended);
        ended
    }

    /// Refuses a request that has waited. Returns the time of the end.
    pub(crate) fn turn_away(
        &mut self,
        connection: &mut Connection,
        refusal: Refusal,
        now: Instant,
    ) -> Instant {
        let since = connection.lifecycle().ready_at();
        let may_stay = self.shared.may_stay(connection, refusal);
        let (date, ids) = (self.date.at(now), &mut self.ids);
        let after = connection.begin_whole_refusal(refusal.response(), may_stay, since, date, ids);
        self.stats().count_refusal(refusal.reason);
        self.shared.note_refusal(refusal, now);
        let _ = connection.flush(after);
        self.conclude(connection, now);
        now
    }

    /// The thread has done its work for a connection. The response is over, unless the client takes it slowly.
    fn conclude(&self, connection: &mut Connection, ended: Instant) {
        let stats = self.stats();
        if connection.record().is_some()
            && !connection.writer().has_pieces()
            && !matches!(connection.state(), ConnectionState::Sending(_))
        {
            let log = &self.shared.access_log;
            log.end_response(connection, ended, stats);
        }
        connection.count_octets(|| stats);
    }

    /// From now on the lines of this thread are about a request.
    fn enter(&self, head: &RequestHead) -> Option<RequestScope> {
        let tags_lines = self.shared.tags_lines;
        tags_lines.then(|| RequestTag::of(head).enter())
    }

    /// As [`RequestHandler::enter`], for the request whose response has begun.
    fn enter_again(&self, connection: &Connection) -> Option<RequestScope> {
        self.enter(connection.head()?)
    }

    fn stats(&self) -> ThreadStats<'a> {
        self.shared.slot().thread(self.index)
    }

    /// Shows the request of this thread on the scoreboard; returns its number there.
    fn show(&self, head: Option<&RequestHead>, started: Instant) -> u64 {
        let parts = |head| {
            (
                RequestHead::method_octets(head),
                RequestHead::path_octets(head),
                head.id.as_str(),
            )
        };
        let (method, path, id) = head.map_or((&[][..], &[][..], ""), parts);
        let millis = self.shared.millis.at(started);
        self.stats().begin(millis, method, path, id)
    }

    /// The answer to a request that is over a limit of all hosts.
    fn limit(
        &mut self,
        connection: &mut Connection,
        request: &Request,
        started: Instant,
    ) -> Option<Response> {
        let limiter = self.shared.rate_limiter.as_ref()?;
        let refusal = self.limits.begin(limiter, connection, request, started)?;
        self.stats().count_refusal(RefusalReason::RateLimit);
        Some(refusal)
    }

    /// Runs the application for a request, and sends what it returns.
    fn respond(&mut self, connection: &mut Connection, started: Instant) {
        let Some(mut request) = connection.take_request() else {
            return connection.lifecycle_mut().close();
        };
        request.body.begin();
        self.ids.assign(&mut request.head, request.trusted);
        let _scope = self.enter(&request.head);
        let refusal = self.limit(connection, &request, started);
        let in_flight = &self.shared.in_flight[self.index];
        let head = &request.head;
        let whole_at = connection.lifecycle().ready_at();
        let arrival = Some(Arrival {
            whole_at,
            proxy_queue: proxy_queue(&request, whole_at),
        });
        let transport = connection.transport();
        let facts = RequestFacts {
            identity: *connection.identity(),
            scheme: request.scheme,
            number: self.show(Some(head), started),
            arrival,
        };
        in_flight.begin(transport, started, head, facts);
        let asked = ResponseContext {
            id: self.ids.latest_field(),
            version: head.version,
            head_only: head.method() == "HEAD",
            keep_alive: connection.wants_keep_alive(),
            limits: self.limits.lines(),
        };
        let output = connection.begin_output(&mut self.spare);
        let date = &mut self.date;
        let mut early = EarlyWriter::new(self.shared, in_flight, output, date, asked, started);
        let called = match refusal {
            Some(refusal) => Some(refusal),
            None => call(self.shared, &mut request, &mut early),
        };
        let is_early = early.has_begun();
        // A panic after the response has begun ends it.
        let is_lost = early.is_lost() || (is_early && called.is_none());
        let mut response = called.unwrap_or_else(Response::failure);
        let mut sent = early.finish(&mut response, &request);
        let streams = is_early || matches!(response.body, ResponseBody::Stream(_));
        let mut in_time = match streams {
            true => in_flight.begin_response(),
            false => in_flight.end(),
        };
        if is_lost || !in_time {
            drop(response);
            if connection.writer().ends_with_connection() {
                connection.transport().socket().reset();
            }
            connection.return_head(request.head);
            if streams {
                in_time &= in_flight.end();
            }
            return match in_time {
                true => connection.lifecycle_mut().close(),
                false => connection.lifecycle_mut().time_out(),
            };
        }
        if !sent.keep_alive {
            self.shared.set_place_wanted(false);
        }
        let after = connection.step_after(sent.keep_alive, asked.keep_alive);
        let writer = connection.writer_mut();
        sent.count_body(match is_early {
            true => writer.add_rest(response.body, sent.framing),
            false => writer.add_body(response.body, sent.framing),
        });
        connection.return_head(request.head);
        let record = AccessRecord::new(sent, started, request.scheme, request.logged);
        let record = record.with_arrival(arrival);
        connection.begin_record(record);
        self.shared.master.count_request();
        self.send(connection, after);
        if streams && !in_flight.end() {
            connection.writer_mut().abandon();
            connection.lifecycle_mut().time_out();
        }
        connection.writer_mut().swap_buffer(&mut self.spare);
    }

    /// Continues a streamed response whose last piece the client has taken.
    fn resume(&mut self, connection: &mut Connection, after: AfterResponse, started: Instant) {
        let _scope = self.enter_again(connection);
        let in_flight = &self.shared.in_flight[self.index];
        if let (Some(head), Some(record)) = (connection.head(), connection.record()) {
            let facts = RequestFacts {
                identity: *connection.identity(),
                scheme: record.scheme,
                number: self.show(Some(head), started),
                arrival: record.arrival,
            };
            in_flight.begin(connection.transport(), started, head, facts);
            in_flight.begin_response();
        }
        self.send(connection, after);
        if !in_flight.end() {
            connection.writer_mut().abandon();
            connection.lifecycle_mut().time_out();
        }
    }

    /// Sends until the client takes no more, running the application for each piece.
    fn send(&mut self, connection: &mut Connection, after: AfterResponse) {
        let in_flight = &self.shared.in_flight[self.index];
        loop {
            match connection.flush(after) {
                Ok(Flushed::NeedsPiece) => {}
                Ok(_) => return,
                Err(reason) => {
                    debug!("the client is gone: {reason}");
                    return abandon(connection);
                }
            }
            let made = catch_unwind(AssertUnwindSafe(|| connection.writer_mut().make_piece()));
            forks::end_child(i32::from(!matches!(made, Ok(Ok(_)))));
            let reason = match made {
                Ok(Ok(PieceMade::Piece(octets))) => {
                    in_flight.note_piece();
                    connection.count_body(octets);
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
            if connection.writer().ends_with_connection() {
                // Only a reset tells this client that the body is incomplete.
                connection.transport().socket().reset();
            }
            return abandon(connection);
        }
    }
}

/// Runs the application; `None` is a panic.
fn call(
    shared: &WorkerShared,
    request: &mut Request,
    early: &mut EarlyWriter<'_>,
) -> Option<Response> {
    let app = &shared.app;
    let mut send = |output: EarlyOutput<'_>| early.send(output);
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

/// Ends a response early, and closes the application's stream.
fn abandon(connection: &mut Connection) {
    let outcome = catch_unwind(AssertUnwindSafe(|| connection.writer_mut().abandon()));
    forks::end_child(i32::from(outcome.is_err()));
    if let Err(panic) = outcome {
        error!("Error ending a response: panic: {}", panic_text(&*panic));
    }
    connection.lifecycle_mut().close();
}

fn line_of(connection: &Connection) -> String {
    let line = |head: &RequestHead| format!("{} {}", head.method(), head.path());
    connection.head().map_or_else(String::new, line)
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
