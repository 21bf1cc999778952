//! Connections that other threads give to the leader, and the waker that interrupts its poll.

use log::error;
use mio::Waker;

use super::returned::Returned;
use crate::connection::Connection;

/// A connection that another thread no longer needs.
#[derive(Debug)]
pub(super) enum ForLeader {
    /// Its request is served.
    Served(Box<Connection>),
    /// It was taken over from a sibling, and needs no thread. Counted in `adoptions`.
    TakenOver(Box<Connection>),
}

#[derive(Debug)]
pub(super) struct LeaderInbox {
    returned: Returned<ForLeader>,
    /// Interrupts the reactor's poll.
    waker: Waker,
}

impl LeaderInbox {
    pub(super) fn new(waker: Waker) -> Self {
        Self {
            returned: Returned::new(),
            waker,
        }
    }

    /// Passes a connection to the leader, and wakes it unless the connection `may_wait` for the next event.
    pub(super) fn give(&self, connection: ForLeader, may_wait: bool) {
        let is_quiet = |connection: &mut ForLeader| match connection {
            ForLeader::Served(connection) => may_wait && connection.is_quiet(),
            ForLeader::TakenOver(_) => false,
        };
        if self.returned.give(connection, is_quiet) {
            self.wake();
        }
    }

    /// Called by the leader, after each turn of the reactor.
    pub(super) fn end_turn(&self) {
        self.returned.end_turn();
    }

    pub(super) fn take(&self) -> impl Iterator<Item = ForLeader> {
        self.returned.take().into_iter()
    }

    pub(super) fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            error!("cannot wake the event loop: {error}");
        }
    }
}
