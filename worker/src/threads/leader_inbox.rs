//! What other threads have for the leader: connections that it is to go on with, and the wake-up for them.

use log::error;
use mio::Waker;

use super::returned::Returned;
use crate::connection::Connection;

#[derive(Debug)]
pub(super) struct LeaderInbox {
    returned: Returned<Box<Connection>>,
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

    /// Gives a connection to the leader, which is woken for it unless it `may_wait` for the next event.
    pub(super) fn give(&self, connection: Box<Connection>, may_wait: bool) {
        let is_quiet = |connection: &mut Box<Connection>| may_wait && connection.is_quiet();
        if self.returned.give(connection, is_quiet) {
            self.wake();
        }
    }

    /// Called by the leader, after each turn of the reactor.
    pub(super) fn end_turn(&self) {
        self.returned.end_turn();
    }

    pub(super) fn take(&self) -> impl Iterator<Item = Box<Connection>> {
        self.returned.take().into_iter()
    }

    pub(super) fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            error!("cannot wake the event loop: {error}");
        }
    }
}
