//! Deadlines of connections, kept lazily: moving a deadline to a later time costs nothing until its old timer
//! fires and is set again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, usize)>>,
}

impl Timers {
    /// Sets a timer for `token`.
    pub(crate) fn set(&mut self, at: Instant, token: usize) {
        self.heap.push(Reverse((at, token)));
    }

    /// The token of a timer that is due. The timer may be stale: the connection knows which one is its own.
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
