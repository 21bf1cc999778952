//! Rebalancing: where clients wait here for a thread while a sibling with fewer clients has one idle, one
//! of them moves over.
//!
//! Which worker accepts a connection is up to the kernel, and a client that opens several at once
//! finds whoever woke up first. Connections that are kept alive would stay as they fell for ever.

use std::time::Duration;

use super::Reactor;
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
        let lightest = self.shared.lightest_sibling();
        if lightest.is_none_or(|clients| clients + 2 > self.table.len()) {
            return;
        }
        if let Some(connection) = self.shared.ready.pop_last_if(handoff::fits) {
            self.pass_on_ready(connection);
        }
    }
}
