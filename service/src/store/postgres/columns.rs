//! Converts rows to values.

use postgres::Row;
use serde::de::DeserializeOwned;

use crate::model::{
    Priority, Session, Status, Task, TaskRecord, TaskSummary, TaskType, Timestamp, User, UserRef,
};
use crate::store::StoreError;

// Numbers are cast: a column may be made wider while the service runs.
pub(super) const TASK_SUMMARY: &str = "task_id::int8, task_reference, task_type, user_id, priority::int2, status, progress::int2, created_at::int8";
pub(super) const TASK: &str = "task_id::int8, task_reference, task_type, user_id, priority::int2, status, progress::int2, created_at::int8, \
     parameters, result, error_message, processing_time, started_at, completed_at, updated_at";
pub(super) const TASK_RECORD: &str = "task_id::int8, task_reference, task_type, user_id, priority::int2, status, progress::int2, created_at::int8, \
     error_message, processing_time, started_at, completed_at, updated_at";
pub(super) const USER: &str = "user_id, username, email, full_name, created_at, updated_at";
pub(super) const SESSION: &str = "session_id, user_id, data, created_at, expires_at";

pub(super) fn task_summary(row: &Row) -> Result<TaskSummary, StoreError> {
    Ok(TaskSummary {
        task_id: row.try_get(0)?,
        task_reference: row.try_get(1)?,
        task_type: named(row.try_get(2)?, &TaskType::ALL, TaskType::as_str)?,
        user_id: UserRef::from_stored(row.try_get(3)?),
        priority: priority(row.try_get(4)?)?,
        status: named(row.try_get(5)?, &Status::ALL, Status::as_str)?,
        progress: u8::try_from(row.try_get::<_, i16>(6)?).unwrap_or(100),
        created_at: Timestamp(row.try_get(7)?),
    })
}

pub(super) fn task(row: &Row) -> Result<Task, StoreError> {
    let result: Option<&str> = row.try_get(9)?;
    Ok(Task {
        summary: task_summary(row)?,
        parameters: json(row.try_get(8)?)?,
        result: result.map(json).transpose()?,
        error_message: row.try_get(10)?,
        processing_time: row.try_get(11)?,
        started_at: row.try_get::<_, Option<i64>>(12)?.map(Timestamp),
        completed_at: row.try_get::<_, Option<i64>>(13)?.map(Timestamp),
        updated_at: Timestamp(row.try_get(14)?),
    })
}

pub(super) fn task_record(row: &Row) -> Result<TaskRecord, StoreError> {
    Ok(TaskRecord {
        summary: task_summary(row)?,
        error_message: row.try_get(8)?,
        processing_time: row.try_get(9)?,
        started_at: row.try_get::<_, Option<i64>>(10)?.map(Timestamp),
        completed_at: row.try_get::<_, Option<i64>>(11)?.map(Timestamp),
        updated_at: Timestamp(row.try_get(12)?),
    })
}

pub(super) fn user(row: &Row) -> Result<User, StoreError> {
    Ok(User {
        user_id: row.try_get(0)?,
        username: row.try_get(1)?,
        email: row.try_get(2)?,
        full_name: row.try_get(3)?,
        created_at: Timestamp(row.try_get(4)?),
        updated_at: Timestamp(row.try_get(5)?),
    })
}

pub(super) fn session(row: &Row) -> Result<Session, StoreError> {
    Ok(Session {
        session_id: row.try_get(0)?,
        user_id: row.try_get(1)?,
        data: json(row.try_get(2)?)?,
        created_at: Timestamp(row.try_get(3)?),
        expires_at: Timestamp(row.try_get(4)?),
    })
}

/// Priorities are numbers in the store, so that they sort.
pub(super) fn rank(priority: Priority) -> i16 {
    priority as i16
}

fn priority(rank: i16) -> Result<Priority, StoreError> {
    let known = usize::try_from(rank).ok();
    let known = known.and_then(|at| Priority::ALL.get(at));
    known.copied().ok_or(StoreError::Column("priority"))
}

fn json<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    Ok(serde_json::from_str(text)?)
}

fn named<T: Copy>(text: &str, all: &[T], name: fn(T) -> &'static str) -> Result<T, StoreError> {
    let found = all.iter().copied().find(|&one| name(one) == text);
    found.ok_or(StoreError::Column("a name"))
}
