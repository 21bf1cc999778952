//! Handles connections whose deadline has passed. Unread bytes, or newly acknowledged ones, show that the worker was
//! late and not the client; such a client gets more time.

use log::debug;

use super::{LONGEST_TURN, Reactor};
use crate::connection::{Connection, ConnectionState, Linger};
use crate::http::RequestError;

impl Reactor {
    /// Handles the connections whose deadline has passed.
    pub(super) fn expire(&mut self) {
        while let Some((at, token)) = self.timers.pop_due(self.now) {
            let Some(connection) = self.table.take_if(token, |it| it.take_timer(at)) else {
                continue;
            };
            match connection.lifecycle().is_overdue(self.now) {
                true => self.time_out(connection),
                false => self.hold(connection, false),
            }
        }
    }

    fn time_out(&mut self, mut connection: Box<Connection>) {
        match connection.state() {
            // It waits for its turn in a handshake, not for its client.
            ConnectionState::Preface(_) if connection.has_yielded() => {
                let next_turn = self.now + LONGEST_TURN;
                connection.lifecycle_mut().end_at(next_turn);
                self.hold(connection, false);
            }
            ConnectionState::Sending(after) => self.look_for_room(connection, after),
            ConnectionState::Head | ConnectionState::Body => self.receive_last(connection),
            ConnectionState::Idle => match self.still_takes(&mut connection) {
                true => self.hold(connection, false),
                false => self.receive_last(connection),
            },
            ConnectionState::Lingering(stage) => match self.may_linger(&mut connection, stage) {
                true => self.hold(connection, false),
                false => self.end_late(connection),
            },
            _ => self.end_late(connection),
        }
    }

    /// Reads bytes that may have come in time, even if the worker was too busy to read them.
    fn receive_last(&mut self, mut connection: Box<Connection>) {
        connection.look_again();
        self.receive(connection, true);
    }

    /// Whether the client is still receiving a response that the kernel already has in full. Closing the
    /// connection would cut the response off if the client sends more: the kernel answers that with a reset
    /// (RFC 9112 section 9.6).
    fn still_takes(&self, connection: &mut Connection) -> bool {
        if self.drain.is_some() || connection.is_acknowledged() {
            return false;
        }
        connection.extend_for_acknowledged(self.now, self.response_pace());
        !connection.lifecycle().is_overdue(self.now)
    }

    /// Whether a client that has not shut down its side gets more time for the rest of its response.
    fn may_linger(&self, connection: &mut Connection, stage: Linger) -> bool {
        match stage {
            Linger::Acknowledgement => self.still_takes(connection),
            // If no time limit applies, the kernel delivers the rest.
            _ => {
                self.drain.is_none()
                    && !connection.is_acknowledged()
                    && connection.await_acknowledgement(self.now, self.response_pace())
            }
        }
    }

    /// Ends the connection of a client that is too late.
    pub(super) fn end_late(&mut self, mut connection: Box<Connection>) {
        match connection.state() {
            ConnectionState::Head if connection.buffers().is_some() => {
                self.refuse(connection, &RequestError::HeadTimeout);
            }
            ConnectionState::Body => self.refuse(connection, &RequestError::BodyTimeout),
            ConnectionState::Head | ConnectionState::Idle => self.say_goodbye(connection),
            _ => {
                debug!("{} is late: the connection is closed", connection.peer());
                connection.lifecycle_mut().close();
                self.place(connection);
            }
        }
    }
}
