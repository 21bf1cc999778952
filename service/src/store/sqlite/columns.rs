//! Converts columns to values and back.

use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::de::DeserializeOwned;

use crate::model::{
    Priority, Session, Status, Task, TaskRecord, TaskSummary, TaskType, Timestamp, User, UserRef,
};

pub(super) const TASK_SUMMARY: &str =
    "task_id, task_reference, task_type, user_id, priority, status, progress, created_at";
pub(super) const TASK: &str = "task_id, task_reference, task_type, user_id, priority, status, progress, created_at, \
     parameters, result, error_message, processing_time, started_at, completed_at, updated_at";
pub(super) const TASK_RECORD: &str = "task_id, task_reference, task_type, user_id, priority, status, progress, created_at, \
     error_message, processing_time, started_at, completed_at, updated_at";
pub(super) const USER: &str = "user_id, username, email, full_name, created_at, updated_at";
pub(super) const SESSION: &str = "session_id, user_id, data, created_at, expires_at";

pub(super) fn task_summary(row: &Row<'_>) -> rusqlite::Result<TaskSummary> {
    Ok(TaskSummary {
        task_id: row.get(0)?,
        task_reference: row.get(1)?,
        task_type: row.get(2)?,
        user_id: row.get(3)?,
        priority: row.get(4)?,
        status: row.get(5)?,
        progress: row.get(6)?,
        created_at: row.get(7)?,
    })
}

pub(super) fn task(row: &Row<'_>) -> rusqlite::Result<Task> {
    let result: Option<Json<_>> = row.get(9)?;
    Ok(Task {
        summary: task_summary(row)?,
        parameters: row.get::<_, Json<_>>(8)?.0,
        result: result.map(|json| json.0),
        error_message: row.get(10)?,
        processing_time: row.get(11)?,
        started_at: row.get(12)?,
        completed_at: row.get(13)?,
        updated_at: row.get(14)?,
    })
}

pub(super) fn task_record(row: &Row<'_>) -> rusqlite::Result<TaskRecord> {
    Ok(TaskRecord {
        summary: task_summary(row)?,
        error_message: row.get(8)?,
        processing_time: row.get(9)?,
        started_at: row.get(10)?,
        completed_at: row.get(11)?,
        updated_at: row.get(12)?,
    })
}

pub(super) fn user(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        user_id: row.get(0)?,
        username: row.get(1)?,
        email: row.get(2)?,
        full_name: row.get(3)?,
        created_at: row.get(4)?,
        updated_at: row.get(5)?,
    })
}

pub(super) fn session(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        session_id: row.get(0)?,
        user_id: row.get(1)?,
        data: row.get::<_, Json<_>>(2)?.0,
        created_at: row.get(3)?,
        expires_at: row.get(4)?,
    })
}

/// A column of JSON text.
struct Json<T>(T);

impl<T: DeserializeOwned> FromSql for Json<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_slice(value.as_bytes()?)
            .map(Self)
            .map_err(FromSqlError::other)
    }
}

impl FromSql for Timestamp {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(Self)
    }
}

impl ToSql for Timestamp {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.into())
    }
}

impl FromSql for UserRef {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str().map(Self::from_stored)
    }
}

impl ToSql for UserRef {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.to_stored().into())
    }
}

impl FromSql for TaskType {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        named(value, &Self::ALL, Self::as_str)
    }
}

impl ToSql for TaskType {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_str().into())
    }
}

impl FromSql for Status {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        named(value, &Self::ALL, Self::as_str)
    }
}

impl ToSql for Status {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_str().into())
    }
}

/// Priorities are numbers in the store, so that they sort.
impl FromSql for Priority {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let rank = value.as_i64()?;
        let known = usize::try_from(rank).ok().and_then(|at| Self::ALL.get(at));
        known.copied().ok_or(FromSqlError::OutOfRange(rank))
    }
}

impl ToSql for Priority {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok((*self as i64).into())
    }
}

fn named<T: Copy>(value: ValueRef<'_>, all: &[T], name: fn(T) -> &'static str) -> FromSqlResult<T> {
    let text = value.as_str()?;
    let found = all.iter().copied().find(|&one| name(one) == text);
    found.ok_or_else(|| FromSqlError::Other(format!("unknown name {text}").into()))
}
