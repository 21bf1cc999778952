//! Connections that request threads return to the leader after their requests, while another thread leads.
//!
//! The leader need not be woken for a client that has sent nothing yet: what it sends later wakes the leader, which
//! takes back what is here after each turn of the reactor. If a turn ends between the thread's check of the socket
//! and its giving back, the leader may miss the connection. So turns are counted: when the count has changed, the
//! thread wakes the leader.

use crate::sync::{AtomicU64, Mutex, Ordering, lock};

#[derive(Debug)]
pub(crate) struct Returned<T> {
    items: Mutex<Vec<T>>,
    /// Finished turns of the reactor.
    turns: AtomicU64,
}

impl<T> Returned<T> {
    pub(crate) fn new() -> Self {
        Self {
            items: Mutex::new(Vec::new()),
            turns: AtomicU64::new(0),
        }
    }

    /// Returns `item`. True if the leader has to be woken for it: it is not `quiet`, or may not have been quiet
    /// since.
    pub(crate) fn give(&self, mut item: T, is_quiet: impl FnOnce(&mut T) -> bool) -> bool {
        // Acquire: the look at the socket comes after it.
        let turns = self.turns.load(Ordering::Acquire);
        let quiet = is_quiet(&mut item);
        lock(&self.items).push(item);
        // Relaxed: if the leader looked here before the item came, it had ended its turn before, and the lock has
        // made that visible.
        !quiet || self.turns.load(Ordering::Relaxed) != turns
    }

    /// A turn has ended. Must be called by the leader before `take`.
    pub(crate) fn end_turn(&self) {
        // Release: a thread that sees it sees the client's bytes too, which this turn was about.
        self.turns.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn take(&self) -> Vec<T> {
        std::mem::take(&mut *lock(&self.items))
    }
}
