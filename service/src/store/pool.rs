//! The database connections of one process, by four settings.
//!
//! ```text
//!   take --+-- kept: POOL_SIZE connections, which stay open
//!          |
//!          +-- overflow: MAX_OVERFLOW more while all of those are lent, closed when they have
//!          |   idled a while
//!          |
//!          +-- neither: wait POOL_TIMEOUT
//! ```
//!
//! A connection is replaced at about the age of POOL_RECYCLE; a random part keeps connections that were opened together
//! from being replaced together.

mod permits;

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use oxicorn_common::Settings;
use r2d2::{ManageConnection, NopErrorHandler, PooledConnection};
use scheduled_thread_pool::ScheduledThreadPool;

use self::permits::{ConnectionPermit, ConnectionPermits, PoolPart};
use super::StoreError;
use crate::metrics::PoolMetrics;
use crate::settings::ServiceSettings;

/// How long a connection beyond POOL_SIZE may idle.
const OVERFLOW_IDLES: Duration = Duration::from_secs(60);
/// r2d2 pauses for half of this at most after a failed attempt to connect.
const RETRY: Duration = Duration::from_secs(1);

/// POOL_SIZE, MAX_OVERFLOW, POOL_RECYCLE and POOL_TIMEOUT.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PoolShape {
    pub(crate) size: u32,
    pub(crate) overflow: u32,
    pub(crate) recycle: Option<Duration>,
    pub(crate) timeout: Duration,
}

impl PoolShape {
    pub(crate) fn of_worker(settings: &Settings) -> Self {
        let own = ServiceSettings::of(settings);
        let recycle = own.pool_recycle;
        Self {
            size: own.pool_size,
            overflow: own.max_overflow,
            recycle: (!recycle.is_zero()).then_some(recycle),
            timeout: pool_timeout(settings),
        }
    }

    /// A runner does one task at a time, renews its lease, and publishes: three connections.
    pub(crate) fn of_runner(settings: &Settings) -> Self {
        Self {
            size: 1,
            overflow: 2,
            ..Self::of_worker(settings)
        }
    }
}

/// Shorter than `timeout`, so that a request gets 503 and is not cut off, with its worker replaced.
fn pool_timeout(settings: &Settings) -> Duration {
    let wanted = ServiceSettings::of(settings).pool_timeout;
    match settings.timeout {
        Duration::ZERO => wanted,
        timeout => wanted.min(timeout * 2 / 3),
    }
}

/// A connection, and when it is to be replaced.
#[derive(Debug)]
pub(super) struct Aged<C> {
    connection: C,
    opened: Instant,
    retires: Option<Instant>,
    doomed: bool,
    /// It counts as idle, unless it is lent.
    metrics: PoolMetrics,
}

impl<C> Drop for Aged<C> {
    fn drop(&mut self) {
        self.metrics.idle.dec();
    }
}

impl<C> Aged<C> {
    pub(super) fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// Has the connection closed instead of returned.
    pub(super) fn doom(&mut self) {
        self.doomed = true;
    }

    fn is_over(&self) -> bool {
        self.doomed || self.retires.is_some_and(|at| Instant::now() >= at)
    }
}

impl<C> Deref for Aged<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.connection
    }
}

impl<C> DerefMut for Aged<C> {
    fn deref_mut(&mut self) -> &mut C {
        &mut self.connection
    }
}

/// Opens connections for both of r2d2's pools, and remembers the last failure.
#[derive(Debug)]
pub(super) struct ConnectionOpener<M> {
    manager: M,
    recycle: Option<Duration>,
    metrics: PoolMetrics,
    /// When and why the last attempt failed; `None` if it succeeded.
    failure: Mutex<Option<(Instant, String)>>,
}

#[derive(Debug)]
struct SharedManager<M>(Arc<ConnectionOpener<M>>);

impl<M: ManageConnection> ManageConnection for SharedManager<M> {
    type Connection = Aged<M::Connection>;
    type Error = M::Error;

    fn connect(&self) -> Result<Self::Connection, Self::Error> {
        let opened = self.0.manager.connect();
        let failure = opened.as_ref().err();
        let failure = failure.map(|error| (Instant::now(), chain(error)));
        *self
            .0
            .failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = failure;
        let connection = opened?;
        self.0.metrics.idle.inc();
        Ok(Aged {
            connection,
            opened: Instant::now(),
            retires: self.0.recycle.map(|age| Instant::now() + shortened(age)),
            doomed: false,
            metrics: self.0.metrics.clone(),
        })
    }

    fn is_valid(&self, connection: &mut Self::Connection) -> Result<(), Self::Error> {
        self.0.manager.is_valid(&mut connection.connection)
    }

    fn has_broken(&self, connection: &mut Self::Connection) -> bool {
        connection.is_over() || self.0.manager.has_broken(&mut connection.connection)
    }
}

/// A lent connection, and the permit for it.
pub(super) struct Lent<'a, M: ManageConnection> {
    // In this order: a thread that waits for the permit finds the connection returned.
    connection: PooledConnection<SharedManager<M>>,
    _permit: ConnectionPermit<'a>,
}

impl<'a, M: ManageConnection> Lent<'a, M> {
    fn new(connection: PooledConnection<SharedManager<M>>, permit: ConnectionPermit<'a>) -> Self {
        connection.metrics.in_use.inc();
        connection.metrics.idle.dec();
        Self {
            connection,
            _permit: permit,
        }
    }
}

