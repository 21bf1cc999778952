//! Cache keys that were spoiled while the cache could not be told.

use super::change::Change;
use super::connection::Connection;
use crate::service::store::StoreError;

pub(super) fn put(change: &mut Change<'_>, keys: &[String]) -> Result<(), StoreError> {
    let sql = "INSERT INTO stale_keys (cache_key) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING";
    change.execute(sql, &[&keys])?;
    Ok(())
}

pub(super) fn list(
    connection: &mut Connection,
    limit: usize,
) -> Result<Vec<String>, postgres::Error> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = connection.rows("SELECT cache_key FROM stale_keys LIMIT $1", &[&limit])?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

pub(super) fn remove(change: &mut Change<'_>, keys: &[String]) -> Result<(), StoreError> {
    let sql = "DELETE FROM stale_keys WHERE cache_key = ANY($1)";
    change.execute(sql, &[&keys])?;
    Ok(())
}
