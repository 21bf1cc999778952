//! The queue, in SQL.

use std::time::Duration;

use serde_json::Value;

use super::change::Change;
use super::columns::{TASK, task};
use super::{Postgres, outbox};
use crate::service::events::EventType;
use crate::service::keys::task_key;
use crate::service::model::{Status, TaskId, Timestamp, after};
use crate::service::store::lease::{LEASE, MAX_ATTEMPTS, RETRY_AFTER};
use crate::service::store::{Lease, Queue, StoreError};

impl Queue for Postgres {
    fn take_task(
        &self,
        now: Timestamp,
        created_before: Timestamp,
    ) -> Result<Option<Lease>, StoreError> {
        let look = format!(
            "SELECT task_id FROM tasks WHERE {DUE} AND (attempts > 0 OR created_at <= $2)
             ORDER BY priority DESC, task_id LIMIT 1"
        );
        let choose = format!("{look} FOR UPDATE SKIP LOCKED");
        // Looking costs little; most looks of an idle runner find nothing.
        while self
            .read(|connection| connection.row(&look, &[&now.0, &created_before.0]))?
            .is_some()
        {
            let owner = Lease::new_owner()?;
            let taken = self.write(|change| {
                let row = change.row(&choose, &[&now.0, &created_before.0])?;
                let id = row.map(|row| row.try_get(0)).transpose()?;
                id.map_or(Ok(None), |id| give(change, id, &owner, now))
            })?;
            let Some(lease) = taken else {
                break;
            };
            if let Some(lease) = lease.unless_exhausted(self, now)? {
                return Ok(Some(lease));
            }
        }
        Ok(None)
    }

    fn take_task_by_id(&self, id: TaskId, now: Timestamp) -> Result<Option<Lease>, StoreError> {
        let look = format!("SELECT 1 FROM tasks WHERE {DUE} AND task_id = $2");
        if self
            .read(|connection| connection.row(&look, &[&now.0, &id]))?
            .is_none()
        {
            return Ok(None);
        }
        let choose = format!("{look} FOR UPDATE SKIP LOCKED");
        let owner = Lease::new_owner()?;
        let taken = self.write(|change| match change.row(&choose, &[&now.0, &id])? {
            Some(_) => give(change, id, &owner, now),
            None => Ok(None),
        })?;
        taken.map_or(Ok(None), |lease| lease.unless_exhausted(self, now))
    }

    fn renew_lease(&self, lease: &Lease, now: Timestamp) -> Result<bool, StoreError> {
        let sql = "UPDATE tasks SET lease_until = $3 WHERE task_id = $1 AND lease_owner = $2";
        let until = after(now, LEASE).0;
        self.write(|change| Ok(change.execute(sql, &[&lease.id(), &lease.owner, &until])? > 0))
    }

    fn note_progress(
        &self,
        lease: &Lease,
        progress: u8,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE tasks SET progress = $3, lease_until = $4, updated_at = $5
                   WHERE task_id = $1 AND lease_owner = $2";
        let (progress, until) = (i16::from(progress.min(100)), after(now, LEASE).0);
        self.write(|change| {
            let values: &[&(dyn postgres::types::ToSql + Sync)] =
                &[&lease.id(), &lease.owner, &progress, &until, &now.0];
            let noted = change.execute(sql, values)? > 0;
            if noted {
                change.spoils(task_key(lease.id()));
            }
            Ok(noted)
        })
    }

    fn complete_task(
        &self,
        lease: &Lease,
        result: &Value,
        seconds: f64,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let result = serde_json::to_string(result)?;
        let sql = format!(
            "UPDATE tasks SET status = 'completed', progress = 100, result = $3,
                 error_message = NULL, processing_time = $4, completed_at = $5, updated_at = $5,
                 lease_owner = NULL, lease_until = NULL
             WHERE task_id = $1 AND lease_owner = $2 RETURNING {TASK}"
        );
        self.write(|change| {
            let row = change.row(
                &sql,
                &[&lease.id(), &lease.owner, &result, &seconds, &now.0],
            )?;
            let Some(row) = row else {
                return Ok(false);
            };
            outbox::put(change, EventType::Completed, &task(&row)?.summary, now)?;
            change.spoils(task_key(lease.id()));
            Ok(true)
        })
    }

    fn fail_task(
        &self,
        lease: &Lease,
        reason: &str,
        finally: bool,
        seconds: f64,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let failed = finally || lease.attempt >= MAX_ATTEMPTS;
        let status = if failed {
            Status::Failed
        } else {
            Status::Pending
        };
        let completed = failed.then_some(now.0);
        let available = after(now, RETRY_AFTER * lease.attempt).0;
        let sql = format!(
            "UPDATE tasks SET status = $3, error_message = $4, processing_time = $5,
                 completed_at = $6, available_at = $7, updated_at = $8,
                 lease_owner = NULL, lease_until = NULL
             WHERE task_id = $1 AND lease_owner = $2 RETURNING {TASK}"
        );
        // PostgreSQL's texts have no zero octet.
        let reason = reason.replace('\0', " ");
        self.write(|change| {
            let row = change.row(
                &sql,
                &[
                    &lease.id(),
                    &lease.owner,
                    &status.as_str(),
                    &reason,
                    &seconds,
                    &completed,
                    &available,
                    &now.0,
                ],
            )?;
            let Some(row) = row else {
                return Ok(false);
            };
            if failed {
                outbox::put(change, EventType::Failed, &task(&row)?.summary, now)?;
            }
            change.spoils(task_key(lease.id()));
            Ok(true)
        })
    }

    fn next_work(&self, now: Timestamp) -> Result<Option<Duration>, StoreError> {
        let sql = "SELECT min(coalesce(lease_until, available_at)) FROM tasks
                   WHERE status IN ('pending', 'processing')";
        let row = self.read(|connection| connection.row(sql, &[]))?;
        let at: Option<i64> = row.map_or(Ok(None), |row| row.try_get(0))?;
        Ok(at.map(|at| Duration::from_millis(u64::try_from(at - now.0).unwrap_or(0))))
    }
}

/// Tasks that may be taken at moment `$1`.
const DUE: &str = "status IN ('pending', 'processing')
    AND CASE status WHEN 'pending' THEN available_at ELSE lease_until END <= $1";

/// Gives a task, whose row is locked, to `owner`.
fn give(
    change: &mut Change<'_>,
    id: TaskId,
    owner: &str,
    now: Timestamp,
) -> Result<Option<Lease>, StoreError> {
    let sql = format!(
        "UPDATE tasks SET status = 'processing', progress = 0, attempts = attempts + 1,
             started_at = $1, updated_at = $1, lease_owner = $2, lease_until = $3
         WHERE task_id = $4 RETURNING {TASK}, attempts"
    );
    let row = change.row(&sql, &[&now.0, &owner, &after(now, LEASE).0, &id])?;
    let Some(row) = row else {
        return Ok(None);
    };
    change.spoils(task_key(id));
    let attempt: i32 = row.try_get("attempts")?;
    Ok(Some(Lease {
        task: task(&row)?,
        attempt: u32::try_from(attempt).unwrap_or_default(),
        owner: owner.to_owned(),
    }))
}
