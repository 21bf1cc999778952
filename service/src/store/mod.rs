//! The store of tasks, users and sessions: a SQLite file that all processes share, or PostgreSQL.
//!
//! All SQL is in this module. One transaction writes a row and its event in the outbox. The caches are told which keys
//! a change invalidates before and after the commit.

mod error;
mod figures;
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
pub(crate) use figures::StoreFigures;
pub(crate) use invalidation::{Changes, Invalidate, Tracker};
pub(crate) use lease::{LEASE, Lease};
pub(crate) use pool::PoolShape;

use super::events::OutboxEvent;
use super::model::{
    NewTask, NewUser, Session, StoredJson, Task, TaskFilter, TaskId, TaskRecord, TaskSummary,
    Timestamp, User, UserChange, UserId,
};
use super::settings::ServiceSettings;

/// A part of a list, newest first, and the length of the whole list.
#[derive(Debug)]
pub(crate) struct TaskPage {
    pub(crate) tasks: Vec<TaskSummary>,
    pub(crate) total: i64,
}

/// The right to publish the events of the outbox, until dropped. One process at a time has it.
pub(crate) trait RelayTurn: fmt::Debug + Send {
    /// Whether this process still has it: the connection that held it may have been lost.
    fn holds(&mut self) -> bool;
}

/// Tasks, for requests and for work.
pub(crate) trait Tasks {
    fn create_task(&self, new: &NewTask, now: Now) -> Result<TaskSummary, StoreError>;
    fn task(&self, id: TaskId) -> Result<Option<Task>, StoreError>;
    fn tasks(&self, filter: &TaskFilter, limit: u32, offset: i64) -> Result<TaskPage, StoreError>;
    /// Tasks for reports and exports, newest first.
    fn task_records(
        &self,
        filter: &TaskFilter,
        limit: usize,
    ) -> Result<Vec<TaskRecord>, StoreError>;
    /// Cancels a task that is not final. Returns the task, and whether this call has cancelled it; `None` if there is
    /// none.
    fn cancel_task(&self, id: TaskId, now: Now) -> Result<Option<(Task, bool)>, StoreError>;
}

pub(crate) trait Users {
    fn create_user(&self, new: &NewUser, now: Now) -> Result<User, StoreError>;
    fn user(&self, id: UserId) -> Result<Option<User>, StoreError>;
    /// The changed user; `None` if there is none.
    fn change_user(
        &self,
        id: UserId,
        change: &UserChange,
        now: Now,
    ) -> Result<Option<User>, StoreError>;
    /// Deletes the user and their sessions; false if there is none.
    fn delete_user(&self, id: UserId) -> Result<bool, StoreError>;
}

/// Sessions. An expired one does not exist, even while its row does.
pub(crate) trait Sessions {
    /// A new session; `None` if there is no such user.
    fn create_session(
        &self,
        user: UserId,
        data: &StoredJson,
        ttl: Duration,
        now: Now,
    ) -> Result<Option<Session>, StoreError>;
    /// The session, and how long it has left.
    fn session(&self, id: &str, now: Now) -> Result<Option<(Session, Duration)>, StoreError>;
    /// Gives a session its full lifetime again, and other data if `data` is given.
    fn refresh_session(
        &self,
        id: &str,
        data: Option<&StoredJson>,
        ttl: Duration,
        now: Now,
    ) -> Result<Option<Session>, StoreError>;
    /// False if there is none.
    fn delete_session(&self, id: &str, now: Now) -> Result<bool, StoreError>;
}

/// The present time, for decisions on which all servers must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Now {
    /// By the store's own clock, which is one for all servers.
    Store,
    /// A time that was read before.
    At(Timestamp),
}

impl Now {
    /// The time, unless it is the store's to tell.
    fn given(self) -> Option<i64> {
        match self {
            Self::Store => None,
            Self::At(moment) => Some(moment.0),
        }
    }

    /// For a store whose clock is that of this machine.
    fn here(self) -> Timestamp {
        self.given().map_or_else(Timestamp::now, Timestamp)
    }
}

