//! The identity of the database: it distinguishes a file from its copies and from its own earlier states.
//!
//! The row in `store` is part of every copy; the inode distinguishes copies that are in use at the same time. A
//! backup that is copied over the file has both. So the process that finds the database open by no other writes a new
//! id. We assume that no one copies over a file while it is open, because that destroys it.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use rusqlite::Connection;
use sha2::{Digest, Sha256};

use super::connection;
use super::file::SqliteConnection;
use super::turns::{Turns, beside};
use crate::store::{IDENTITY_DIGITS, StoreError};

/// For a process that is writing; no request waits for this.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Shows that this process has the database open: a shared lock on `PATH-open`, as long as this lives.
#[derive(Debug)]
pub(super) struct Presence(#[expect(dead_code, reason = "held for its lock")] File);

impl Presence {
    pub(super) fn announce(path: &Path, turns: &Turns) -> anyhow::Result<Self> {
        let (name, file) = beside(path, "-open")?;
        if file.try_lock().is_ok() {
            let sql = "UPDATE store SET id = lower(hex(randomblob(16)))";
            change(path, turns, sql)?;
        }
        // Waits for a process that is writing another id.
        file.lock_shared()
            .with_context(|| format!("cannot lock {name}"))?;
        Ok(Self(file))
    }
}

/// Notes that the events of this database are for Kafka: no server drops them from now on.
pub(super) fn note_publishing(path: &Path, turns: &Turns) -> anyhow::Result<()> {
    let sql = "SELECT max(publishes) FROM store";
    let noted: Option<bool> = connection::connect(path)?.query_row(sql, (), |row| row.get(0))?;
    match noted {
        Some(true) => Ok(()),
        _ => change(path, turns, "UPDATE store SET publishes = 1"),
    }
}

fn change(path: &Path, turns: &Turns, sql: &str) -> anyhow::Result<()> {
    let connection = connection::connect(path)?;
    connection.busy_timeout(TIMEOUT)?;
    let _turn = turns.wait(Instant::now() + TIMEOUT)?;
    let made = connection.execute(sql, ());
    made.with_context(|| format!("cannot write to {}", path.display()))?;
    Ok(())
}

pub(super) fn identity(connection: &SqliteConnection) -> Result<String, StoreError> {
    let row: Option<String> = {
        let connection: &Connection = connection;
        connection
            .prepare_cached("SELECT min(id) FROM store")?
            .query_row((), |row| row.get(0))?
    };
    let text = format!("{}/{}", row.unwrap_or_default(), connection.file);
    let digest = Sha256::digest(text);
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(digits[..IDENTITY_DIGITS].to_owned())
}
