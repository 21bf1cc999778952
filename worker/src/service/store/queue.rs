//! Tasks as runners work them off. A runner holds a lease on the task that it works on and renews
//! it; when the runner dies, the lease runs out and the task is taken again.
//!
//! ```text
//!   pending --take--> processing --complete--> completed
//!      ^                  |    \---fail------> failed      (third time, or never to succeed)
//!      '----fail----------'
//! ```

use std::time::Duration;

use rusqlite::{OptionalExtension, Transaction};
use serde_json::Value;

use super::columns::{TASK, task};
use super::events::EventType;
use super::tasks::{note, spoil};
use super::{Store, StoreError};
use crate::service::model::{Status, Task, TaskId, Timestamp};

/// Attempts after which a task is failed.
pub(crate) const MAX_ATTEMPTS: u32 = 3;
/// How long a task stays with a runner that is not heard of.
pub(crate) const LEASE: Duration = Duration::from_secs(10);
/// A second attempt begins so much later for each attempt before.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The right to work on a task, for a while.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lease {
    pub(crate) task: Task,
    /// This attempt's number, from 1.
    pub(crate) attempt: u32,
    owner: String,
}

impl Store {
    /// Takes the most urgent task that waits, or that a dead runner has left.
    pub(crate) fn take_task(&self, now: Timestamp) -> Result<Option<Lease>, StoreError> {
        let owner = format!("{:016x}", getrandom::u64()?);
        loop {
            // Looking costs the other writers nothing; taking does.
            if !self.has_work(now)? {
                return Ok(None);
            }
            let taken = self.write(|transaction| take(transaction, &owner, now))?;
            match taken {
                Some(lease) if lease.attempt > MAX_ATTEMPTS => {
                    let reason = "each of its runners ended before the task did";
                    self.fail_task(&lease, reason, true, 0.0, now)?;
                }
                taken => return Ok(taken),
            }
        }
    }

    /// Prolongs the lease; false when the task is no longer wanted of this runner.
    pub(crate) fn renew_lease(&self, lease: &Lease, now: Timestamp) -> Result<bool, StoreError> {
        self.write(|transaction| {
            let renewed = transaction
                .prepare_cached(
                    "UPDATE tasks SET lease_until = ?3 WHERE task_id = ?1 AND lease_owner = ?2",
                )?
                .execute((lease.id(), &lease.owner, after(now, LEASE)))?;
            Ok(renewed > 0)
        })
    }

    /// Notes how far the work has come, in per cent; false as for [`Store::renew_lease`].
    pub(crate) fn note_progress(
        &self,
        lease: &Lease,
        progress: u8,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write(|transaction| {
            let noted = transaction
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
            spoil(transaction, lease.id())?;
            Ok(noted > 0)
        })
    }

    /// False when the task was cancelled meanwhile or is another runner's.
    pub(crate) fn complete_task(
        &self,
        lease: &Lease,
        result: &Value,
        seconds: f64,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let result = serde_json::to_string(result)?;
        self.write(|transaction| {
            let ended = transaction
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
            if let Some(task) = &ended {
                note(transaction, EventType::Completed, &task.summary, now)?;
            }
            Ok(ended.is_some())
        })
    }

    /// Ends an attempt without a result. The task waits for the next one, unless this was the last
    /// or `finally` says that another would end the same. False as for [`Store::complete_task`].
    pub(crate) fn fail_task(
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
        self.write(|transaction| {
            let ended = transaction
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
            match &ended {
                Some(task) if failed => {
                    note(transaction, EventType::Failed, &task.summary, now)?;
                }
                _ => spoil(transaction, lease.id())?,
            }
            Ok(ended.is_some())
        })
    }

    /// How long until [`Store::take_task`] can find something it does not find now: an attempt
    /// that is put off, or a lease that may run out. `None` when nothing waits at all.
    pub(crate) fn next_work(&self, now: Timestamp) -> Result<Option<Duration>, StoreError> {
        let at: Option<i64> = self
            .read()?
            .prepare_cached(&format!(
                "SELECT min(coalesce(lease_until, available_at)) FROM {TO_DO}
                 WHERE status IN ('pending', 'processing')"
            ))?
            .query_row((), |row| row.get(0))?;
        Ok(at.map(|at| Duration::from_millis(u64::try_from(at - now.0).unwrap_or(0))))
    }

    fn has_work(&self, now: Timestamp) -> Result<bool, StoreError> {
        Ok(self
            .read()?
            .prepare_cached(&format!(
                "SELECT EXISTS (SELECT 1 FROM {TO_DO} WHERE {DUE})"
            ))?
            .query_row((now,), |row| row.get(0))?)
    }
}

impl Lease {
    fn id(&self) -> TaskId {
        self.task.summary.task_id
    }
}

/// The index that has only what waits, in the order in which it is taken. Left to itself, SQLite
/// would look at all that waits and sort it.
const TO_DO: &str = "tasks INDEXED BY tasks_to_do";

/// Tasks that may be taken at moment `?1`.
const DUE: &str = "status IN ('pending', 'processing')
    AND iif(status = 'pending', available_at, lease_until) <= ?1";

