//! Ends connections: lingers, ends the TLS session (close_notify), closes the socket, and removes the entry.

use std::net::Shutdown;
use std::time::Duration;

use super::Reactor;
use crate::connection::{Connection, ConnectionState, Linger};

/// How long a client may still send after we have shut down our side.
const LINGER: Duration = Duration::from_secs(2);

impl Reactor {
    /// Shuts down our side, and drops what the client still sends until it shuts down its own.
    pub(super) fn linger(&mut self, mut connection: Box<Connection>, stage: Linger) {
        if stage == Linger::Begin {
            connection.transport().finish();
            connection.transport().socket().shutdown(Shutdown::Write);
            connection.lifecycle_mut().await_end(self.now, LINGER);
        }
        match connection.discard() {
            true => self.close(connection),
            false => self.hold(connection, false),
        }
    }

    /// Closes a connection whose client waits for nothing; over TLS it sends a close_notify first.
    pub(super) fn say_goodbye(&mut self, connection: Box<Connection>) {
        connection.transport().finish();
        self.close(connection);
    }

    /// Ends a connection and forgets it.
    pub(super) fn close(&mut self, mut connection: Box<Connection>) {
        // If another process has the socket, closing ours would inform neither the client nor the poll.
        if connection.is_shared() {
            self.poller.unwatch(&mut connection);
            connection.transport().socket().shutdown(Shutdown::Both);
        }
        self.forget(connection);
    }

    /// Forgets a connection, which may continue in a sibling. The socket is closed with its last handle.
    pub(super) fn forget(&mut self, mut connection: Box<Connection>) {
        if connection.state() == ConnectionState::TimedOut {
            self.timed_out -= 1;
        }
        if connection.take_adopted() {
            self.shared.adoptions.end();
        }
        // The client may have left in the middle of a response, or stopped reading it.
        self.end_response(&mut connection);
        connection.count_octets(|| self.shared.slot().event_loop());
        if let Some(buffers) = connection.take_buffers() {
            self.buffers.keep(buffers);
        }
        if connection.token().is_some_and(|it| self.table.remove(it)) {
            self.accepting.end();
            self.shared.set_place_wanted(false);
            self.note_lack_of_descriptors(false);
            self.count_connections();
        }
    }

    /// Ends the connections that would otherwise live on in processes that the application has forked, because
    /// this process is about to end.
    pub(crate) fn end_shared(&self) {
        for (_, connection) in self.table.iter().filter(|(_, it)| it.is_shared()) {
            connection.transport().socket().shutdown(Shutdown::Both);
        }
    }

    /// The current response is over, whether all of it was sent or not.
    pub(super) fn end_response(&self, connection: &mut Connection) {
        let stats = self.shared.slot().event_loop();
        let log = &self.shared.access_log;
        log.end_response(connection, self.now, stats);
    }

    /// Writes the number of connections to the scoreboard.
    pub(super) fn count_connections(&self) {
        self.shared.slot().set_connections(self.table.len());
    }

    /// Writes to the scoreboard where the connections are.
    pub(super) fn show_connections(&self) {
        let mut states = self.table.states();
        states.away += self.shared.adoptions.count() as u64;
        self.shared.slot().set_connection_states(states);
        if self.shared.shedding.is_some() {
            self.shared.slot().set_waiting(self.shared.ready.len());
        }
    }
}
