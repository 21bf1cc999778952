//! The store of tasks, users and sessions: a SQLite file that all processes share, or PostgreSQL.
//!
//! All SQL is in this module. One transaction writes a row and its event in the outbox. The caches are told which keys
//! a change invalidates before and after the commit.

mod error;
mod invalidation;
mod lease;
mod pool;
mod postgres;
mod sqlite;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use oxicorn_common::settings::mask;
use oxicorn_common::{Settings, WorkerContext};
use serde_json::Value;

pub(crate) use error::StoreError;
pub(crate) use invalidation::{Changes, Invalidate, Tracker};
pub(crate) use lease::{LEASE, Lease};
pub(crate) use pool::PoolShape;

use super::events::OutboxEvent;
use super::model::{
    NewTask, NewUser, Session, StoredJson, Task, TaskFilter, TaskId, TaskRecord, TaskSummary,
    Timestamp, User, UserChange, UserId,
};
use super::settings::ServiceSettings;

/// A part of a list, newest first, and how long the list is.
#[derive(Debug)]
pub(crate) struct TaskPage {
    pub(crate) tasks: Vec<TaskSummary>,
    pub(crate) total: i64,
}

/// The right to publish what is in the outbox, until dropped. One process of all has it.
pub(crate) trait RelayTurn: fmt::Debug + Send {
    /// Whether it is still ours: a connection that held it may have been lost.
    fn holds(&mut self) -> bool;
}

/// Tasks as clients ask for them.
pub(crate) trait Tasks {
    fn create_task(&self, new: &NewTask, now: Timestamp) -> Result<TaskSummary, StoreError>;
    fn task(&self, id: TaskId) -> Result<Option<Task>, StoreError>;
    fn tasks(&self, filter: &TaskFilter, limit: u32, offset: i64) -> Result<TaskPage, StoreError>;
    /// How tasks went, newest first, for reports and exports.
    fn task_records(
        &self,
        filter: &TaskFilter,
        limit: usize,
    ) -> Result<Vec<TaskRecord>, StoreError>;
    /// Cancels a task that is not final. The task as it is now, and whether this call did it;
    /// nothing when there is none.
    fn cancel_task(&self, id: TaskId, now: Timestamp) -> Result<Option<(Task, bool)>, StoreError>;
}

pub(crate) trait Users {
    fn create_user(&self, new: &NewUser, now: Timestamp) -> Result<User, StoreError>;
    fn user(&self, id: UserId) -> Result<Option<User>, StoreError>;
    /// The user as changed; nothing when there is none.
    fn change_user(
        &self,
        id: UserId,
        change: &UserChange,
        now: Timestamp,
    ) -> Result<Option<User>, StoreError>;
    /// Deletes the user and their sessions; false when there is none.
    fn delete_user(&self, id: UserId) -> Result<bool, StoreError>;
}

/// One that has expired does not exist, even while its row does.
pub(crate) trait Sessions {
    /// A new session; nothing when there is no such user.
    fn create_session(
        &self,
        user: UserId,
        data: &StoredJson,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError>;
    fn session(&self, id: &str, now: Timestamp) -> Result<Option<Session>, StoreError>;
    /// Gives a session its full time again, and other data if there is some.
    fn refresh_session(
        &self,
        id: &str,
        data: Option<&StoredJson>,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError>;
    /// False when there is none.
    fn delete_session(&self, id: &str, now: Timestamp) -> Result<bool, StoreError>;
}

/// The present, for what servers decide by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Now {
    /// By the store's own clock, which is one for all servers.
    Store,
    /// As it was looked up before.
    At(Timestamp),
}

impl Now {
    /// The moment, unless it is for the store to tell.
    fn given(self) -> Option<i64> {
        match self {
            Self::Store => None,
            Self::At(moment) => Some(moment.0),
        }
    }

    /// For a store that has the clock of this machine.
    fn here(self) -> Timestamp {
        self.given().map_or_else(Timestamp::now, Timestamp)
    }
}

/// Tasks as runners work them off.
pub(crate) trait TaskQueue {
    /// Takes the most urgent task that has waited for `late`, that is due for another attempt, or
    /// that a dead runner has left.
    fn take_task(&self, now: Now, late: Duration) -> Result<Option<Lease>, StoreError>;
    /// Takes this task, if it may be taken.
    fn take_task_by_id(&self, id: TaskId, now: Now) -> Result<Option<Lease>, StoreError>;
    /// Prolongs the lease; false when the task is no longer wanted of this runner.
    fn renew_lease(&self, lease: &Lease, now: Now) -> Result<bool, StoreError>;
    /// Notes how far the work has come, in per cent; false as for [`TaskQueue::renew_lease`].
    fn note_progress(&self, lease: &Lease, progress: u8, now: Now) -> Result<bool, StoreError>;
    /// False when the task was cancelled meanwhile or is another runner's.
    fn complete_task(
        &self,
        lease: &Lease,
        result: &Value,
        seconds: f64,
        now: Now,
    ) -> Result<bool, StoreError>;
    /// Ends an attempt without a result. The task waits for the next one, unless this was the last
    /// or `finally` says that another would end the same. False as for [`TaskQueue::complete_task`].
    fn fail_task(
        &self,
        lease: &Lease,
        reason: &str,
        finally: bool,
        seconds: f64,
        now: Now,
    ) -> Result<bool, StoreError>;
    /// How long until [`TaskQueue::take_task`] can find something it does not find now: an attempt
    /// that is put off, or a lease that may run out. `None` when nothing waits at all.
    fn next_work(&self, now: Now) -> Result<Option<Duration>, StoreError>;
}

/// Events that nobody has published yet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unsent {
    pub(crate) count: usize,
    /// A server with a broker has been here, and will be again: nobody else may drop them.
    pub(crate) are_awaited: bool,
}