/// The queue of tasks, for runners.
pub(crate) trait TaskQueue {
    /// Takes the most urgent task of those that have waited for `late`, are due for another attempt, or were left by a
    /// dead runner.
    fn take_task(&self, now: Now, late: Duration) -> Result<Option<Lease>, StoreError>;
    /// Takes this task, if it may be taken.
    fn take_task_by_id(&self, id: TaskId, now: Now) -> Result<Option<Lease>, StoreError>;
    /// Renews the lease; false if it is lost or the task was cancelled.
    fn renew_lease(&self, lease: &Lease, now: Now) -> Result<bool, StoreError>;
    /// Stores the progress of the work, in per cent; false as for [`TaskQueue::renew_lease`].
    fn note_progress(&self, lease: &Lease, progress: u8, now: Now) -> Result<bool, StoreError>;
    /// False if the task was cancelled meanwhile or another runner has it.
    fn complete_task(
        &self,
        lease: &Lease,
        result: &Value,
        seconds: f64,
        now: Now,
    ) -> Result<bool, StoreError>;
    /// Ends an attempt without a result. The task waits for the next one, unless this was the last or `finally` is set,
    /// because another would end in the same way. False as for [`TaskQueue::complete_task`].
    fn fail_task(
        &self,
        lease: &Lease,
        reason: &str,
        finally: bool,
        seconds: f64,
        now: Now,
    ) -> Result<bool, StoreError>;
    /// How long until [`TaskQueue::take_task`] may find a task that it does not find now: one whose next attempt is due
    /// later, or whose lease may expire. `None` if there is none.
    fn next_work(&self, now: Now) -> Result<Option<Duration>, StoreError>;
}

/// Events that are not published yet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unsent {
    pub(crate) count: usize,
    /// A server with a broker has used this database and will again: no other server may drop the events.
    pub(crate) are_awaited: bool,
}

/// Events of tasks, each written in the transaction of its change.
pub(crate) trait Outbox {
    /// The oldest events of the outbox, in the order in which they were written.
    fn outbox(&self, limit: usize) -> Result<Vec<OutboxEvent>, StoreError>;
    /// Removes published events from the outbox, by their ids.
    fn remove_events(&self, ids: &[i64]) -> Result<(), StoreError>;
    fn unsent_events(&self) -> Result<Unsent, StoreError>;
    /// Drops up to `most` old events that will never be published, because no server of this database has ever had a
    /// broker. Returns their number.
    fn drop_events(&self, older_than: Duration, most: usize) -> Result<usize, StoreError>;
    /// The turn to publish; `None` if another process has it.
    fn relay_turn(&self) -> Result<Option<Box<dyn RelayTurn>>, StoreError>;
}

/// Figures of the whole database. They cost one cheap statement: triggers count the tasks.
pub(crate) trait Survey {
    fn survey(&self) -> Result<StoreFigures, StoreError>;
}

/// Digits of [`Store::identity`].
const IDENTITY_DIGITS: usize = 16;

/// A database of the service.
pub(crate) trait Store:
    Tasks + Users + Sessions + TaskQueue + Outbox + Survey + fmt::Debug + Send + Sync
{
    /// Cache keys that changes have invalidated while the cache could not be reached.
    fn stale_keys(&self, limit: usize) -> Result<Vec<String>, StoreError>;
    /// Removes them after the cache has dropped them.
    fn remove_stale_keys(&self, keys: &[String]) -> Result<(), StoreError>;

    /// Checks whether the database answers.
    fn ping(&self) -> Result<(), StoreError>;
    /// Whether the last statement was answered, with a result or an error.
    fn is_up(&self) -> bool;
    /// Its kind, as `/ready` names it.
    fn kind(&self) -> &'static str;
    /// Its address, as messages name it; without passwords.
    fn name(&self) -> String;
    /// Distinguishes this store from all others, also from its copies and from its own earlier states. It changes when
    /// the database is restarted, because an earlier state could have been restored meanwhile.
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

/// Follows the changes of all processes, for a cache in this one.
pub(crate) fn tracker(context: &WorkerContext) -> anyhow::Result<Box<dyn Tracker>> {
    let settings = ServiceSettings::of(&context.settings);
    match scheme(&settings.database_url) {
        "sqlite" => Ok(Box::new(sqlite::DataVersion::new(settings)?)),
        "postgres" | "postgresql" => Ok(Box::new(postgres::ChangeListener::new(context)?)),
        other => bail!("database_url: {}: is not supported; {USAGE}", mask(other)),
    }
}

/// Checks the URL without connecting.
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
