//! The store in PostgreSQL, shared by all workers and runners of all servers.
//!
//! A read is one round trip with a prepared statement, and is tried once more when its connection
//! turns out to be dead. A change that spoils cache keys is a transaction, because the caches are
//! told before it is committed; one that spoils none is a single statement.

mod change;
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
mod target;
mod tasks;
mod tls;
mod users;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use log::warn;
use oxicorn_common::{Backend, Settings, WorkerContext};

pub(crate) use listener::Listener;

use super::pool::{Lent, Pool, PoolShape};
use super::{Invalidate, Store, StoreError};
use crate::service::health::Health;
use change::Change;
use connection::{Connection, Manager};
use target::Target;

/// How long a connection that is doubted has to answer.
const CHECK: Duration = Duration::from_secs(2);
/// Connections that may turn out dead one after the other before the server counts as gone.
const DEAD: usize = 64;

/// Whether there may be such a server: nobody is asked.
pub(super) fn check(settings: &Settings) -> anyhow::Result<()> {
    Manager::new(Target::parse(&settings.database_url)?).map(drop)
}

#[derive(Debug)]
pub(crate) struct Postgres {
    pool: Pool<Manager>,
    health: Arc<Health>,
    caches: Arc<dyn Invalidate>,
    /// Other processes have caches of their own, which hear of changes by NOTIFY.
    notifies: bool,
}

impl Postgres {
    pub(crate) fn open(
        context: &WorkerContext,
        shape: PoolShape,
        caches: Arc<dyn Invalidate>,
    ) -> anyhow::Result<Self> {
        let settings: &Settings = &context.settings;
        let target = Target::parse(&settings.database_url)?;
        let health = Arc::new(Health::new(
            Backend::Store,
            target.name(),
            "requests that need it are answered 503",
            &context.outages,
        ));
        let manager = Manager::new(target)?;
        first_look(&manager, &health, context)?;
        Ok(Self {
            pool: Pool::new(manager, shape),
            health,
            caches,
            notifies: settings.redis_url.is_none() && settings.redis_host.is_none(),
        })
    }

    fn take(&self) -> Result<Lent<'_, Manager>, StoreError> {
        let taken = self.pool.take();
        if let Err(StoreError::Unreachable(why)) = &taken {
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

    /// Asks for something, and once more where the connection was lost.
    fn read<T>(
        &self,
        ask: impl Fn(&mut Connection) -> Result<T, postgres::Error>,
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

    /// Runs `make` in a transaction. It is run again only where the server has said that nothing
    /// of it was done, or before it was begun.
    fn write<T>(
        &self,
        make: impl Fn(&mut Change<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let first = self.take()?;
        let outcome = match self.attempt(first, &make) {
            Err(StoreError::Lost(_) | StoreError::Conflict(_)) => {
                let checked = self.take_checked()?;
                self.attempt(checked, &make)
            }
            outcome => outcome,
        };
        self.note(outcome)
    }

    fn attempt<T>(
        &self,
        mut lent: Lent<'_, Manager>,
        make: &impl Fn(&mut Change<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let outcome = self.transact(&mut lent, make);
        if matches!(outcome, Err(StoreError::Lost(_) | StoreError::Unknown(_))) {
            lent.doom();
        }
        outcome
    }

    fn transact<T>(
        &self,
        connection: &mut Connection,
        make: &impl Fn(&mut Change<'_>) -> Result<T, StoreError>,
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
            // A connection that was lost is no outage while another can be had.
            Err(
                StoreError::Lost(_)
                | StoreError::Unknown(_)
                | StoreError::Unreachable(_)
                | StoreError::Busy(_),
            ) => {}
            _ => self.health.works(),
        }
        outcome
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
        self.read(|connection| connection.rows("SELECT 1", &[]).map(drop))
    }

    fn is_up(&self) -> bool {
        !self.health.is_down()
    }

    fn kind(&self) -> &'static str {
        "PostgreSQL"
    }
}

/// Finds out at once what waiting would not mend, such as a wrong password. A server that is not
/// there yet is waited for: its absence is told, and requests are answered 503 until it comes.
fn first_look(manager: &Manager, health: &Health, context: &WorkerContext) -> anyhow::Result<()> {
    use r2d2::ManageConnection;
    match manager.connect() {
        Ok(mut connection) => {
            health.works();
            if context.slot == 0 {
                warn_of_too_many(&mut connection, &context.settings);
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
    Ok(())
}

/// Tells when all workers together may want more connections than the server gives.
fn warn_of_too_many(connection: &mut Connection, settings: &Settings) {
    let Ok((most, reserved)) = connection.limits() else {
        return;
    };
    let each = u64::from(settings.pool_size) + u64::from(settings.max_overflow);
    let workers = settings.workers as u64;
    let runner = PoolShape::of_runner(settings);
    let runners = settings.runners as u64 * u64::from(runner.size + runner.overflow);
    let (wanted, given) = (workers * each + runners, most.saturating_sub(reserved));
    if wanted > given {
        warn!(
            "{workers} workers x (pool_size {} + max_overflow {}) and the runners may open {wanted} \
             database connections, but PostgreSQL gives {given} (max_connections {most}, {reserved} reserved): \
             lower pool_size, max_overflow or workers, or raise max_connections",
            settings.pool_size, settings.max_overflow,
        );
    }
}

/// Refuses what is no URL of PostgreSQL's.
fn refuse(what: &str) -> anyhow::Result<Target> {
    bail!("database_url: {what}; use postgres://USER:PASSWORD@HOST[:PORT]/NAME[?sslmode=MODE]")
}
