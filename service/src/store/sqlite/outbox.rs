//! The outbox, in SQL.

use std::time::Duration;

use super::change::SqliteChange;
use super::{Sqlite, relay_turn};
use crate::events::{EventType, OutboxEvent, payload};
use crate::model::{TaskSummary, Timestamp};
use crate::store::{Outbox, RelayTurn, StoreError, Unsent};

pub(super) fn put(
    change: &SqliteChange<'_>,
    event_type: EventType,
    task: &TaskSummary,
    now: Timestamp,
) -> Result<(), StoreError> {
    let payload = payload(event_type, task, now)?;
    change
        .prepare_cached(
            "INSERT INTO events (event_type, task_id, payload, created_at) VALUES (?, ?, ?, ?)",
        )?
        .execute((event_type.as_str(), task.task_id, payload, now))?;
    Ok(())
}

impl Outbox for Sqlite {
    fn outbox(&self, limit: usize) -> Result<Vec<OutboxEvent>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT event_id, task_id, payload FROM events ORDER BY event_id LIMIT ?",
            )?;
            let rows = statement.query_map((limit,), |row| {
                Ok(OutboxEvent {
                    event_id: row.get(0)?,
                    task_id: row.get(1)?,
                    payload: row.get(2)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    fn remove_events(&self, ids: &[i64]) -> Result<(), StoreError> {
        self.write(|change| {
            let mut statement = change.prepare_cached("DELETE FROM events WHERE event_id = ?")?;
            for id in ids {
                statement.execute((id,))?;
            }
            Ok(())
        })
    }

    fn unsent_events(&self) -> Result<Unsent, StoreError> {
        self.read(|connection| {
            let sql = "SELECT (SELECT count(*) FROM events), (SELECT max(publishes) FROM store)";
            let found = connection.prepare_cached(sql)?.query_row((), |row| {
                Ok(Unsent {
                    count: usize::try_from(row.get::<_, i64>(0)?).unwrap_or_default(),
                    are_awaited: row.get::<_, Option<bool>>(1)?.unwrap_or(true),
                })
            })?;
            Ok(found)
        })
    }

    fn drop_events(&self, older_than: Duration, most: usize) -> Result<usize, StoreError> {
        let age = i64::try_from(older_than.as_millis()).unwrap_or(i64::MAX);
        let before = Timestamp::now().0.saturating_sub(age);
        let waiting: bool = self.read(|connection| {
            let sql = "SELECT EXISTS (
                SELECT 1 FROM (SELECT created_at FROM events ORDER BY event_id LIMIT 1) WHERE created_at < ?
            )";
            let mut statement = connection.prepare_cached(sql)?;
            Ok(statement.query_row((before,), |row| row.get(0))?)
        })?;
        if !waiting {
            return Ok(0);
        }
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.write(|change| {
            let dropped = change
                .prepare_cached(
                    "DELETE FROM events WHERE event_id IN (
                         SELECT event_id FROM (
                             SELECT event_id, created_at FROM events ORDER BY event_id LIMIT ?2
                         ) WHERE created_at < ?1
                     ) AND NOT EXISTS (SELECT 1 FROM store WHERE publishes)",
                )?
                .execute((before, most))?;
            Ok(dropped)
        })
    }

    fn relay_turn(&self) -> Result<Option<Box<dyn RelayTurn>>, StoreError> {
        relay_turn::take(self)
    }
}