fn take(
    transaction: &Transaction<'_>,
    owner: &str,
    now: Timestamp,
) -> Result<Option<Lease>, StoreError> {
    let taken = transaction
        .prepare_cached(&format!(
            "UPDATE tasks SET status = 'processing', progress = 0, attempts = attempts + 1,
                 started_at = ?1, updated_at = ?1, lease_owner = ?2, lease_until = ?3
             WHERE task_id = (SELECT task_id FROM {TO_DO}
                 WHERE {DUE} ORDER BY priority DESC, task_id LIMIT 1)
             RETURNING {TASK}, attempts"
        ))?
        .query_row((now, owner, after(now, LEASE)), |row| {
            Ok(Lease {
                task: task(row)?,
                attempt: row.get("attempts")?,
                owner: owner.to_owned(),
            })
        })
        .optional()?;
    if let Some(lease) = &taken {
        spoil(transaction, lease.id())?;
    }
    Ok(taken)
}

fn after(now: Timestamp, wait: Duration) -> Timestamp {
    Timestamp(now.0 + i64::try_from(wait.as_millis()).unwrap_or(i64::MAX / 2))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::store;
    use super::*;
    use crate::service::model::{NewTask, Priority, TaskType, UserRef};

    fn add(store: &Store, priority: Priority) -> TaskId {
        let new = NewTask {
            user_id: UserRef::from_stored("1"),
            task_type: TaskType::FileUpload,
            priority,
            parameters: Default::default(),
        };
        store.create_task(&new, at(0)).expect("a task").task_id
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp(1_000_000 + seconds * 1000)
    }

    fn take(store: &Store, now: Timestamp) -> Option<Lease> {
        store.take_task(now).expect("no error")
    }

    fn status(store: &Store, id: TaskId) -> Status {
        let task = store.task(id).expect("no error").expect("a task");
        task.summary.status
    }

    #[test]
    fn the_most_urgent_is_first_then_the_oldest() {
        let (_folder, store) = store();
        let low = add(&store, Priority::Low);
        let first = add(&store, Priority::High);
        let second = add(&store, Priority::High);
        let order: Vec<_> =
            std::iter::from_fn(|| take(&store, at(0)).map(|lease| lease.id())).collect();
        assert_eq!(order, [first, second, low]);
    }

    #[test]
    fn a_task_is_taken_again_when_its_runner_is_gone_and_failed_the_fourth_time() {
        let (_folder, store) = store();
        let id = add(&store, Priority::Medium);
        let dead = take(&store, at(0)).expect("a lease");
        assert_eq!(take(&store, at(9)), None);
        assert!(store.renew_lease(&dead, at(9)).expect("no error"));
        assert_eq!(take(&store, at(18)), None);
        let next = take(&store, at(19)).expect("a lease");
        assert_eq!((next.id(), next.attempt), (id, 2));
        assert!(!store.renew_lease(&dead, at(20)).expect("no error"));
        assert!(
            !store
                .complete_task(&dead, &json!(1), 0.1, at(20))
                .expect("no error")
        );
        assert!(take(&store, at(30)).is_some());
        assert_eq!(take(&store, at(60)), None);
        assert_eq!(status(&store, id), Status::Failed);
    }

    #[test]
    fn three_failures_are_the_end_and_one_is_when_it_is_final() {
        let (_folder, store) = store();
        let id = add(&store, Priority::Medium);
        for (attempt, second) in [(1, 0), (2, 1), (3, 3)] {
            assert_eq!(status(&store, id), Status::Pending);
            let early = Timestamp(at(second).0 - 1);
            assert!(attempt == 1 || take(&store, early).is_none(), "{attempt}");
            let lease = take(&store, at(second)).expect("a lease");
            assert_eq!(lease.attempt, attempt);
            assert!(
                store
                    .fail_task(&lease, "why", false, 0.5, at(second))
                    .expect("no error")
            );
        }
        let task = store.task(id).expect("no error").expect("a task");
        assert_eq!(task.summary.status, Status::Failed);
        assert_eq!(task.error_message.as_deref(), Some("why"));
        assert_eq!(store.next_work(at(9)).expect("no error"), None);

        let id = add(&store, Priority::Medium);
        let lease = take(&store, at(4)).expect("a lease");
        store
            .fail_task(&lease, "never", true, 0.5, at(4))
            .expect("no error");
        assert_eq!(status(&store, id), Status::Failed);
    }

    #[test]
    fn what_was_cancelled_meanwhile_stays_so() {
        let (_folder, store) = store();
        let id = add(&store, Priority::Medium);
        let lease = take(&store, at(0)).expect("a lease");
        assert!(store.note_progress(&lease, 40, at(1)).expect("no error"));
        store.cancel_task(id, at(2)).expect("no error");
        assert!(!store.note_progress(&lease, 80, at(3)).expect("no error"));
        assert!(
            !store
                .complete_task(&lease, &json!({}), 1.0, at(4))
                .expect("no error")
        );
        assert_eq!(status(&store, id), Status::Cancelled);
    }

    #[test]
    fn a_result_is_kept() {
        let (_folder, store) = store();
        let id = add(&store, Priority::Medium);
        let wait = store.next_work(Timestamp(at(0).0 - 500)).expect("no error");
        assert_eq!(wait, Some(Duration::from_millis(500)));
        let lease = take(&store, at(0)).expect("a lease");
        let result = json!({"sum": 3});
        assert!(
            store
                .complete_task(&lease, &result, 0.25, at(1))
                .expect("no error")
        );
        let task = store.task(id).expect("no error").expect("a task");
        assert_eq!(
            (task.result, task.processing_time),
            (Some(result), Some(0.25))
        );
        assert_eq!(
            (task.summary.progress, task.completed_at),
            (100, Some(at(1)))
        );
    }
}
