//! Requests for static files. The reactor answers them itself, so they need no request thread: see `static_files`. To
//! the logs and metrics they are requests like any other.

use std::io;
use std::time::Instant;

use log::warn;
use oxicorn_common::logging::RequestTag;

use super::Reactor;
use crate::connection::{AfterResponse, Connection, ConnectionState};
use crate::http::encode::ResponseContext;
use crate::proxy_queue::proxy_queue;
use crate::response::{AccessRecord, Arrival};

impl Reactor {
    /// Whether the request that has just become whole is for a file.
    pub(super) fn is_for_file(&self, connection: &Connection) -> bool {
        let is_trusted = connection.identity().trust().trusted;
        self.static_files
            .as_ref()
            .zip(connection.head())
            .is_some_and(|(files, head)| files.covers(head, is_trusted))
    }

    pub(super) fn answer_with_file(&mut self, mut connection: Box<Connection>, is_whole: bool) {
        let Some(after) = self.begin_file(&mut connection, is_whole) else {
            connection.lifecycle_mut().close();
            return self.place(connection);
        };
        let flushed = connection.flush(after);
        connection.swap_output(&mut self.spare);
        // The disk may have taken a while.
        self.now = Instant::now();
        match flushed {
            Err(error) => note_loss(&connection, &error),
            Ok(_) if !matches!(connection.state(), ConnectionState::Sending(_)) => {
                self.end_response(&mut connection);
            }
            Ok(_) => {}
        }
        match connection.state() {
            ConnectionState::Idle if connection.may_have_more() => self.go_on_after_own(connection),
            _ => self.place(connection),
        }
    }

    /// Begins the response; returns the step after it. `None` if there is nothing to be said.
    fn begin_file(&mut self, connection: &mut Connection, is_whole: bool) -> Option<AfterResponse> {
        let files = self.static_files.as_mut()?;
        let mut request = connection.take_request()?;
        self.request_ids.assign(&mut request.head, request.trusted);
        let tags_lines = self.shared.tags_lines;
        let _scope = tags_lines.then(|| RequestTag::of(&request.head).enter());
        let head = &request.head;
        let mut answer = files.answer(head, request.trusted, self.now);
        let may_stay = is_whole && self.shared.keeps_alive(connection.transport().is_tls());
        let wants_to_stay = connection.wants_keep_alive();
        let limiter = self.shared.rate_limiter.as_ref();
        let asked = ResponseContext {
            limits: self.limits.lines(limiter, connection, &request, self.now),
            id: self.request_ids.latest_field(),
            version: head.version,
            head_only: head.method() == "HEAD",
            keep_alive: may_stay && wants_to_stay,
        };
        let date = self.date.at(self.now);
        let writer = connection.begin_output(&mut self.spare).1;
        let begun = writer.begin(&answer.response, asked, date);
        // The settings have checked what goes into the fields.
        let mut sent = begun
            .inspect_err(|error| warn!("static_map: {error}"))
            .ok()?;
        sent.count_body(match answer.content {
            Some(content) => writer.add_file(content, sent.framing),
            None => writer.add_body(answer.response.body, sent.framing),
        });
        let sent = sent.with_fields(std::mem::take(&mut answer.response.fields));
        if !sent.keep_alive {
            self.shared.set_place_wanted(false);
        }
        let after = match (sent.keep_alive, connection.unread().is_empty()) {
            (true, _) => AfterResponse::KeepAlive,
            // As for responses of the application.
            (false, true) if is_whole && !wants_to_stay && !connection.is_bound() => {
                AfterResponse::Close
            }
            (false, _) => AfterResponse::Linger,
        };
        let arrival = Arrival {
            whole_at: self.now,
            proxy_queue: proxy_queue(&request, self.now),
        };
        let record = AccessRecord::new(sent, self.now, request.scheme, Vec::new());
        connection.return_head(request.head);
        connection.begin_record(record.with_arrival(Some(arrival)));
        Some(after)
    }
}

/// A response has ended early.
pub(super) fn note_loss(connection: &Connection, error: &io::Error) {
    // Otherwise the client has left.
    if error.kind() == io::ErrorKind::UnexpectedEof {
        let path = connection.head().map_or("", |head| head.path());
        warn!("{path}: the file became shorter while it was sent: the connection is closed");
    }
}
