//! The task queue, in SQL.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};
use serde_json::Value;

use super::change::SqliteChange;
use super::columns::{TASK, task};
use super::{Sqlite, outbox};
use crate::events::EventType;
use crate::keys::task_key;
use crate::model::{Status, TaskId, Timestamp, after};
use crate::store::lease::{LEASE, MAX_ATTEMPTS, RETRY_AFTER};
use crate::store::{Lease, Now, StoreError, TaskQueue};

impl TaskQueue for Sqlite {
    fn take_task(&self, now: Now, late: Duration) -> Result<Option<Lease>, StoreError> {
        let now = now.here();
        let since = Timestamp(now.0.saturating_sub(millis(late)));
        // Looking does not delay other writers; taking does.
        while self.has_work(now, since)? {
            let owner = Lease::new_owner()?;
            let Some(lease) = self.write(|change| take(change, &owner, now, since))? else {
                break;
            };
            if let Some(lease) = lease.unless_exhausted(self, Now::At(now))? {
                return Ok(Some(lease));
            }
        }
        Ok(None)
    }

    fn take_task_by_id(&self, id: TaskId, now: Now) -> Result<Option<Lease>, StoreError> {
        let now = now.here();
        let due = |connection: &Connection| {
            connection
                .prepare_cached(&format!(
                    "SELECT EXISTS (SELECT 1 FROM tasks WHERE task_id = ?2 AND {DUE})"
                ))?
                .query_row((now, id), |row| row.get(0))
        };
        if !self.read(|connection| Ok(due(connection)?))? {
            return Ok(None);
        }
        let owner = Lease::new_owner()?;
        let taken = self.write(|change| match due(change)? {
            true => give(change, id, &owner, now),
            false => Ok(None),
        })?;
        taken.map_or(Ok(None), |lease| lease.unless_exhausted(self, Now::At(now)))
    }

    fn renew_lease(&self, lease: &Lease, now: Now) -> Result<bool, StoreError> {
        let until = after(now.here(), LEASE);
        self.write(|change| {
            let renewed = change
                .prepare_cached(
                    "UPDATE tasks SET lease_until = ?3 WHERE task_id = ?1 AND lease_owner = ?2",
                )?
                .execute((lease.id(), &lease.owner, until))?;
            Ok(renewed > 0)
        })
    }

    fn note_progress(&self, lease: &Lease, progress: u8, now: Now) -> Result<bool, StoreError> {
        let now = now.here();
        self.write(|change| {
            let noted = change
                .prepare_cached(
                    "UPDATE tasks SET progress = ?3, lease_until = ?4, updated_at = ?5
                     WHERE task_id = ?1 AND lease_owner = ?2",
                )?
                .execute((
                    lease.id(),
                    &lease.owner,
                    progress.min(100),
                    after(now, LEASE),
                    now,
                ))?;
            change.spoils(task_key(lease.id()));
            Ok(noted > 0)
        })
    }

    fn complete_task(
        &self,
        lease: &Lease,
        result: &Value,
        seconds: f64,
        now: Now,
    ) -> Result<bool, StoreError> {
        let now = now.here();
        let result = serde_json::to_string(result)?;
        self.write(|change| {
            let ended = change
                .prepare_cached(&format!(
                    "UPDATE tasks SET status = ?3, progress = 100, result = ?4,
                         error_message = NULL, processing_time = ?5, completed_at = ?6,
                         updated_at = ?6, lease_owner = NULL, lease_until = NULL
                     WHERE task_id = ?1 AND lease_owner = ?2 RETURNING {TASK}"
                ))?
                .query_row(
                    (
                        lease.id(),
                        &lease.owner,
                        Status::Completed,
                        result,
                        seconds,
                        now,
                    ),
                    task,
                )
                .optional()?;
            change.spoils(task_key(lease.id()));
            if let Some(task) = &ended {
                outbox::put(change, EventType::Completed, &task.summary, now)?;
            }
            Ok(ended.is_some())
        })
    }

