//! The task queue, in SQL. Leases go by the clock of the database: the clocks of servers differ, and a lease that one
//! server grants must not have expired for another.

use std::time::Duration;

use serde_json::Value;

use super::change::PgChange;
use super::clock::{self, millis};
use super::columns::{TASK, task};
use super::statements::Values;
use super::{Postgres, outbox};
use crate::events::EventType;
use crate::keys::task_key;
use crate::model::{Status, TaskId};
use crate::store::lease::{LEASE, MAX_ATTEMPTS, RETRY_AFTER};
use crate::store::{Lease, Now, StoreError, TaskQueue};

impl TaskQueue for Postgres {
    fn take_task(&self, now: Now, late: Duration) -> Result<Option<Lease>, StoreError> {
        let present = clock::now(1);
        let look = format!(
            "SELECT task_id::int8 FROM tasks WHERE {} AND (attempts > 0 OR available_at <= {present} - $2::int8)
             ORDER BY priority DESC, task_id LIMIT 1",
            due()
        );
        let choose = format!("{look} FOR UPDATE SKIP LOCKED");
        let (moment, late) = (now.given(), millis(late));
        // Looking costs little; most looks of an idle runner find nothing.
        while self
            .read(|connection| connection.row(&look, &[&moment, &late]))?
            .is_some()
        {
            let owner = Lease::new_owner()?;
            let taken = self.write(|change| {
                let row = change.row(&choose, &[&moment, &late])?;
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

    fn take_task_by_id(&self, id: TaskId, now: Now) -> Result<Option<Lease>, StoreError> {
        let look = format!("SELECT 1 FROM tasks WHERE {} AND task_id = $2", due());
        let moment = now.given();
        if self
            .read(|connection| connection.row(&look, &[&moment, &id]))?
            .is_none()
        {
            return Ok(None);
        }
        let choose = format!("{look} FOR UPDATE SKIP LOCKED");
        let owner = Lease::new_owner()?;
        let taken = self.write(|change| match change.row(&choose, &[&moment, &id])? {
            Some(_) => give(change, id, &owner, now),
            None => Ok(None),
        })?;
        taken.map_or(Ok(None), |lease| lease.unless_exhausted(self, now))
    }

    fn renew_lease(&self, lease: &Lease, now: Now) -> Result<bool, StoreError> {
        let sql = format!(
            "UPDATE tasks SET lease_until = {} + $4 WHERE task_id = $1 AND lease_owner = $2",
            clock::now(3)
        );
        let (moment, time) = (now.given(), millis(LEASE));
        self.write(|change| {
            let renewed = change.execute(&sql, &[&lease.id(), &lease.owner, &moment, &time])?;
            Ok(renewed > 0)
        })
    }

    fn note_progress(&self, lease: &Lease, progress: u8, now: Now) -> Result<bool, StoreError> {
        let present = clock::now(4);
        let sql = format!(
            "UPDATE tasks SET progress = $3::int2, lease_until = {present} + $5, updated_at = {present}
             WHERE task_id = $1 AND lease_owner = $2"
        );
        let (progress, moment, time) = (i16::from(progress.min(100)), now.given(), millis(LEASE));
        self.write(|change| {
            let values: Values<'_> = &[&lease.id(), &lease.owner, &progress, &moment, &time];
            let noted = change.execute(&sql, values)? > 0;
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
        now: Now,
    ) -> Result<bool, StoreError> {
        let result = serde_json::to_string(result)?;
        let (present, moment) = (clock::now(5), now.given());
        let sql = format!(
            "UPDATE tasks SET status = 'completed', progress = 100, result = $3,
                 error_message = NULL, processing_time = $4, completed_at = {present},
                 updated_at = {present}, lease_owner = NULL, lease_until = NULL
             WHERE task_id = $1 AND lease_owner = $2 RETURNING {TASK}"
        );
        self.write(|change| {
            let values: Values<'_> = &[&lease.id(), &lease.owner, &result, &seconds, &moment];
            let Some(row) = change.row(&sql, values)? else {
                return Ok(false);
            };
            let task = task(&row)?;
            outbox::put(change, EventType::Completed, &task.summary, task.updated_at)?;
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
        now: Now,
    ) -> Result<bool, StoreError> {
        let failed = finally || lease.attempt >= MAX_ATTEMPTS;
        let status = if failed {
            Status::Failed
        } else {
            Status::Pending
        };
        let (present, moment) = (clock::now(7), now.given());
        let delay = millis(RETRY_AFTER * lease.attempt);
        let sql = format!(
            "UPDATE tasks SET status = $3, error_message = $4, processing_time = $5,
                 completed_at = CASE WHEN $6::bool THEN {present} END,
                 available_at = {present} + $8, updated_at = {present},
                 lease_owner = NULL, lease_until = NULL
             WHERE task_id = $1 AND lease_owner = $2 RETURNING {TASK}"
        );
        // A text in PostgreSQL cannot contain U+0000.
        let reason = reason.replace('\0', " ");
        self.write(|change| {
            let values: Values<'_> = &[
                &lease.id(),
                &lease.owner,
                &status.as_str(),
                &reason,
                &seconds,
                &failed,
                &moment,
                &delay,
            ];
            let Some(row) = change.row(&sql, values)? else {
                return Ok(false);
            };
            if failed {
                let task = task(&row)?;
                outbox::put(change, EventType::Failed, &task.summary, task.updated_at)?;
            }
            change.spoils(task_key(lease.id()));
            Ok(true)
        })
    }

    fn next_work(&self, now: Now) -> Result<Option<Duration>, StoreError> {
        let sql = format!(
            "SELECT min(coalesce(lease_until, available_at)) - {} FROM tasks
             WHERE status IN ('pending', 'processing')",
            clock::now(1)
        );
        let row = self.read(|connection| connection.row(&sql, &[&now.given()]))?;
        let wait: Option<i64> = row.map_or(Ok(None), |row| row.try_get(0))?;
        Ok(wait.map(|wait| Duration::from_millis(u64::try_from(wait).unwrap_or(0))))
    }
}

/// Tasks that may be taken at time `$1`, or now.
fn due() -> String {
    let present = clock::now(1);
    format!(
        "status IN ('pending', 'processing')
         AND CASE status WHEN 'pending' THEN available_at ELSE lease_until END <= {present}"
    )
}

/// Gives a task, whose row is locked, to `owner`.
fn give(
    change: &mut PgChange<'_>,
    id: TaskId,
    owner: &str,
    now: Now,
) -> Result<Option<Lease>, StoreError> {
    let (present, moment, time) = (clock::now(1), now.given(), millis(LEASE));
    let sql = format!(
        "UPDATE tasks SET status = 'processing', progress = 0, attempts = attempts + 1,
             started_at = {present}, updated_at = {present}, lease_owner = $2,
             lease_until = {present} + $3
         WHERE task_id = $4 RETURNING {TASK}, attempts::int8"
    );
    let row = change.row(&sql, &[&moment, &owner, &time, &id])?;
    let Some(row) = row else {
        return Ok(None);
    };
    change.spoils(task_key(id));
    let attempt: i64 = row.try_get("attempts")?;
    Ok(Some(Lease {
        task: task(&row)?,
        attempt: u32::try_from(attempt).unwrap_or_default(),
        owner: owner.to_owned(),
    }))
}
