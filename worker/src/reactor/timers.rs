//! Deadlines of connections, kept lazily: a deadline that moves later costs nothing until its old
//! timer fires and is set again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, usize)>>,
}

impl Timers {
    /// Fires for `token` at that time.
    pub(crate) fn set(&mut self, at: Instant, token: usize) {
        self.heap.push(Reverse((at, token)));
    }

    /// The token of a timer that is due. It may be stale: the connection knows which one is its own.
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