    fn fail_task(
        &self,
        lease: &Lease,
        reason: &str,
        finally: bool,
        seconds: f64,
        now: Now,
    ) -> Result<bool, StoreError> {
        let now = now.here();
        let failed = finally || lease.attempt >= MAX_ATTEMPTS;
        let status = if failed {
            Status::Failed
        } else {
            Status::Pending
        };
        self.write(|change| {
            let ended = change
                .prepare_cached(&format!(
                    "UPDATE tasks SET status = ?3, error_message = ?4, processing_time = ?5,
                         completed_at = ?6, available_at = ?7, updated_at = ?8,
                         lease_owner = NULL, lease_until = NULL
                     WHERE task_id = ?1 AND lease_owner = ?2 RETURNING {TASK}"
                ))?
                .query_row(
                    (
                        lease.id(),
                        &lease.owner,
                        status,
                        reason,
                        seconds,
                        failed.then_some(now),
                        after(now, RETRY_AFTER * lease.attempt),
                        now,
                    ),
                    task,
                )
                .optional()?;
            change.spoils(task_key(lease.id()));
            if let Some(task) = ended.as_ref().filter(|_| failed) {
                outbox::put(change, EventType::Failed, &task.summary, now)?;
            }
            Ok(ended.is_some())
        })
    }

    fn next_work(&self, now: Now) -> Result<Option<Duration>, StoreError> {
        let at: Option<i64> = self.read(|connection| {
            let sql = format!(
                "SELECT min(coalesce(lease_until, available_at)) FROM {TO_DO}
                 WHERE status IN ('pending', 'processing')"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            Ok(statement.query_row((), |row| row.get(0))?)
        })?;
        let now = now.here();
        Ok(at.map(|at| Duration::from_millis(u64::try_from(at - now.0).unwrap_or(0))))
    }
}

impl Sqlite {
    /// Whether [`TaskQueue::take_task`] would find a task.
    fn has_work(&self, now: Timestamp, since: Timestamp) -> Result<bool, StoreError> {
        self.read(|connection| {
            let sql = format!("SELECT EXISTS (SELECT 1 FROM {TO_DO} WHERE {DUE} AND {OLD_ENOUGH})");
            let mut statement = connection.prepare_cached(&sql)?;
            Ok(statement.query_row((now, since), |row| row.get(0))?)
        })
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The index of the waiting tasks, in the order in which they are taken. By itself, SQLite would read all waiting tasks
/// and sort them.
const TO_DO: &str = "tasks INDEXED BY tasks_to_do";

/// Tasks that may be taken at time `?1`.
const DUE: &str = "status IN ('pending', 'processing')
    AND iif(status = 'pending', available_at, lease_until) <= ?1";

/// Tasks that have waited since time `?2`, or have been attempted.
const OLD_ENOUGH: &str = "(attempts > 0 OR available_at <= ?2)";

fn take(
    change: &SqliteChange<'_>,
    owner: &str,
    now: Timestamp,
    since: Timestamp,
) -> Result<Option<Lease>, StoreError> {
    let first: Option<TaskId> = change
        .prepare_cached(&format!(
            "SELECT task_id FROM {TO_DO} WHERE {DUE} AND {OLD_ENOUGH}
             ORDER BY priority DESC, task_id LIMIT 1"
        ))?
        .query_row((now, since), |row| row.get(0))
        .optional()?;
    first.map_or(Ok(None), |id| give(change, id, owner, now))
}

/// Gives a task to `owner`, due or not.
fn give(
    change: &SqliteChange<'_>,
    id: TaskId,
    owner: &str,
    now: Timestamp,
) -> Result<Option<Lease>, StoreError> {
    let taken = change
        .prepare_cached(&format!(
            "UPDATE tasks SET status = 'processing', progress = 0, attempts = attempts + 1,
                 started_at = ?1, updated_at = ?1, lease_owner = ?2, lease_until = ?3
             WHERE task_id = ?4 RETURNING {TASK}, attempts"
        ))?
        .query_row((now, owner, after(now, LEASE), id), |row| {
            Ok(Lease {
                task: task(row)?,
                attempt: row.get("attempts")?,
                owner: owner.to_owned(),
            })
        })
        .optional()?;
    change.spoils(task_key(id));
    Ok(taken)
}
