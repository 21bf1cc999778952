//! Counts the connections that request threads have taken over from siblings, until the reactor has them.
//!
//! A worker that drains ends when it has no connection left. A thread increments the count before it takes a
//! connection. The drain closes the count: after that no thread takes any, and the worker ends only when the count is
//! 0.

use crate::sync::{AtomicUsize, Ordering};

/// Set once nothing may be taken over any more.
const CLOSED: usize = 1 << (usize::BITS - 1);

// Relaxed throughout: it is one word, and operations on one word have one order that all threads agree on.
#[derive(Debug)]
pub(crate) struct Adoptions(AtomicUsize);

impl Adoptions {
    pub(crate) fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// This thread is about to take a connection; false when it must not.
    pub(crate) fn begin(&self) -> bool {
        let is_open = self.0.fetch_add(1, Ordering::Relaxed) & CLOSED == 0;
        if !is_open {
            self.end();
        }
        is_open
    }

    /// The reactor has the connection, or there was none.
    pub(crate) fn end(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// Called by the reactor, when a drain begins.
    pub(crate) fn close(&self) {
        self.0.fetch_or(CLOSED, Ordering::Relaxed);
    }

    /// How many there are. After `close` there will be no more.
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed) & !CLOSED
    }
}
