//! Which connections get in, and which go when there is no room.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use log::{debug, warn};

use super::{AWAY, Entry, Reactor};
use crate::connection::{Awaited, Connection};

impl Reactor {
    /// Takes in a connection that is new to this worker.
    pub(crate) fn admit(&mut self, mut connection: Box<Connection>) {
        connection.token = self.table.insert(AWAY);
        self.gate.doubt(&mut connection);
        if connection.opening.is_some() {
            connection.opening = self.gate.first();
        }
        connection.sender.trusted = self.is_trusted(&connection);
        let awaited = match connection.opening {
            Some(_) => Awaited::Opening,
            None => Awaited::Head,
        };
        connection.await_within(awaited, self.now, self.station.settings.header_timeout);
        self.count_connections();
        self.place(connection);
    }

    /// Whether the other end of the socket may speak for clients. A PROXY protocol header says who
    /// the client is, not who sent it; and a socket that was reset tells neither.
    fn is_trusted(&self, connection: &Connection) -> bool {
        let sender = match connection.proxied {
            true => connection.stream.peer(),
            false => Some(connection.peer),
        };
        sender.is_some_and(|peer| self.rules.fields.trusts(peer))
    }

    pub(super) fn accept(&mut self, index: usize) {
        match self.acceptor.accept(index) {
            Ok(Some(connection)) => self.admit(Box::new(connection)),
            Ok(None) => {}
            Err(error) => {
                warn!("cannot accept: {error}; next attempt in a second");
                self.accept_after = Some(self.now + Duration::from_secs(1));
            }
        }
    }

    /// Whether one more connection fits; makes room where an idle one can go.
    pub(super) fn has_room(&mut self) -> bool {
        if self.drain.is_some() || self.accept_after.is_some_and(|at| Instant::now() < at) {
            return false;
        }
        self.accept_after = None;
        self.table.len() < self.station.settings.worker_connections || self.evict()
    }

    /// Closes the connection that has been idle longest, or else the slowest head or opening.
    fn evict(&mut self) -> bool {
        let victim = self
            .table
            .iter()
            .filter_map(|(token, entry)| match entry {
                Entry::Here(it) if it.awaited == Awaited::Request => Some((0, it.deadline, token)),
                Entry::Here(it) if matches!(it.awaited, Awaited::Head | Awaited::Opening) => {
                    Some((1, it.deadline, token))
                }
                _ => None,
            })
            .min();
        let Some((_, _, token)) = victim else {
            return false;
        };
        if let Entry::Here(connection) = std::mem::replace(&mut self.table[token], AWAY) {
            debug!("worker_connections reached: closing an idle connection");
            self.part(connection);
        }
        true
    }

    pub(super) fn count_connections(&self) {
        let count = u32::try_from(self.table.len()).unwrap_or(u32::MAX);
        self.station
            .slot()
            .connections
            .store(count, Ordering::Relaxed);
    }
}