/// What has happened to tasks, written in the transaction that made it happen.
pub(crate) trait Outbox {
    /// The oldest events of the outbox, in the order in which they were written.
    fn outbox(&self, limit: usize) -> Result<Vec<OutboxEvent>, StoreError>;
    /// Takes events out of the outbox, by their ids: they were published.
    fn remove_events(&self, ids: &[i64]) -> Result<(), StoreError>;
    fn unsent_events(&self) -> Result<Unsent, StoreError>;
    /// Drops events that are so old and that nobody will publish, `most` at a time: no server of this
    /// database has ever had a broker. Returns how many there were.
    fn drop_events(&self, older_than: Duration, most: usize) -> Result<usize, StoreError>;
    /// The turn to publish, unless another process has it.
    fn relay_turn(&self) -> Result<Option<Box<dyn RelayTurn>>, StoreError>;
}

/// Digits of [`Store::identity`], which no two stores have in common.
const IDENTITY_DIGITS: usize = 16;

/// What the service asks of its database.
pub(crate) trait Store:
    Tasks + Users + Sessions + TaskQueue + Outbox + fmt::Debug + Send + Sync
{
    /// Cache keys that were spoiled while the cache could not be told.
    fn stale_keys(&self, limit: usize) -> Result<Vec<String>, StoreError>;
    /// Strikes them off, once the cache has been told.
    fn remove_stale_keys(&self, keys: &[String]) -> Result<(), StoreError>;

    /// Asks for nothing, and so finds out whether the database answers.
    fn ping(&self) -> Result<(), StoreError>;
    /// Whether the last that was asked of it was answered, good or bad.
    fn is_up(&self) -> bool;
    /// What it is, as `/ready` names it.
    fn kind(&self) -> &'static str;
    /// Where it is, as messages name it; without passwords.
    fn name(&self) -> String;
    /// What tells this store from all others, also from a copy of itself, and from itself when it was put back to an
    /// earlier state. Another one at each look where that cannot be told apart: when the database was started again.
    fn identity(&self) -> Result<String, StoreError>;
}

/// Opens the database that `database_url` names and brings its tables up to date.
pub(crate) fn open(
    context: &WorkerContext,
    shape: PoolShape,
    caches: Arc<dyn Invalidate>,
) -> anyhow::Result<Arc<dyn Store>> {
    let settings = ServiceSettings::of(&context.settings);
    match scheme(&settings.database_url) {
        "sqlite" => Ok(Arc::new(sqlite::Sqlite::open(context, shape, caches)?)),
        "postgres" | "postgresql" => {
            Ok(Arc::new(postgres::Postgres::open(context, shape, caches)?))
        }
        other => bail!("database_url: {}: is not supported; {USAGE}", mask(other)),
    }
}

/// What follows the changes of all processes, for a cache that is in this one.
pub(crate) fn tracker(context: &WorkerContext) -> anyhow::Result<Box<dyn Tracker>> {
    let settings = ServiceSettings::of(&context.settings);
    match scheme(&settings.database_url) {
        "sqlite" => Ok(Box::new(sqlite::DataVersion::new(settings)?)),
        "postgres" | "postgresql" => Ok(Box::new(postgres::ChangeListener::new(context)?)),
        other => bail!("database_url: {}: is not supported; {USAGE}", mask(other)),
    }
}

/// Whether the URL can be meant: what answers there is found at the start.
pub(crate) fn check(settings: &Settings) -> anyhow::Result<()> {
    let settings = ServiceSettings::of(settings);
    match scheme(&settings.database_url) {
        "sqlite" => sqlite::check(settings),
        "postgres" | "postgresql" => postgres::check(settings),
        other => bail!("database_url: {}: is not supported; {USAGE}", mask(other)),
    }
}

const USAGE: &str = "use sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME";

fn scheme(database_url: &str) -> &str {
    database_url.split(':').next().unwrap_or_default()
}
