//! The table of changes that all caches follow. Each change writes the keys that it invalidates. Before a process trusts
//! its cache it asks SQLite whether anything was committed (`PRAGMA data_version`), so no reader sees an old value.

use std::path::{Path, PathBuf};

use rusqlite::OptionalExtension;

use super::change::SqliteChange;
use super::file::{FileId, SqliteConnection};
use super::{connection, migrations};
use crate::settings::ServiceSettings;
use crate::store::{Changes, StoreError, Tracker};

/// How many changes are kept for processes to follow. A process further behind drops everything.
const KEPT: i64 = 10_000;
/// Old changes are deleted this many at a time.
const SWEEP: i64 = 1_000;

/// A place in the sequence of changes, and the connection that watches it.
#[derive(Debug)]
pub(crate) struct DataVersion {
    path: PathBuf,
    connection: SqliteConnection,
    data_version: i64,
    last: i64,
}

impl DataVersion {
    pub(crate) fn new(settings: &ServiceSettings) -> anyhow::Result<Self> {
        let path = connection::path_of(&settings.database_url)?;
        Self::open(&path)
    }

    fn open(path: &Path) -> anyhow::Result<Self> {
        // The first process makes the tables.
        migrations::run(path)?;
        let connection = SqliteConnection::new(path)?;
        let mut tracker = Self {
            path: path.to_owned(),
            connection,
            data_version: 0,
            last: 0,
        };
        tracker.follow()?;
        Ok(tracker)
    }

    fn read(&mut self) -> Result<Changes, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT change_id, cache_key FROM changes WHERE change_id >= ? ORDER BY change_id",
        )?;
        let rows = statement.query_map((self.last,), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut found: Vec<(i64, String)> = rows.collect::<Result<_, _>>()?;
        let known = self.last > 0 && found.first().is_some_and(|(id, _)| *id == self.last);
        if let Some((id, _)) = found.last() {
            self.last = *id;
        } else if self.last == 0 {
            return Ok(Changes::Everything);
        }
        if !known {
            return Ok(Changes::Everything);
        }
        Ok(Changes::Keys(
            found.drain(1..).map(|(_, key)| key).collect(),
        ))
    }
}

impl Tracker for DataVersion {
    fn follow(&mut self) -> Result<Changes, StoreError> {
        let gone = |error: &dyn std::fmt::Display| {
            StoreError::Unreachable(format!("{}: {error}", self.path.display()))
        };
        let file = FileId::of(&self.path).map_err(|error| gone(&error))?;
        if file != self.connection.file {
            let opened = Self::open(&self.path);
            *self = opened.map_err(|error| gone(&format!("{error:#}")))?;
            return Ok(Changes::Everything);
        }
        let version: i64 = self
            .connection
            .prepare_cached("PRAGMA data_version")?
            .query_row((), |row| row.get(0))?;
        if version == self.data_version {
            return Ok(Changes::Nothing);
        }
        let changes = self.read()?;
        // Only now, so that the next call tries again if reading fails.
        self.data_version = version;
        Ok(changes)
    }

    fn sees_lists(&self) -> bool {
        true
    }
}

/// Writes `key` into the table of changes.
pub(super) fn put(change: &SqliteChange<'_>, key: &str) -> Result<(), StoreError> {
    change
        .prepare_cached("INSERT INTO changes (cache_key) VALUES (?)")?
        .execute((key,))?;
    let id = change.last_insert_rowid();
    if id % SWEEP == 0 {
        change
            .prepare_cached("DELETE FROM changes WHERE change_id <= ?")?
            .execute((id - KEPT,))
            .optional()?;
    }
    Ok(())
}
