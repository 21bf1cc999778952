//! The embedded store: one SQLite file in WAL mode, shared by all workers and runners.

mod change;
mod changes;
mod columns;
mod connection;
mod file;
mod lineage;
mod migrations;
mod outbox;
mod queue;
mod relay_turn;
mod sessions;
mod stale_keys;
mod survey;
mod tasks;
mod turns;
mod users;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use log::warn;
use nix::unistd::{AccessFlags, access};
use oxicorn_common::WorkerContext;
use rusqlite::TransactionBehavior;

pub(crate) use changes::DataVersion;

use super::pool::{Lent, Pool, PoolShape};
use super::{Invalidate, Store, StoreError};
use crate::health::Health;
use crate::metrics::PoolMetrics;
use crate::outages::{Backend, Outages};
use crate::settings::ServiceSettings;
use change::SqliteChange;
use connection::BUSY_TIMEOUT;
use file::{FileId, SqliteConnection, SqliteManager};
use lineage::Presence;
use turns::Turns;

#[derive(Debug)]
pub(crate) struct Sqlite {
    path: PathBuf,
    pool: Pool<SqliteManager>,
    turns: Turns,
    /// How long a change waits in total, for its turn and for writers that take no turns.
    timeout: Duration,
    caches: Arc<dyn Invalidate>,
    health: Health,
    /// The last change was refused, because the disk is full or the file is read-only.
    refuses: AtomicBool,
    /// The file that is known to have the tables.
    file: Mutex<FileId>,
    _presence: Presence,
}

/// Checks the path without creating the file.
pub(super) fn check(settings: &ServiceSettings) -> anyhow::Result<()> {
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
        context: &WorkerContext,
        shape: PoolShape,
        caches: Arc<dyn Invalidate>,
    ) -> anyhow::Result<Self> {
        let settings = ServiceSettings::of(&context.settings);
        let metrics = PoolMetrics::of(&context.metrics)?;
        let path = connection::path_of(&settings.database_url)?;
        migrations::run(&path)?;
        let turns = Turns::new(&path)?;
        let timeout = match context.settings.timeout {
            Duration::ZERO => BUSY_TIMEOUT,
            timeout => BUSY_TIMEOUT.min(timeout / 2),
        };
        let presence = Presence::announce(&path, &turns)?;
        if !settings.kafka_brokers.is_empty() {
            lineage::note_publishing(&path, &turns)?;
        }
        let meanwhile = "requests that need it are answered 503";
        let name = format!("SQLite at {}", path.display());
        Ok(Self {
            pool: Pool::new(SqliteManager(path.clone()), shape, metrics),
            turns,
            timeout,
            caches,
            health: Health::new(Backend::Store, name, meanwhile, &Outages::of(context)),
            refuses: AtomicBool::new(false),
            file: Mutex::new(FileId::of(&path)?),
            _presence: presence,
            path,
        })
    }

    /// A connection to the file that is there now.
    fn take(&self) -> Result<Lent<'_, SqliteManager>, StoreError> {
        loop {
            let file = FileId::of(&self.path).map_err(|problem| {
                let why = format!("{}: {problem}", self.path.display());
                self.health.failed(&why);
                StoreError::Unreachable(why)
            })?;
            self.settle_on(file)?;
            let mut lent = self.pool.take()?;
            if lent.file == file {
                return Ok(lent);
            }
            lent.doom();
        }
    }

    /// Brings the tables up to date if the file is another one than before.
    fn settle_on(&self, file: FileId) -> Result<(), StoreError> {
        let mut known = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if *known == file {
            return Ok(());
        }
        migrations::run(&self.path).map_err(|problem| {
            let why = format!("it was replaced by another file: {problem:#}");
            self.health.failed(&why);
            StoreError::Unreachable(why)
        })?;
        *known = file;
        warn!(
            "{} was replaced by another file, which is used from now on: what was written to the old one since its \
             copy was made is not there",
            self.path.display()
        );
        Ok(())
    }

    fn read<T>(
        &self,
        ask: impl FnOnce(&SqliteConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let lent = self.take()?;
        self.note(ask(&lent))
    }

    /// Runs `make` in a transaction that is the writer from its beginning, so that it waits for other writers instead
    /// of failing after it has read.
    fn write<T>(
        &self,
        make: impl FnOnce(&SqliteChange<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut lent = self.take()?;
        let outcome = self.transact(&mut lent, make);
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

    fn transact<T>(
        &self,
        connection: &mut SqliteConnection,
        make: impl FnOnce(&SqliteChange<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let deadline = Instant::now() + self.timeout;
        let turn = self.turns.wait(deadline)?;
        // Other programs may write without taking turns.
        let left = deadline.saturating_duration_since(Instant::now());
        connection.busy_timeout(left.max(Duration::from_millis(1)))?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let change = SqliteChange::new(transaction);
        let outcome = make(&change)?;
        let (spoiled, added) = (change.spoiled(), change.added());
        for key in spoiled.iter().chain(&added) {
            changes::put(&change, key)?;
        }
        if !spoiled.is_empty() && !self.caches.announce(&spoiled) {
            stale_keys::put(&change, &spoiled)?;
        }
        let committed = change.transaction.commit();
        drop(turn);
        if !spoiled.is_empty() {
            self.caches.settle(&spoiled);
        }
        committed?;
        Ok(outcome)
    }

    /// Adds the file to an error for the log, and notes that the database works.
    fn note<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        match outcome {
            Err(StoreError::Sqlite(source)) => Err(StoreError::File {
                path: self.path.display().to_string(),
                source,
            }),
            Err(problem @ (StoreError::NoChanges(_) | StoreError::Busy(_))) => Err(problem),
            outcome => {
                if !self.refuses.load(Ordering::Acquire) {
                    self.health.works();
                }
                outcome
            }
        }
    }
}

impl Store for Sqlite {
    fn stale_keys(&self, limit: usize) -> Result<Vec<String>, StoreError> {
        self.read(|connection| stale_keys::list(connection, limit))
    }

    fn remove_stale_keys(&self, keys: &[String]) -> Result<(), StoreError> {
        self.write(|change| stale_keys::remove(change, keys))
    }

    fn ping(&self) -> Result<(), StoreError> {
        self.read(|connection| Ok(connection.query_row("SELECT 1", (), |_| Ok(()))?))
    }

    fn is_up(&self) -> bool {
        !self.health.is_down()
    }

    fn kind(&self) -> &'static str {
        "SQLite"
    }

    fn name(&self) -> String {
        format!("SQLite at {}", self.path.display())
    }

    fn identity(&self) -> Result<String, StoreError> {
        self.read(lineage::identity)
    }
}
