//! The outbox, in SQL.

use super::change::Change;
use super::{Sqlite, relay_turn};
use crate::service::events::{EventType, OutboxEvent, payload};
use crate::service::model::{TaskSummary, Timestamp};
use crate::service::store::{Outbox, RelayTurn, StoreError};

pub(super) fn put(
    change: &Change<'_>,
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
        let connection = self.read()?;
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

    fn drop_events(&self) -> Result<usize, StoreError> {
        let waiting: bool = self
            .read()?
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM events)")?
            .query_row((), |row| row.get(0))?;
        if !waiting {
            return Ok(0);
        }
        self.write(|change| Ok(change.execute("DELETE FROM events", ())?))
    }

    fn relay_turn(&self) -> Result<Option<Box<dyn RelayTurn>>, StoreError> {
        relay_turn::take(self)
    }
}
