//! Decides whether this process uses Redis. The breaker is closed while Redis is usable: recovery has found and
//! checked it, and it has all invalidations of this process. While it is open, only recovery talks to Redis, so no
//! request waits for it.
//!
//! ```text
//!   closed --- trip: a connection broke, several replies were late, an invalidation failed --> open
//!     ^                                                                                             |
//!     +---- close, by recovery: found, checked, all invalidations sent --------------------------------+
//! ```

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use socket2::SockAddr;

use super::connection::{ConnectionError, RedisConnection};
use super::pending_invalidations::{PendingInvalidation, PendingInvalidations};
use crate::metrics::CacheMetrics;

/// A single late reply may be a coincidence; this many in a row are not.
pub(super) const LATE: u32 = 3;

#[derive(Debug)]
pub(super) struct Breaker {
    state: Mutex<State>,
    /// Notified when the breaker opens or ends.
    bell: Condvar,
    late: AtomicU32,
    /// How many idle connections are kept for later commands.
    idle: usize,
    metrics: CacheMetrics,
}

#[derive(Debug, Default)]
struct State {
    home: Option<Home>,
    /// Counts homes, so that a connection of an earlier one does not come back.
    era: u64,
    pending: PendingInvalidations,
    ended: bool,
}

#[derive(Debug)]
struct Home {
    address: SockAddr,
    run_id: String,
    idle: Vec<RedisConnection>,
}

/// The permission to send one command to Redis, and a connection for it.
#[derive(Debug)]
pub(super) struct Permit {
    pub(super) era: u64,
    pub(super) source: ConnectionSource,
}

#[derive(Debug)]
pub(super) enum ConnectionSource {
    Idle(RedisConnection),
    /// No connection is idle: one may be opened, to this Redis and no other.
    New {
        address: SockAddr,
        run_id: String,
    },
}

impl Breaker {
    pub(super) fn new(idle: usize, metrics: CacheMetrics) -> Self {
        metrics.set_up(false);
        Self {
            state: Mutex::default(),
            bell: Condvar::new(),
            late: AtomicU32::new(0),
            idle,
            metrics,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.lock().home.is_none()
    }

    /// `None` while the breaker is open.
    pub(super) fn permit(&self) -> Option<Permit> {
        let mut state = self.lock();
        let era = state.era;
        let home = state.home.as_mut()?;
        let source = match home.idle.pop() {
            Some(connection) => ConnectionSource::Idle(connection),
            None => ConnectionSource::New {
                address: home.address.clone(),
                run_id: home.run_id.clone(),
            },
        };
        Some(Permit { era, source })
    }

    /// The Redis that recovery has checked; `None` while the breaker is open.
    pub(super) fn home(&self) -> Option<(SockAddr, String)> {
        let state = self.lock();
        let home = state.home.as_ref()?;
        Some((home.address.clone(), home.run_id.clone()))
    }

    /// Takes back a connection that has replied, for the next command.
    pub(super) fn answered(&self, era: u64, connection: RedisConnection) {
        if self.late.load(Ordering::Relaxed) != 0 {
            self.late.store(0, Ordering::Relaxed);
        }
        let mut state = self.lock();
        if state.era == era
            && let Some(home) = &mut state.home
            && home.idle.len() < self.idle
        {
            home.idle.push(connection);
        }
    }

    /// Reports that a command got no reply.
    pub(super) fn failed(&self, era: u64, error: &ConnectionError) {
        let trips = match error {
            ConnectionError::Late(_) => self.late.fetch_add(1, Ordering::Relaxed) + 1 >= LATE,
            _ => true,
        };
        let mut state = self.lock();
        if trips && state.era == era {
            self.open(&mut state);
        }
    }

    pub(super) fn trip(&self) {
        self.open(&mut self.lock());
    }

    /// Adds invalidations that Redis did not get, and opens: recovery sends them before this process reads again.
    pub(super) fn add_pending(&self, keys: impl IntoIterator<Item = PendingInvalidation>) {
        let mut state = self.lock();
        state.pending.add(keys);
        self.open(&mut state);
    }

    /// The pending invalidations, which recovery sends or gives back.
    pub(super) fn take_pending(&self) -> PendingInvalidations {
        std::mem::take(&mut self.lock().pending)
    }

    pub(super) fn give_back(&self, pending: PendingInvalidations) {
        self.lock().pending.merge(pending);
    }

    /// Closes, unless an invalidation is pending again. `None`: it stays open.
    pub(super) fn close(&self, address: &SockAddr, run_id: &str) -> Option<u64> {
        let mut state = self.lock();
        if !state.pending.is_nothing() {
            return None;
        }
        self.late.store(0, Ordering::Relaxed);
        state.era += 1;
        state.home = Some(Home {
            address: address.clone(),
            run_id: run_id.to_owned(),
            idle: Vec::new(),
        });
        self.metrics.set_up(true);
        Some(state.era)
    }

    /// The cache is gone: recovery may end.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.bell.notify_all();
    }

    /// Waits until the breaker is open, for `timeout` at most. False after [`Breaker::end`].
    pub(super) fn wait_open(&self, timeout: Duration) -> bool {
        self.wait(timeout, |state| state.home.is_none())
    }

    /// Waits for `timeout`, open or not. False after [`Breaker::end`].
    pub(super) fn pause(&self, timeout: Duration) -> bool {
        self.wait(timeout, |_| false)
    }

    fn wait(&self, timeout: Duration, until: impl Fn(&State) -> bool) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = self.lock();
        while !state.ended && !until(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.bell.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        !state.ended
    }

    fn open(&self, state: &mut State) {
        if state.home.take().is_some() {
            self.metrics.set_up(false);
            self.bell.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use oxicorn_common::Metrics;

    use super::*;
    use crate::metrics::METRICS;

    fn breaker() -> Breaker {
        let metrics = Metrics::unshared(METRICS).expect("memory");
        Breaker::new(1, CacheMetrics::of(&metrics).expect("metrics of ours"))
    }

    fn home() -> SockAddr {
        SockAddr::unix("/run/redis.sock").expect("a path")
    }

    #[test]
    fn it_closes_when_nothing_is_pending_and_an_invalidation_opens_it() {
        let breaker = breaker();
        assert!(breaker.is_open() && breaker.permit().is_none());
        let invalidation = || [("task:1".to_owned(), "!".to_owned())];
        breaker.add_pending(invalidation());
        assert_eq!(breaker.close(&home(), "a"), None);
        let pending = breaker.take_pending();
        breaker.give_back(pending);
        assert_eq!(breaker.close(&home(), "a"), None, "still pending");
        breaker.take_pending();
        assert_eq!(breaker.close(&home(), "a"), Some(1));
        assert!(!breaker.is_open() && breaker.permit().is_some());
        breaker.add_pending(invalidation());
        assert!(breaker.is_open());
    }

    #[test]
    fn three_late_answers_in_a_row_open_it_and_news_of_an_earlier_home_does_not() {
        let breaker = breaker();
        let era = breaker.close(&home(), "a").expect("nothing pending");
        let late = || ConnectionError::Late(Duration::from_millis(5));
        (1..LATE).for_each(|_| breaker.failed(era, &late()));
        assert!(!breaker.is_open());
        breaker.failed(era, &late());
        assert!(breaker.is_open());
        breaker.close(&home(), "b").expect("nothing pending");
        breaker.failed(era, &ConnectionError::Gibberish);
        assert!(!breaker.is_open());
    }
}
