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

/// Attempts after which a task is failed.
pub(super) const MAX_ATTEMPTS: u32 = 3;
/// How long a task stays with a runner that is not heard of.
pub(crate) const LEASE: Duration = Duration::from_secs(10);
/// A second attempt begins so much later for each attempt before.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The right to work on a task, for a while.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lease {
    pub(crate) task: Task,
    /// This attempt's number, from 1.
    pub(crate) attempt: u32,
    /// Told apart from every other lease, earlier ones of the same runner included.
    pub(super) owner: String,
}

impl Lease {
    pub(super) fn id(&self) -> TaskId {
        self.task.summary.task_id
    }

    /// A name for a lease that is to be.
    pub(super) fn new_owner() -> Result<String, StoreError> {
        Ok(format!("{:016x}", getrandom::u64()?))
    }

    /// The lease, unless its task has had all its attempts: then the task is failed.
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
