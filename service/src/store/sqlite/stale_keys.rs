//! Cache keys that a change invalidated while Redis could not be told.

use rusqlite::Connection;

use super::change::SqliteChange;
use crate::store::StoreError;

pub(super) fn put(change: &SqliteChange<'_>, keys: &[String]) -> Result<(), StoreError> {
    let mut statement = change
        .prepare_cached("INSERT INTO stale_keys (cache_key) VALUES (?) ON CONFLICT DO NOTHING")?;
    for key in keys {
        statement.execute((key,))?;
    }
    Ok(())
}

pub(super) fn list(connection: &Connection, limit: usize) -> Result<Vec<String>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached("SELECT cache_key FROM stale_keys LIMIT ?")?;
    let rows = statement.query_map((limit,), |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn remove(change: &SqliteChange<'_>, keys: &[String]) -> Result<(), StoreError> {
    let mut statement = change.prepare_cached("DELETE FROM stale_keys WHERE cache_key = ?")?;
    for key in keys {
        statement.execute((key,))?;
    }
    Ok(())
}
