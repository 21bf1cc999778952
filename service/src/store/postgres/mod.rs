//! The store in PostgreSQL, shared by all workers and runners of all servers.
//!
//! A read is one round trip with a prepared statement, and is tried once more if its connection is dead. A change that
//! invalidates cache keys is a transaction, because the caches are told before the commit; any other is a single
//! statement.

mod change;
mod clock;
mod columns;
mod connection;
mod error;
mod listener;
mod migrations;
mod outbox;
mod queue;
mod relay_turn;
mod sessions;
mod stale_keys;
mod statements;
mod survey;
mod target;
mod tasks;
mod users;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use log::{debug, warn};
use oxicorn_common::{Settings, WorkerContext};

pub(crate) use listener::ChangeListener;

use super::pool::{Lent, Pool, PoolShape};
use super::{IDENTITY_DIGITS, Invalidate, Store, StoreError};
use crate::health::Health;
use crate::metrics::PoolMetrics;
use crate::outages::{Backend, Outages};
use crate::settings::ServiceSettings;
use change::PgChange;
use connection::{Manager, PgConnection};
use target::PgTarget;

/// How long a suspect connection has for its answer.
const CHECK: Duration = Duration::from_secs(2);
/// If this many connections in a row are dead, the server counts as down.
const DEAD: usize = 64;
/// Attempts at a change.
const ATTEMPTS: usize = 3;
/// A connection to a server that accepts no changes is closed at this age: if another server has taken over, the next
/// connection leads there.
const SETTLED: Duration = Duration::from_secs(1);

/// Checks the URL without connecting.
pub(super) fn check(settings: &ServiceSettings) -> anyhow::Result<()> {
    Manager::new(PgTarget::parse(&settings.database_url)?, false).map(drop)
}

#[derive(Debug)]
pub(crate) struct Postgres {
    pool: Pool<Manager>,
    health: Arc<Health>,
    caches: Arc<dyn Invalidate>,
    /// Other processes have caches of their own, which learn of changes by NOTIFY.
    notifies: bool,
    /// The last change was refused, because the server accepts none.
    refuses: AtomicBool,
}

impl Postgres {
    pub(crate) fn open(
        context: &WorkerContext,
        shape: PoolShape,
        caches: Arc<dyn Invalidate>,
    ) -> anyhow::Result<Self> {
        let settings = ServiceSettings::of(&context.settings);
        let metrics = PoolMetrics::of(&context.metrics)?;
        let target = PgTarget::parse(&settings.database_url)?;
        let health = Arc::new(Health::new(
            Backend::Store,
            target.name(),
            "requests that need it are answered 503",
            &Outages::of(context),
        ));
        let manager = Manager::new(target, !settings.kafka_brokers.is_empty())?;
        let refuses = first_look(&manager, &health, context)?;
        Ok(Self {
            pool: Pool::new(manager, shape, metrics),
            health,
            caches,
            notifies: settings.redis_url.is_none() && settings.redis_host.is_none(),
            refuses: AtomicBool::new(refuses),
        })
    }

    fn take(&self) -> Result<Lent<'_, Manager>, StoreError> {
        let began = Instant::now();
        let taken = self.pool.take();
        if let Err(StoreError::Unreachable(why)) = &taken
            && self.pool.has_failed_since(began)
        {
            self.health.failed(why);
        }
        taken
    }

    /// A connection that has just answered.
    fn take_checked(&self) -> Result<Lent<'_, Manager>, StoreError> {
        for _ in 0..DEAD {
            let mut lent = self.take()?;
            if lent.answers(CHECK) {
                return Ok(lent);
            }
            lent.doom();
        }
        let why = "connections are lost as soon as they are made".to_owned();
        self.health.failed(&why);
        Err(StoreError::Unreachable(why))
    }

    /// Runs a read, and once more if the connection was lost.
    fn read<T>(
        &self,
        ask: impl Fn(&mut PgConnection) -> Result<T, postgres::Error>,
    ) -> Result<T, StoreError> {
        let mut lent = self.take()?;
        let outcome = match ask(&mut lent) {
            Err(error) if error::is_loss(&error) => {
                lent.doom();
                drop(lent);
                ask(&mut *self.take_checked()?)
            }
            outcome => outcome,
        };
        self.note(outcome.map_err(error::of_read))
    }

    /// Runs `make` in a transaction. Repeats it only if it has certainly had no effect: the server says so, or it had
    /// not begun.
    fn write<T>(
        &self,
        make: impl Fn(&mut PgChange<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let first = self.take()?;
        let mut outcome = self.attempt(first, &make);
        for _ in 1..ATTEMPTS {
            if !matches!(outcome, Err(StoreError::Lost(_) | StoreError::Conflict(_))) {
                break;
            }
            outcome = self.attempt(self.take_checked()?, &make);
        }
        self.note_change(outcome)
    }

    fn attempt<T>(
        &self,
        mut lent: Lent<'_, Manager>,
        make: &impl Fn(&mut PgChange<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let outcome = self.transact(&mut lent, make);
        match outcome {
            Err(StoreError::Lost(_) | StoreError::Unknown(_)) => lent.doom(),
            Err(StoreError::NoChanges(_)) if lent.age() > SETTLED => lent.doom(),
            _ => {}
        }
        outcome
    }

    fn transact<T>(
        &self,
        connection: &mut PgConnection,
        make: &impl Fn(&mut PgChange<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut change = connection.begin()?;
        let outcome = make(&mut change)?;
        let spoiled = change.spoiled();
        if !spoiled.is_empty() {
            if self.notifies {
                listener::notify(&mut change, &spoiled)?;
            }
            if !self.caches.announce(&spoiled) {
                stale_keys::put(&mut change, &spoiled)?;
            }
        }
        let committed = change.commit();
        // A commit of unknown outcome may have happened.
        if !spoiled.is_empty() {
            self.caches.settle(&spoiled);
        }
        committed.map(|()| outcome)
    }

    fn note<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        match &outcome {
            // A lost connection is no outage while another can be opened.
            Err(
                StoreError::Lost(_)
                | StoreError::Unknown(_)
                | StoreError::Unreachable(_)
                | StoreError::Busy(_),
            ) => {}
            // A successful read does not mean that changes are accepted again.
            _ if self.refuses.load(Ordering::Acquire) => {}
            _ => self.health.works(),
        }
        outcome
    }

    /// As [`Postgres::note`], for a change.
    fn note_change<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        match &outcome {
            Ok(_) => self.refuses.store(false, Ordering::Release),
            Err(StoreError::NoChanges(why)) => {
                self.refuses.store(true, Ordering::Release);
                self.health.refuses(why);
            }
            Err(_) => {}
        }
        self.note(outcome)
    }

    /// Fails if the server does not answer, or accepts no changes.
    fn ask(&self) -> Result<(), StoreError> {
        let ask = |lent: &mut Lent<'_, Manager>| lent.takes_changes();
        let mut lent = self.take()?;
        let mut outcome = ask(&mut lent);
        if outcome.as_ref().is_err_and(error::is_loss) {
            lent.doom();
            drop(lent);
            lent = self.take_checked()?;
            outcome = ask(&mut lent);
        }
        match outcome.map_err(error::of_read)? {
            true => Ok(()),
            false => {
                if lent.age() > SETTLED {
                    lent.doom();
                }
                Err(StoreError::NoChanges("it is read-only".to_owned()))
            }
        }
    }
}

