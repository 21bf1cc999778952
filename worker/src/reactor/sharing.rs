//! Passes requests that no thread of this worker will run soon to sibling workers.
//!
//! Rebalancing is one case. The kernel decides which worker accepts a connection, and a client that opens several at
//! once finds the worker that woke up first; kept-alive connections would stay so for ever. So where clients wait
//! here for a thread while a sibling with fewer clients has an idle one, a client moves over.

use std::time::Duration;

use super::Reactor;
use crate::connection::Connection;
use crate::handoff;

/// Between two that move: the sibling has taken the first one by then, and the counts are true
/// again.
const PAUSE: Duration = Duration::from_millis(1);

impl Reactor {
    /// Gives the client that would wait longest to a sibling that has the time for it. Only where
    /// that leaves neither with more than the other had.
    pub(super) fn rebalance(&mut self) {
        let crowded =
            self.shared.ready.len() > 1 && self.now >= self.rebalance_after && self.drain.is_none();
        if !crowded {
            return;
        }
        self.rebalance_after = self.now + PAUSE;
        let lightest = self.shared.siblings.fewest_clients();
        if lightest.is_none_or(|clients| clients + 2 > self.table.len()) {
            return;
        }
        if let Some(connection) = self.shared.ready.pop_last_if(handoff::fits) {
            self.pass_on_request(connection);
        }
    }

    /// Gives the requests that wait here for a thread to whichever worker has one first.
    pub(crate) fn share_requests(&mut self) {
        if self.shared.ready.is_empty() || !self.shared.siblings.any() {
            return;
        }
        // One attempt shows that the queue is full: as many as wait here would be as many system calls per turn.
        let mut has_room = true;
        for connection in self.shared.ready.take_all(handoff::fits) {
            if has_room {
                has_room = self.pass_on_request(connection);
            } else {
                self.shared.ready.push(connection);
            }
        }
    }

    /// Gives away a request that is whole, or keeps it when the queue is full.
    fn pass_on_request(&mut self, mut connection: Box<Connection>) -> bool {
        let passed = handoff::pass_ready(&self.handoff, &connection);
        if passed {
            // The poll would go on watching a socket that a sibling has.
            self.poller.unwatch(&mut connection);
            self.forget(connection);
        } else {
            self.shared.ready.push(connection);
        }
        passed
    }
}