impl<M: ManageConnection> Drop for Lent<'_, M> {
    fn drop(&mut self) {
        self.connection.metrics.idle.inc();
        self.connection.metrics.in_use.dec();
    }
}

impl<M: ManageConnection> Deref for Lent<'_, M> {
    type Target = Aged<M::Connection>;

    fn deref(&self) -> &Self::Target {
        &self.connection
    }
}

impl<M: ManageConnection> DerefMut for Lent<'_, M> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.connection
    }
}

#[derive(Debug)]
pub(super) struct Pool<M: ManageConnection> {
    opener: Arc<ConnectionOpener<M>>,
    kept: r2d2::Pool<SharedManager<M>>,
    /// Absent if MAX_OVERFLOW is 0.
    overflow: Option<r2d2::Pool<SharedManager<M>>>,
    permits: ConnectionPermits,
    timeout: Duration,
}

impl<M: ManageConnection> Pool<M> {
    pub(super) fn new(manager: M, shape: PoolShape, metrics: PoolMetrics) -> Self {
        Self::with_idle_time(manager, shape, metrics, OVERFLOW_IDLES)
    }

    fn with_idle_time(manager: M, shape: PoolShape, metrics: PoolMetrics, idles: Duration) -> Self {
        let permits = ConnectionPermits::new(shape.size, shape.overflow, metrics.waiting.clone());
        let opener = Arc::new(ConnectionOpener {
            manager,
            recycle: shape.recycle,
            metrics,
            failure: Mutex::new(None),
        });
        // One helper thread opens and closes the connections of this process.
        let helper = Arc::new(ScheduledThreadPool::new(1));
        let lifetime = shape.recycle.map(shortened);
        let builder = |size| {
            r2d2::Pool::builder()
                .max_size(size)
                .max_lifetime(lifetime)
                .connection_timeout(RETRY)
                .test_on_check_out(false)
                .error_handler(Box::new(NopErrorHandler))
                .thread_pool(Arc::clone(&helper))
        };
        let kept = builder(shape.size)
            .idle_timeout(None)
            .build_unchecked(SharedManager(Arc::clone(&opener)));
        let overflow = (shape.overflow > 0).then(|| {
            builder(shape.overflow)
                .min_idle(Some(0))
                .idle_timeout(Some(idles))
                .build_unchecked(SharedManager(Arc::clone(&opener)))
        });
        Self {
            opener,
            kept,
            overflow,
            permits,
            timeout: shape.timeout,
        }
    }

    /// A connection, within POOL_TIMEOUT. A database that cannot be reached is not waited for.
    pub(super) fn take(&self) -> Result<Lent<'_, M>, StoreError> {
        let taken = self.take_or_wait();
        if let Err(StoreError::Busy(_)) = &taken {
            self.opener.metrics.timeouts.inc();
        }
        taken
    }

    fn take_or_wait(&self) -> Result<Lent<'_, M>, StoreError> {
        let (began, deadline) = (Instant::now(), Instant::now() + self.timeout);
        loop {
            let permit = self.permits.take(deadline).ok_or(StoreError::Busy(None))?;
            let (pool, is_overflow) = match (&self.overflow, permit.part) {
                (Some(overflow), PoolPart::Overflow) => (overflow, true),
                _ => (&self.kept, false),
            };
            match self.lend(pool, is_overflow, began, deadline) {
                Ok(connection) => return Ok(Lent::new(connection, permit)),
                // The database accepts no more connections: the open ones have to do.
                Err(StoreError::Unreachable(_)) if is_overflow => {
                    drop(permit);
                    self.permits.shut_overflow();
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether an attempt to connect has failed since `began`, and none has succeeded after it. An earlier failure does
    /// not count: the outage may have ended since.
    pub(super) fn has_failed_since(&self, began: Instant) -> bool {
        let failure = self.opener.failure.lock();
        let failure = failure.unwrap_or_else(PoisonError::into_inner);
        failure.as_ref().is_some_and(|(at, _)| *at >= began)
    }

    pub(super) fn manager(&self) -> &M {
        &self.opener.manager
    }

    fn lend(
        &self,
        pool: &r2d2::Pool<SharedManager<M>>,
        is_overflow: bool,
        began: Instant,
        deadline: Instant,
    ) -> Result<PooledConnection<SharedManager<M>>, StoreError> {
        const LOOK: Duration = Duration::from_millis(50);
        let mut waiter = None;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let lent = pool.try_get().or_else(|| {
                waiter.get_or_insert_with(|| self.permits.waiter());
                pool.get_timeout(left.min(LOOK)).ok()
            });
            if let Some(mut lent) = lent {
                if !lent.is_over() {
                    return Ok(lent);
                }
                lent.doom();
                continue;
            }
            // A thread may return an open connection of this pool, but only if there is one. Connections of the other
            // pool are of no use here.
            if is_overflow || pool.state().connections == 0 {
                let failure = self.opener.failure.lock();
                let failure = failure.unwrap_or_else(PoisonError::into_inner);
                if let Some((at, why)) = failure.as_ref()
                    && *at + RETRY >= began
                {
                    return Err(StoreError::Unreachable(why.clone()));
                }
            }
            if left.is_zero() {
                return Err(StoreError::Busy(None));
            }
        }
    }
}

/// Shorter by up to a tenth, at random.
fn shortened(age: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or_default();
    age.mul_f64(1.0 - 0.1 * f64::from(random) / f64::from(u32::MAX))
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