impl Store for Postgres {
    fn stale_keys(&self, limit: usize) -> Result<Vec<String>, StoreError> {
        self.read(|connection| stale_keys::list(connection, limit))
    }

    fn remove_stale_keys(&self, keys: &[String]) -> Result<(), StoreError> {
        self.write(|change| stale_keys::remove(change, keys))
    }

    fn ping(&self) -> Result<(), StoreError> {
        self.note_change(self.ask())
    }

    fn is_up(&self) -> bool {
        !self.health.is_down()
    }

    fn kind(&self) -> &'static str {
        "PostgreSQL"
    }

    fn name(&self) -> String {
        self.pool.manager().target().full_name()
    }

    /// The row is part of every copy and backup of the database. A restored database, and restored tables, have other
    /// oids. After a restart the server may have lost commits, as may a standby that takes its place: so its start time
    /// counts.
    fn identity(&self) -> Result<String, StoreError> {
        let sql = "SELECT md5(concat_ws('/', (SELECT min(id) FROM oxicorn_store),
                extract(epoch FROM pg_postmaster_start_time()),
                (SELECT oid FROM pg_database WHERE datname = current_database()),
                pg_relation_filenode('tasks'), pg_relation_filenode('users'),
                pg_relation_filenode('sessions')))";
        let row = self.read(|connection| connection.row(sql, &[]))?;
        let row = row.ok_or(StoreError::Column("oxicorn_store"))?;
        let whole: String = row.try_get(0)?;
        Ok(whole.chars().take(IDENTITY_DIGITS).collect())
    }
}

/// Fails at once for errors that do not pass, such as a wrong password. A server that is not up yet is logged, and
/// requests get 503 until it is. Returns whether it is up but accepts no changes.
fn first_look(manager: &Manager, health: &Health, context: &WorkerContext) -> anyhow::Result<bool> {
    use r2d2::ManageConnection;
    match manager.connect() {
        Ok(mut connection) => {
            if context.slot == 0 {
                warn_of_too_many(&mut connection, &context.settings);
            }
            if let Ok(false) = connection.takes_changes() {
                health.refuses(&"it is read-only");
                return Ok(true);
            }
            health.works();
            // Before the first statement is prepared. If this check fails, a pooler is noticed later by its errors.
            if let Err(error) = manager.is_pooled(&mut connection) {
                debug!("no look for a pooler: {error}");
            }
        }
        Err(error) if error.is_temporary() => {
            health.failed(&format!("{:#}", anyhow::Error::from(error)));
        }
        Err(error) => {
            let place = manager.target().name();
            let advice = error.advice().map(|it| format!(" ({it})"));
            let advice = advice.unwrap_or_default();
            return Err(error)
                .with_context(|| format!("database_url: {place} cannot be used{advice}"));
        }
    }
    Ok(false)
}

/// Warns if all workers together may open more connections than the server allows.
fn warn_of_too_many(connection: &mut PgConnection, settings: &Settings) {
    let Ok((most, reserved)) = connection.limits() else {
        return;
    };
    let ServiceSettings {
        pool_size,
        max_overflow,
        ..
    } = ServiceSettings::of(settings);
    let each = u64::from(*pool_size) + u64::from(*max_overflow);
    let workers = settings.workers as u64;
    let runner = PoolShape::of_runner(settings);
    let runners = settings.runners as u64 * u64::from(runner.size + runner.overflow);
    let (wanted, given) = (workers * each + runners, most.saturating_sub(reserved));
    if wanted > given {
        warn!(
            "{workers} workers x (pool_size {pool_size} + max_overflow {max_overflow}) and the runners may open {wanted} \
             database connections, but PostgreSQL gives {given} (max_connections {most}, {reserved} reserved): \
             lower pool_size, max_overflow or workers, or raise max_connections"
        );
    }
}
