//! Clients that took too long, and requests that cannot be served.

use log::{debug, error, info, warn};
use oxicorn_common::request::{Peer, Scheme};

use super::polling::LONGEST_TURN;
use super::{AWAY, Reactor, TableEntry};
use crate::access_record::AccessRecord;
use crate::connection::{Awaited, Buffers, Connection, Phase, Then};
use crate::http::{ErrorResponse, RequestError};
use crate::pace::Pace;
use crate::response_writer::Flushed;

impl Reactor {
    /// Deals with the connections whose deadline has passed.
    pub(super) fn expire(&mut self) {
        while let Some((at, token)) = self.timers.pop_due(self.now) {
            let Some(entry) = self.table.get_mut(token) else {
                continue;
            };
            if !matches!(entry, TableEntry::Here(connection) if connection.timer == Some(at)) {
                continue;
            }
            let TableEntry::Here(mut connection) = std::mem::replace(entry, AWAY) else {
                continue;
            };
            connection.timer = None;
            match connection.is_overdue(self.now) {
                true => self.time_out(connection),
                false => self.hold(connection, false),
            }
        }
    }

    /// The deadline of a connection has passed. Whether that is the client's doing, its socket
    /// tells: what is there and not read yet, and what is acknowledged of what was sent.
    fn time_out(&mut self, mut connection: Box<Connection>) {
        match connection.awaited {
            // It waits for its turn to shake hands, not for its client.
            Awaited::Preface if connection.eager => {
                connection.deadline = Some(self.now + LONGEST_TURN);
                self.hold(connection, false);
            }
            Awaited::Preface => self.give_up_on(connection),
            Awaited::Room => self.look_for_room(connection),
            Awaited::End if self.drain.is_none() && !is_taken(&connection) => {
                connection.await_taking(Awaited::Acknowledgement, self.now, self.taking());
                // Without a limit for it the kernel has to see to the rest.
                match connection.deadline {
                    Some(_) => self.hold(connection, false),
                    None => self.give_up_on(connection),
                }
            }
            Awaited::Acknowledgement | Awaited::Request => {
                match (self.still_takes(&mut connection), connection.awaited) {
                    (true, _) => self.hold(connection, false),
                    (false, Awaited::Request) => self.receive_last(connection),
                    (false, _) => self.give_up_on(connection),
                }
            }
            Awaited::Head | Awaited::Body => self.receive_last(connection),
            Awaited::End => self.give_up_on(connection),
        }
    }

    /// Reads what may be there and unread, however long the worker took to come to it.
    fn receive_last(&mut self, mut connection: Box<Connection>) {
        connection.readable = true;
        self.receive(connection, true);
    }

    /// A client that takes its response has been quiet: looks at what it has acknowledged. The poll
    /// tells of room in the socket only when a good part of its buffer is free, and that buffer may
    /// have megabytes.
    fn look_for_room(&mut self, mut connection: Box<Connection>) {
        let pace = self.taking();
        connection.look_at_taken(self.now, pace);
        if is_taken(&connection) {
            // It has all that it could have: what is missing is ours to send.
            connection.await_taking(Awaited::Room, self.now, pace);
            return self.push_on(connection);
        }
        match connection.is_overdue(self.now) {
            true => self.give_up_on(connection),
            false => self.hold(connection, true),
        }
    }

    /// Whether the client is on its way with a response that the kernel has all of. To close the
    /// connection would cut it off, should the client say anything more: the kernel answers that with
    /// a reset (RFC 9112 section 9.6).
    fn still_takes(&self, connection: &mut Connection) -> bool {
        if self.drain.is_some() || is_taken(connection) {
            return false;
        }
        connection.look_at_taken(self.now, self.taking());
        !connection.is_overdue(self.now)
    }

    /// How fast a client has to take its response.
    pub(super) fn taking(&self) -> Pace {
        Pace::of_response(&self.shared.settings)
    }

    /// Lets go of a client that is too late.
    pub(super) fn give_up_on(&mut self, mut connection: Box<Connection>) {
        match connection.awaited {
            Awaited::Head if connection.buffers.is_some() => {
                return self.refuse(connection, &RequestError::HeadTimeout);
            }
            Awaited::Body => return self.refuse(connection, &RequestError::BodyTimeout),
            Awaited::Head | Awaited::Request => return self.part(connection),
            Awaited::Room => {
                info!(
                    "{} takes its response too slowly (write_timeout, write_min_rate): reset",
                    connection.peer
                );
                connection.transport.reset();
            }
            Awaited::Preface | Awaited::End | Awaited::Acknowledgement => {
                debug!("{} is late: the connection is closed", connection.peer);
            }
        }
        connection.phase = Phase::Dead;
        self.place(connection);
    }

    /// Answers a request that is none, and closes.
    pub(super) fn refuse(&mut self, mut connection: Box<Connection>, error: &RequestError) {
        match (error, connection.peer) {
            // Somebody has typed http for https, as somebody does every day.
            (RequestError::WithoutTls, peer) => debug!("Invalid request from {peer}: {error}"),
            // Nothing is wrong with the request.
            (_, peer) if error.is_ours() => error!("Request from {peer}: {error}"),
            (_, Peer::Tcp(address)) => warn!("Invalid request from ip={}: {error}", address.ip()),
            (_, Peer::Unix) => warn!("Invalid request from a local client: {error}"),
        }
        let (status, started) = (error.status(), self.now);
        let (mut scheme, mut head) = (Scheme::default(), None);
        if let Some(Buffers { input, decoder }) = connection.buffers.as_deref_mut() {
            let has_head = decoder.refuse(input);
            scheme = decoder.scheme;
            head = has_head.then_some(&decoder.head);
        }
        let date = self.date.at(started);
        let refusal = ErrorResponse::new(status, error.advice(), head, date);
        connection.writer = refusal.writer;
        connection.record = Some(AccessRecord {
            started,
            scheme,
            variables: Vec::new(),
            status: status.as_u16(),
            fields: refusal.response.fields,
            body_bytes: refusal.body_bytes,
        });
        connection.then = Then::Linger;
        connection.phase = match connection.writer.flush(&connection.transport) {
            Ok(Flushed::Done) => Phase::Lingering,
            // A refusal is far shorter than what a turn allows.
            Ok(_) => Phase::Sending,
            Err(_) => Phase::Dead,
        };
        if connection.phase != Phase::Sending {
            connection.conclude(&self.shared, started);
        }
        self.place(connection);
    }
}

/// Whether the client has all that was sent so far.
fn is_taken(connection: &Connection) -> bool {
    connection.transport.unacknowledged() == 0
}
