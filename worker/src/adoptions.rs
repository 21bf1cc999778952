//! Counts the connections that request threads have taken over from siblings and not yet passed to the reactor.
//!
//! A worker that drains ends when it has no connection left. A thread increments the count before it takes a
//! connection. The drain closes the count: after that no thread takes any, and the worker ends only when the count is
//! 0.

use crate::sync::{AtomicUsize, Ordering};

/// Set when no more connections may be taken over.
const CLOSED: usize = 1 << (usize::BITS - 1);

// Relaxed throughout: it is one word, and all threads agree on the order of operations on one word.
#[derive(Debug)]
pub(crate) struct Adoptions(AtomicUsize);

impl Adoptions {
    pub(crate) fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// This thread is about to take a connection; false if it must not.
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

    /// Called by the reactor when a drain begins.
    pub(crate) fn close(&self) {
        self.0.fetch_or(CLOSED, Ordering::Relaxed);
    }

    /// The number of such connections. It does not grow after `close`.
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed) & !CLOSED
    }
}
