//! The outbox, in SQL.

use super::change::Change;
use super::{Postgres, relay_turn};
use crate::service::events::{EventType, OutboxEvent, payload};
use crate::service::model::{TaskSummary, Timestamp};
use crate::service::store::{Outbox, RelayTurn, StoreError};

pub(super) fn put(
    change: &mut Change<'_>,
    event_type: EventType,
    task: &TaskSummary,
    now: Timestamp,
) -> Result<(), StoreError> {
    let payload = payload(event_type, task, now)?;
    let sql =
        "INSERT INTO events (event_type, task_id, payload, created_at) VALUES ($1, $2, $3, $4)";
    change.execute(
        sql,
        &[&event_type.as_str(), &task.task_id, &payload, &now.0],
    )?;
    Ok(())
}

impl Outbox for Postgres {
    /// Ids are in the order of the changes of one task, because a later change of it waits for the
    /// row of the earlier one before it takes an id.
    fn outbox(&self, limit: usize) -> Result<Vec<OutboxEvent>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let sql = "SELECT event_id, task_id, payload FROM events ORDER BY event_id LIMIT $1";
        let rows = self.read(|connection| connection.rows(sql, &[&limit]))?;
        rows.iter()
            .map(|row| {
                Ok(OutboxEvent {
                    event_id: row.try_get(0)?,
                    task_id: row.try_get(1)?,
                    payload: row.try_get(2)?,
                })
            })
            .collect()
    }

    fn remove_events(&self, ids: &[i64]) -> Result<(), StoreError> {
        self.write(|change| {
            change.execute("DELETE FROM events WHERE event_id = ANY($1)", &[&ids])?;
            Ok(())
        })
    }

    fn drop_events(&self) -> Result<usize, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM events)";
        let row = self.read(|connection| connection.row(sql, &[]))?;
        if !row.is_some_and(|row| row.get(0)) {
            return Ok(0);
        }
        let dropped = self.write(|change| change.execute("DELETE FROM events", &[]))?;
        Ok(usize::try_from(dropped).unwrap_or(usize::MAX))
    }

    fn relay_turn(&self) -> Result<Option<Box<dyn RelayTurn>>, StoreError> {
        relay_turn::take(self)
    }
}
