//! The embedded store: one SQLite file in WAL mode, shared by all workers and runners.

mod change;
mod changes;
mod columns;
mod connection;
mod migrations;
mod outbox;
mod queue;
mod relay_turn;
mod sessions;
mod stale_keys;
mod tasks;
mod turns;
mod users;

use std::sync::Arc;

use anyhow::Context;
use nix::unistd::{AccessFlags, access};
use oxicorn_common::Settings;
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::TransactionBehavior;

pub(crate) use changes::DataVersion;

use super::pool::{Lent, Pool, PoolShape};
use super::{Invalidate, Store, StoreError};
use change::Change;
use turns::Turns;

#[derive(Debug)]
pub(crate) struct Sqlite {
    path: std::path::PathBuf,
    pool: Pool<SqliteConnectionManager>,
    turns: Turns,
    caches: Arc<dyn Invalidate>,
}

/// Whether the file can be there: nothing is made.
pub(super) fn check(settings: &Settings) -> anyhow::Result<()> {
    let path = connection::path_of(&settings.database_url)?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => std::env::current_dir()?,
    };
    // SQLite writes two more files beside it.
    access(&folder, AccessFlags::W_OK | AccessFlags::X_OK)
        .with_context(|| format!("database_url: cannot write to {}", folder.display()))
}

impl Sqlite {
    pub(crate) fn open(
        settings: &Settings,
        shape: PoolShape,
        caches: Arc<dyn Invalidate>,
    ) -> anyhow::Result<Self> {
        let path = connection::path_of(&settings.database_url)?;
        migrations::run(&path)?;
        let manager = SqliteConnectionManager::file(&path).with_init(connection::prepare);
        Ok(Self {
            pool: Pool::new(manager, shape),
            turns: Turns::new(&path)?,
            caches,
            path,
        })
    }

    fn read(&self) -> Result<Lent<'_, SqliteConnectionManager>, StoreError> {
        self.pool.take()
    }

    /// Runs `make` in a transaction that holds the writer's place from its beginning, so that it
    /// waits for other writers instead of failing after it has read.
    fn write<T>(
        &self,
        make: impl FnOnce(&Change<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut connection = self.pool.take()?;
        let turn = self.turns.wait().map_err(StoreError::Turn)?;
        let change =
            Change::new(connection.transaction_with_behavior(TransactionBehavior::Immediate)?);
        let outcome = make(&change)?;
        let (spoiled, added) = (change.spoiled(), change.added());
        for key in spoiled.iter().chain(&added) {
            changes::put(&change, key)?;
        }
        if !spoiled.is_empty() && !self.caches.announce(&spoiled) {
            stale_keys::put(&change, &spoiled)?;
        }
        change.transaction.commit()?;
        drop(turn);
        if !spoiled.is_empty() {
            self.caches.settle(&spoiled);
        }
        Ok(outcome)
    }
}

impl Store for Sqlite {
    fn stale_keys(&self, limit: usize) -> Result<Vec<String>, StoreError> {
        stale_keys::list(&*self.read()?, limit)
    }

    fn remove_stale_keys(&self, keys: &[String]) -> Result<(), StoreError> {
        self.write(|change| stale_keys::remove(change, keys))
    }

    fn ping(&self) -> Result<(), StoreError> {
        Ok(self.read()?.query_row("SELECT 1", (), |_| Ok(()))?)
    }

    fn is_up(&self) -> bool {
        true
    }

    fn kind(&self) -> &'static str {
        "SQLite"
    }
}
