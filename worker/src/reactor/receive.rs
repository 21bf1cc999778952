//! Connections whose clients are to send something: a preface or a request.

use super::Reactor;
use crate::connection::{Connection, ConnectionState, PrefaceState, Received};
use crate::http::Decoded;
use crate::pace::Pace;
use crate::preface::PrefaceOutcome;

impl Reactor {
    /// Continues a preface; the first request follows it.
    pub(super) fn go_on_with_preface(
        &mut self,
        mut connection: Box<Connection>,
        state: PrefaceState,
    ) {
        connection.ready_buffers(|| self.buffers.take());
        let may_shake = self.handshakes_left > 0;
        let outcome = self.preface.advance(&mut connection, state, may_shake);
        if may_shake && connection.transport().is_tls() {
            self.handshakes_left -= 1;
        }
        match outcome {
            PrefaceOutcome::Complete => {
                let timeout = self.shared.settings.header_timeout;
                connection.lifecycle_mut().end_preface(self.now, timeout);
                self.receive(connection, false);
            }
            PrefaceOutcome::Waiting => {
                if connection.unread().is_empty() {
                    self.keep_buffers(&mut connection);
                }
                self.rest(connection);
            }
            PrefaceOutcome::Gone => self.close(connection),
            PrefaceOutcome::Refused(error) => self.refuse(connection, &error),
            PrefaceOutcome::Failed => {
                self.keep_buffers(&mut connection);
                connection.lifecycle_mut().begin_linger();
                self.place(connection);
            }
        }
    }

    /// Reads as much of the next request as there is. With `last` the deadline has passed: anything that is not
    /// in the socket yet is late.
    pub(super) fn receive(&mut self, mut connection: Box<Connection>, last: bool) {
        let decoder = &mut connection.ready_buffers(|| self.buffers.take()).decoder;
        decoder.set_order(self.runs_requests, !self.crowded.is_empty());
        let mut received = connection.receive(&self.shared.rules);
        if matches!(received, Received::Head) {
            if let Some(refusal) = self.limit(&mut connection) {
                return self.answer_limited(connection, refusal);
            }
            if self.is_health_check(&connection) || self.is_for_file(&connection) {
                let is_whole = connection.skip_body(&self.shared.rules);
                return self.answer_itself(connection, is_whole);
            }
            received = connection.receive(&self.shared.rules);
        }
        let decoded = match received {
            Received::Request
                if self.is_health_check(&connection) || self.is_for_file(&connection) =>
            {
                return self.answer_itself(connection, true);
            }
            Received::Request => return self.queue_request(connection),
            Received::Waiting(decoded) => decoded,
            // It has been counted.
            Received::Head => Decoded::MoreBody,
            Received::Closed => return self.say_goodbye(connection),
            Received::Refused(error) => return self.refuse(connection, &error),
        };
        let (now, settings) = (self.now, &self.shared.settings);
        let (arrived, body_pace) = (connection.arrived(), Pace::of_body(settings));
        let lifecycle = connection.lifecycle_mut();
        match decoded {
            Decoded::Idle if last => {}
            Decoded::Idle => lifecycle.await_request(now, settings.keepalive),
            Decoded::MoreHead => lifecycle.await_head(now, settings.header_timeout),
            Decoded::Crowded => {
                lifecycle.restart_body(now, body_pace);
                self.note_crowded(&connection);
            }
            _ => lifecycle.await_body(now, body_pace, arrived),
        }
        if decoded == Decoded::Idle {
            self.keep_buffers(&mut connection);
        }
        match decoded {
            Decoded::Continue => {
                connection.send_continue();
                match connection.state() {
                    ConnectionState::Body => self.hold(connection, false),
                    _ => self.place(connection),
                }
            }
            _ if last && connection.lifecycle().is_overdue(now) => self.end_late(connection),
            Decoded::Idle => self.rest(connection),
            _ => self.hold(connection, false),
        }
    }

    /// Answers a request without a request thread. Not `is_whole` if the rest of its body is still to come: nobody reads
    /// that, so the connection ends.
    fn answer_itself(&mut self, connection: Box<Connection>, is_whole: bool) {
        match self.is_health_check(&connection) {
            true => self.answer_health_check(connection, is_whole),
            false => self.answer_with_file(connection, is_whole),
        }
    }

    /// A body waits for the memory of others.
    fn note_crowded(&mut self, connection: &Connection) {
        if let Some(token) = connection.token()
            && !self.crowded.contains(&token)
        {
            self.crowded.push_back(token);
        }
    }

    /// Reads bodies that have waited for the memory of others, in the order in which they came, until one has to
    /// wait again. Otherwise later ones could always get the memory first.
    pub(super) fn read_crowded(&mut self) {
        let mut waiting = std::mem::take(&mut self.crowded);
        while let Some(token) = waiting.pop_front() {
            self.wake(token, false, false);
            if !self.crowded.is_empty() {
                break;
            }
        }
        self.crowded.append(&mut waiting);
    }

    /// Keeps a connection that has no current request.
    pub(super) fn rest(&mut self, connection: Box<Connection>) {
        match &self.drain {
            Some(drain) => self.rest_in_drain(connection, drain.has_siblings()),
            None => self.hold(connection, false),
        }
    }

    /// Returns the buffers of a connection to the pool while it waits.
    fn keep_buffers(&mut self, connection: &mut Connection) {
        if let Some(buffers) = connection.take_buffers() {
            self.buffers.keep(buffers);
        }
    }
}
