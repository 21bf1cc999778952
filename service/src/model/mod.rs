//! Tasks, users and sessions, as the store keeps them and clients see them.

mod session;
mod stored_json;
mod task;
mod time;
mod user;

pub(crate) use session::{Session, new_session_id};
pub(crate) use stored_json::{JsonFields, StoredJson, check, fields, scalar};
pub(crate) use task::{
    NewTask, Priority, Status, Task, TaskFilter, TaskId, TaskRecord, TaskSummary, TaskType,
    UserRef, new_task_reference,
};
pub(crate) use time::{Timestamp, after, time_left};
pub(crate) use user::{NewUser, User, UserChange, UserId};
