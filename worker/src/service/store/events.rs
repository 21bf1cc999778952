//! The outbox: what has happened to a task, in the transaction that made it happen.

use rusqlite::Transaction;
use serde::Serialize;

use super::{Store, StoreError};
use crate::service::model::{Priority, TaskId, TaskSummary, TaskType, Timestamp, UserRef};

/// What can happen to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) enum EventType {
    #[serde(rename = "task_created")]
    Created,
    #[serde(rename = "task_cancelled")]
    Cancelled,
    #[serde(rename = "task_completed")]
    Completed,
    #[serde(rename = "task_failed")]
    Failed,
}

impl EventType {
    fn as_str(self) -> &'static str {
        match self {
            Self::Created => "task_created",
            Self::Cancelled => "task_cancelled",
            Self::Completed => "task_completed",
            Self::Failed => "task_failed",
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    event_type: EventType,
    task_id: TaskId,
    task_reference: &'a str,
    task_type: TaskType,
    user_id: &'a UserRef,
    priority: Priority,
    timestamp: Timestamp,
}

pub(super) fn put(
    transaction: &Transaction<'_>,
    event_type: EventType,
    task: &TaskSummary,
    now: Timestamp,
) -> Result<(), StoreError> {
    let payload = serde_json::to_string(&Payload {
        event_type,
        task_id: task.task_id,
        task_reference: &task.task_reference,
        task_type: task.task_type,
        user_id: &task.user_id,
        priority: task.priority,
        timestamp: now,
    })?;
    transaction
        .prepare_cached(
            "INSERT INTO events (event_type, task_id, payload, created_at) VALUES (?, ?, ?, ?)",
        )?
        .execute((event_type.as_str(), task.task_id, payload, now))?;
    Ok(())
}

impl Store {
    /// Empties the outbox: the runners, who read the tasks themselves, are all who listen when no
    /// broker is configured. Returns how many events there were.
    pub(crate) fn drop_events(&self) -> Result<usize, StoreError> {
        let waiting: bool = self
            .read()?
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM events)")?
            .query_row((), |row| row.get(0))?;
        if !waiting {
            return Ok(0);
        }
        self.write(|transaction| Ok(transaction.execute("DELETE FROM events", ())?))
    }
}
