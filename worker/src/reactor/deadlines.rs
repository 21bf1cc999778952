//! Clients that took too long, and requests that cannot be served.

use log::{debug, error, warn};
use oxicorn_common::request::{Peer, Scheme};

use super::{AWAY, Entry, Reactor};
use crate::connection::{Awaited, Buffers, Connection, Phase, Then};
use crate::exchange::Exchange;
use crate::http::{Refusal, RequestError};
use crate::outgoing::Flushed;

impl Reactor {
    /// Deals with the connections whose deadline has passed.
    pub(super) fn expire(&mut self) {
        while let Some((at, token)) = self.timers.pop_due(self.now) {
            let Some(entry) = self.table.get_mut(token) else {
                continue;
            };
            if !matches!(entry, Entry::Here(connection) if connection.timer == Some(at)) {
                continue;
            }
            let Entry::Here(mut connection) = std::mem::replace(entry, AWAY) else {
                continue;
            };
            connection.timer = None;
            if connection
                .deadline
                .is_some_and(|deadline| deadline <= self.now)
            {
                self.time_out(connection);
            } else {
                self.hold(connection, false);
            }
        }
    }

    fn time_out(&mut self, mut connection: Box<Connection>) {
        let silent = connection.buffers.is_none();
        match connection.awaited {
            Awaited::Head | Awaited::Body if !silent => {
                self.refuse(connection, &RequestError::Timeout);
            }
            awaited => {
                debug!("closing a connection that kept us waiting for its {awaited:?}");
                match awaited {
                    Awaited::Request | Awaited::Head => self.part(connection),
                    _ => {
                        connection.phase = Phase::Dead;
                        self.place(connection);
                    }
                }
            }
        }
    }

    /// Answers a request that is none, and closes.
    pub(super) fn refuse(&mut self, mut connection: Box<Connection>, error: &RequestError) {
        match (error, connection.peer) {
            // Somebody has typed http for https, as somebody does every day.
            (RequestError::WithoutTls, peer) => debug!("Invalid request from {peer}: {error}"),
            // Nothing is wrong with the request.
            (RequestError::Spool { .. }, peer) => error!("Request from {peer}: {error}"),
            (_, Peer::Tcp(address)) => warn!("Invalid request from ip={}: {error}", address.ip()),
            (_, Peer::Unix) => warn!("Invalid request from a local client: {error}"),
        }
        let (status, started) = (error.status(), self.now);
        let (mut scheme, mut head) = (Scheme::default(), None);
        if let Some(Buffers { inbox, intake }) = connection.buffers.as_deref_mut() {
            let has_head = intake.refuse(inbox);
            scheme = intake.scheme;
            head = has_head.then_some(&intake.head);
        }
        let date = self.date.at(started);
        let refusal = Refusal::new(status, error.advice(), head, date);
        connection.outgoing = refusal.outgoing;
        connection.exchange = Some(Exchange {
            started,
            scheme,
            variables: Vec::new(),
            status: status.as_u16(),
            fields: refusal.response.fields,
            body_bytes: refusal.body_bytes,
        });
        connection.then = Then::Linger;
        connection.phase = match connection.outgoing.flush(&connection.stream) {
            Ok(Flushed::Done) => Phase::Lingering,
            // A refusal is far shorter than what a turn allows.
            Ok(_) => Phase::Sending,
            Err(_) => Phase::Dead,
        };
        if connection.phase != Phase::Sending {
            connection.conclude(&self.station, started);
        }
        self.place(connection);
    }
}
