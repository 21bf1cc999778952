//! Unique tokens for reservations, and unique marks for the changes of each thread.

use std::sync::atomic::{AtomicU64, Ordering};

/// Makes the tokens and marks of one process.
#[derive(Debug)]
pub(super) struct Marker {
    process: u64,
    reservations: AtomicU64,
}

static THREADS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static THREAD: u64 = THREADS.fetch_add(1, Ordering::Relaxed);
}

impl Marker {
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        Ok(Self {
            process: getrandom::u64()?,
            reservations: AtomicU64::new(0),
        })
    }

    /// A token for one reservation.
    pub(super) fn token(&self) -> String {
        let number = self.reservations.fetch_add(1, Ordering::Relaxed);
        format!("?{:016x}{number:x}", self.process)
    }

    /// The mark of this thread. A change is announced and settled by one thread, which makes one
    /// change at a time. All marks have the same length, so that none is a part of another.
    pub(super) fn mark(&self) -> String {
        let thread = THREAD.with(|it| *it);
        format!("!{:016x}{thread:016x}", self.process)
    }
}
