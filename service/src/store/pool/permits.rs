//! Permits for the connections of a pool: first POOL_SIZE kept ones, then MAX_OVERFLOW more.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use oxicorn_common::metrics::GaugeHandle;

/// Which of the two pools a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PoolPart {
    Kept,
    Overflow,
}

/// The free permits: those of POOL_SIZE are given out first, then those of MAX_OVERFLOW.
#[derive(Debug)]
pub(super) struct ConnectionPermits {
    state: Mutex<Free>,
    freed: Condvar,
    /// How many threads wait for a permit, or with one for a connection.
    waiters: GaugeHandle,
}

/// A thread that waits, until dropped.
#[derive(Debug)]
pub(super) struct Waiter<'a>(&'a GaugeHandle);

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[derive(Debug)]
struct Free {
    kept: u32,
    overflow: u32,
    /// Threads that wait. A wake-up costs a system call even if none does.
    waiting: u32,
    /// The database has lately refused more connections.
    shut_until: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct ConnectionPermit<'a> {
    permits: &'a ConnectionPermits,
    pub(super) part: PoolPart,
}

impl ConnectionPermits {
    const SHUT: Duration = Duration::from_secs(1);

    pub(super) fn new(kept: u32, overflow: u32, waiters: GaugeHandle) -> Self {
        Self {
            state: Mutex::new(Free {
                kept,
                overflow,
                waiting: 0,
                shut_until: None,
            }),
            freed: Condvar::new(),
            waiters,
        }
    }

    /// Counts this thread among those that wait.
    pub(super) fn waiter(&self) -> Waiter<'_> {
        self.waiters.inc();
        Waiter(&self.waiters)
    }

    pub(super) fn take(&self, deadline: Instant) -> Option<ConnectionPermit<'_>> {
        let mut waiter = None;
        let mut free = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let now = Instant::now();
            let part = if free.kept > 0 {
                free.kept -= 1;
                Some(PoolPart::Kept)
            } else if free.overflow > 0 && free.shut_until.is_none_or(|until| now >= until) {
                free.overflow -= 1;
                Some(PoolPart::Overflow)
            } else {
                None
            };
            if let Some(part) = part {
                return Some(ConnectionPermit {
                    permits: self,
                    part,
                });
            }
            let left = deadline.saturating_duration_since(now);
            if left.is_zero() {
                return None;
            }
            waiter.get_or_insert_with(|| self.waiter());
            free.waiting += 1;
            let waited = self.freed.wait_timeout(free, left.min(Self::SHUT));
            free = waited.unwrap_or_else(PoisonError::into_inner).0;
            free.waiting -= 1;
        }
    }

    pub(super) fn shut_overflow(&self) {
        let mut free = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        free.shut_until = Some(Instant::now() + Self::SHUT);
    }
}

impl Drop for ConnectionPermit<'_> {
    fn drop(&mut self) {
        let mut free = self
            .permits
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match self.part {
            PoolPart::Kept => free.kept += 1,
            PoolPart::Overflow => free.overflow += 1,
        }
        if free.waiting > 0 {
            self.permits.freed.notify_one();
        }
    }
}
