//! A runner's lease on a task, which it renews while it works. If the runner dies, the lease expires and another runner
//! takes the task.
//!
//! ```text
//!   pending --take--> processing --complete--> completed
//!      ^                  |    \---fail------> failed      (third time, or never to succeed)
//!      '----fail----------'
//! ```

use std::time::Duration;

use super::{Now, Store, StoreError};
use crate::model::{Task, TaskId};

/// How many attempts a task has.
pub(super) const MAX_ATTEMPTS: u32 = 3;
/// How long a task stays with a runner that does not renew its lease.
pub(crate) const LEASE: Duration = Duration::from_secs(10);
/// The pause before the next attempt, times the number of attempts so far.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The right to work on a task, for a while.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lease {
    pub(crate) task: Task,
    /// This attempt's number, from 1.
    pub(crate) attempt: u32,
    /// Different in every lease, also in earlier ones of the same runner.
    pub(super) owner: String,
}

impl Lease {
    pub(super) fn id(&self) -> TaskId {
        self.task.summary.task_id
    }

    /// The name of a new lease.
    pub(super) fn new_owner() -> Result<String, StoreError> {
        Ok(format!("{:016x}", getrandom::u64()?))
    }

    /// The lease; `None` if its task has had all its attempts and is failed now.
    pub(super) fn unless_exhausted(
        self,
        store: &dyn Store,
        now: Now,
    ) -> Result<Option<Self>, StoreError> {
        if self.attempt <= MAX_ATTEMPTS {
            return Ok(Some(self));
        }
        let reason = "each of its runners ended before the task did";
        store.fail_task(&self, reason, true, 0.0, now)?;
        Ok(None)
    }
}
