//! The embedded store: one SQLite file in WAL mode, shared by all workers and runners.
//!
//! All SQL is in this room. Each change writes, in one transaction, the row itself, its event in
//! the outbox, and the cache keys it spoils.

mod changes;
mod columns;
mod error;
mod events;
mod migrations;
mod pool;
mod queue;
mod sessions;
mod tasks;
#[cfg(test)]
pub(crate) mod testing;
mod turns;
mod users;

use oxicorn_common::Settings;
use rusqlite::{Transaction, TransactionBehavior};

pub(crate) use changes::{Changes, Tracker};
pub(crate) use error::StoreError;
pub(crate) use queue::{LEASE, Lease};
pub(crate) use tasks::TaskPage;

use pool::{Lent, Pool};
use turns::Turns;

/// A pool of connections to the file; made after the fork.
#[derive(Debug)]
pub(crate) struct Store {
    pool: Pool,
    turns: Turns,
}

impl Store {
    /// Opens the file that `database_url` names and brings its tables up to date.
    pub(crate) fn open(settings: &Settings) -> anyhow::Result<Self> {
        let path = pool::path_of(&settings.database_url)?;
        migrations::run(&path)?;
        let pool = Pool::new(&path, settings);
        let turns = Turns::new(&path)?;
        Ok(Self { pool, turns })
    }

    fn read(&self) -> Result<Lent, StoreError> {
        self.pool.take()
    }

    /// Runs `change` in a transaction that holds the writer's place from its beginning, so that it
    /// waits for other writers instead of failing after it has read.
    fn write<T>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut connection = self.pool.take()?;
        let _turn = self.turns.wait().map_err(StoreError::Turn)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let outcome = change(&transaction)?;
        transaction.commit()?;
        Ok(outcome)
    }
}
