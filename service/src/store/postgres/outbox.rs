//! The outbox, in SQL.

use std::time::Duration;

use super::change::PgChange;
use super::clock::{STORE_NOW, millis};
use super::{Postgres, relay_turn};
use crate::events::{EventType, OutboxEvent, payload};
use crate::model::{TaskSummary, Timestamp};
use crate::store::{Outbox, RelayTurn, StoreError, Unsent};

pub(super) fn put(
    change: &mut PgChange<'_>,
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
    /// Ids are in the order of the changes of one task: a later change waits for the lock of the task's row before it
    /// takes an id.
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

    fn unsent_events(&self) -> Result<Unsent, StoreError> {
        let sql =
            "SELECT (SELECT count(*) FROM events), (SELECT bool_or(publishes) FROM oxicorn_store)";
        let row = self.read(|connection| connection.row(sql, &[]))?;
        let row = row.ok_or(StoreError::Column("events"))?;
        let count: i64 = row.try_get(0)?;
        Ok(Unsent {
            count: usize::try_from(count).unwrap_or_default(),
            are_awaited: row.try_get::<_, Option<bool>>(1)?.unwrap_or(true),
        })
    }

    fn drop_events(&self, older_than: Duration, most: usize) -> Result<usize, StoreError> {
        let (age, most) = (millis(older_than), i64::try_from(most).unwrap_or(i64::MAX));
        let old = format!("created_at < {STORE_NOW} - $1");
        // Looking at the oldest costs little; most looks find nothing.
        let look = format!(
            "SELECT 1 FROM (SELECT created_at FROM events ORDER BY event_id LIMIT 1) AS oldest WHERE {old}"
        );
        if self
            .read(|connection| connection.row(&look, &[&age]))?
            .is_none()
        {
            return Ok(0);
        }
        let sql = format!(
            "DELETE FROM events WHERE event_id IN (
                 SELECT event_id FROM (
                     SELECT event_id, created_at FROM events ORDER BY event_id LIMIT $2
                 ) AS oldest WHERE {old}
             ) AND NOT EXISTS (SELECT 1 FROM oxicorn_store WHERE publishes)"
        );
        let dropped = self.write(|change| change.execute(&sql, &[&age, &most]))?;
        Ok(usize::try_from(dropped).unwrap_or(usize::MAX))
    }

    fn relay_turn(&self) -> Result<Option<Box<dyn RelayTurn>>, StoreError> {
        relay_turn::take(self)
    }
}
