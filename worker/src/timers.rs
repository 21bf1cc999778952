//! Deadlines of connections, kept lazily: a deadline that moves later costs nothing until its old
//! timer fires and is set anew.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use crate::connection::Connection;

#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, usize)>>,
}

impl Timers {
    /// Sees to it that a timer fires no later than the connection's deadline.
    pub(crate) fn arm(&mut self, connection: &mut Connection, now: Instant) {
        let Some(deadline) = connection.deadline else {
            return;
        };
        // A timer that went off while a request thread had the connection is no timer any more.
        if connection
            .timer
            .is_none_or(|timer| deadline < timer || timer <= now)
        {
            connection.timer = Some(deadline);
            self.heap.push(Reverse((deadline, connection.token)));
        }
    }

    /// The token of a timer that is due. It may be stale: the caller compares the deadline.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(Instant, usize)> {
        match self.heap.peek() {
            Some(&Reverse((at, token))) if at <= now => {
                self.heap.pop();
                Some((at, token))
            }
            _ => None,
        }
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|&Reverse((at, _))| at)
    }
}
