//! Passes requests that no thread of this worker will run soon to sibling workers.
//!
//! Rebalancing is one case. The kernel decides which worker accepts a connection, and a client that opens several at
//! once reaches the worker that woke up first. Kept-alive connections would then stay unbalanced for ever. So if
//! clients wait here for a thread while a sibling with fewer clients has an idle one, a client moves there.

use std::time::Duration;

use super::Reactor;
use crate::connection::Connection;
use crate::handoff;

/// The time between two moves: by then the sibling has taken the first one, and the counts are right again.
const PAUSE: Duration = Duration::from_millis(1);

impl Reactor {
    /// Gives the client that would wait longest to a sibling with an idle thread, but only if the sibling then
    /// has no more clients than this worker.
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

    /// Gives the requests that wait here for a thread to the first worker that has one.
    pub(crate) fn share_requests(&mut self) {
        if self.shared.ready.is_empty() || !self.shared.siblings.any() {
            return;
        }
        // One attempt shows that the queue is full: one per request would cost as many system calls per turn.
        let mut has_room = true;
        for connection in self.shared.ready.take_all(handoff::fits) {
            if has_room {
                has_room = self.pass_on_request(connection);
            } else {
                self.shared.ready.push(connection);
            }
        }
    }

    /// Gives away a whole request, or keeps it if the queue is full.
    fn pass_on_request(&mut self, mut connection: Box<Connection>) -> bool {
        let passed = handoff::pass_ready(&self.handoff, &connection);
        if passed {
            // The poll would otherwise keep watching a socket that a sibling has.
            self.poller.unwatch(&mut connection);
            self.forget(connection);
        } else {
            self.shared.ready.push(connection);
        }
        passed
    }
}
