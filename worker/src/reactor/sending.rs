//! Connections whose clients have yet to take a response; also rejects requests.

use log::{debug, error, info, warn};
use oxicorn_common::request::Peer;

use super::Reactor;
use super::static_files::note_loss;
use crate::connection::{AfterResponse, Connection, ConnectionState, ThreadWork};
use crate::http::RequestError;
use crate::pace::Pace;
use crate::response::Flushed;

impl Reactor {
    /// Sends more of a response that the client takes slowly; `after` follows when all of it is sent.
    pub(super) fn send(&mut self, mut connection: Box<Connection>, after: AfterResponse) {
        match connection.flush(after) {
            Ok(Flushed::Done) => self.end_response(&mut connection),
            Ok(Flushed::NeedsPiece) => {
                return self.await_thread(connection, ThreadWork::NextPiece(after));
            }
            Err(error) => note_loss(&connection, &error),
            Ok(_) => {}
        }
        self.place(connection);
    }

    /// Keeps a connection until its socket has room.
    pub(super) fn await_room(&mut self, mut connection: Box<Connection>) {
        if connection.lifecycle().needs_time() {
            connection.await_room(self.now, self.response_pace());
        }
        self.hold(connection, true);
    }

    /// No event has come from a client that takes its response: looks at how much it has acknowledged. The poll
    /// reports room in the socket only when a large part of its buffer is free, and that buffer may hold
    /// megabytes.
    pub(super) fn look_for_room(&mut self, mut connection: Box<Connection>, after: AfterResponse) {
        let pace = self.response_pace();
        connection.extend_for_acknowledged(self.now, pace);
        if connection.is_acknowledged() {
            // The client has acknowledged all that was sent: the delay is ours.
            connection.await_room(self.now, pace);
            return self.send(connection, after);
        }
        if !connection.lifecycle().is_overdue(self.now) {
            return self.hold(connection, true);
        }
        info!(
            "{} takes its response too slowly (write_timeout, write_min_rate): reset",
            connection.peer()
        );
        connection.transport().socket().reset();
        connection.lifecycle_mut().close();
        self.place(connection);
    }

    /// The minimum rate at which a client has to take its response.
    pub(super) fn response_pace(&self) -> Pace {
        Pace::of_response(&self.shared.settings)
    }

    /// Rejects a malformed or late request, and closes the connection.
    pub(super) fn refuse(&mut self, mut connection: Box<Connection>, error: &RequestError) {
        let started = self.now;
        let date = self.date.at(started);
        let ids = &mut self.request_ids;
        let tag = connection.begin_error(error.status(), error.advice(), started, date, ids);
        let _scope = tag.enter();
        match (error, connection.peer()) {
            // People often type http instead of https.
            (RequestError::WithoutTls, peer) => debug!("Invalid request from {peer}: {error}"),
            // The request is valid.
            (_, peer) if error.is_ours() => error!("Request from {peer}: {error}"),
            (_, Peer::Tcp(address)) => warn!("Invalid request from ip={}: {error}", address.ip()),
            (_, Peer::Unix) => warn!("Invalid request from a local client: {error}"),
        }
        // An error response is far shorter than what one turn may send.
        let _ = connection.flush(AfterResponse::Linger);
        if !matches!(connection.state(), ConnectionState::Sending(_)) {
            self.end_response(&mut connection);
        }
        self.place(connection);
    }
}
