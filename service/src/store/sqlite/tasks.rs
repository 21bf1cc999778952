//! Tasks, in SQL.

use rusqlite::{OptionalExtension, ToSql, params_from_iter};

use super::columns::{TASK, TASK_RECORD, TASK_SUMMARY, task, task_record, task_summary};
use super::{Sqlite, outbox};
use crate::events::EventType;
use crate::keys::task_key;
use crate::model::{
    NewTask, Status, Task, TaskFilter, TaskId, TaskRecord, TaskSummary, new_task_reference,
};
use crate::store::{Now, StoreError, TaskPage, Tasks};

impl Tasks for Sqlite {
    fn create_task(&self, new: &NewTask, now: Now) -> Result<TaskSummary, StoreError> {
        let now = now.here();
        let parameters = serde_json::to_string(&new.parameters)?;
        let reference = new_task_reference(now)?;
        self.write(|change| {
            let created = change
                .prepare_cached(&format!(
                    "INSERT INTO tasks (task_reference, task_type, user_id, priority, status,
                         parameters, available_at, created_at, updated_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?7) RETURNING {TASK_SUMMARY}"
                ))?
                .query_row(
                    (
                        &reference,
                        new.task_type,
                        &new.user_id,
                        new.priority,
                        Status::Pending,
                        &parameters,
                        now,
                    ),
                    task_summary,
                )?;
            outbox::put(change, EventType::Created, &created, now)?;
            change.adds(task_key(created.task_id));
            Ok(created)
        })
    }

    fn task(&self, id: TaskId) -> Result<Option<Task>, StoreError> {
        self.read(|connection| {
            let sql = format!("SELECT {TASK} FROM tasks WHERE task_id = ?");
            let mut statement = connection.prepare_cached(&sql)?;
            Ok(statement.query_row((id,), task).optional()?)
        })
    }

    fn tasks(&self, filter: &TaskFilter, limit: u32, offset: i64) -> Result<TaskPage, StoreError> {
        let (conditions, values) = conditions(filter);
        let count = match filter.user_id {
            Some(_) => format!("SELECT count(*) FROM tasks {conditions}"),
            None => format!("SELECT coalesce(sum(count), 0) FROM task_counts {conditions}"),
        };
        let page = format!(
            "SELECT {TASK_SUMMARY} FROM tasks {conditions} ORDER BY task_id DESC LIMIT ? OFFSET ?"
        );
        let bounds: [&dyn ToSql; 2] = [&limit, &offset];
        self.read(|connection| {
            // One snapshot, so that the total fits the page.
            let snapshot = connection.unchecked_transaction()?;
            let total = snapshot
                .prepare_cached(&count)?
                .query_row(params_from_iter(&values), |row| row.get(0))?;
            let values = values.iter().map(|value| &**value).chain(bounds);
            let tasks = snapshot
                .prepare_cached(&page)?
                .query_map(params_from_iter(values), task_summary)?
                .collect::<Result<_, _>>()?;
            Ok(TaskPage { tasks, total })
        })
    }

    fn task_records(
        &self,
        filter: &TaskFilter,
        limit: usize,
    ) -> Result<Vec<TaskRecord>, StoreError> {
        let (conditions, mut values) = conditions(filter);
        values.push(Box::new(i64::try_from(limit).unwrap_or(i64::MAX)));
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {TASK_RECORD} FROM tasks {conditions} ORDER BY task_id DESC LIMIT ?"
            ))?;
            let rows = statement.query_map(params_from_iter(&values), task_record)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    fn cancel_task(&self, id: TaskId, now: Now) -> Result<Option<(Task, bool)>, StoreError> {
        let now = now.here();
        self.write(|change| {
            let cancelled = change
                .prepare_cached(
                    "UPDATE tasks SET status = ?2, completed_at = ?3, updated_at = ?3,
                         lease_owner = NULL, lease_until = NULL
                     WHERE task_id = ?1 AND status IN ('pending', 'processing')",
                )?
                .execute((id, Status::Cancelled, now))?
                > 0;
            let found = change
                .prepare_cached(&format!("SELECT {TASK} FROM tasks WHERE task_id = ?"))?
                .query_row((id,), task)
                .optional()?;
            if let Some(task) = found.as_ref().filter(|_| cancelled) {
                outbox::put(change, EventType::Cancelled, &task.summary, now)?;
                change.spoils(task_key(id));
            }
            Ok(found.map(|task| (task, cancelled)))
        })
    }
}

/// The WHERE clause of a filter, and its values. A user has few of all tasks, a status or a type has many. SQLite does
/// not know that: the plus keeps it from using an index on status or type.
fn conditions(filter: &TaskFilter) -> (String, Vec<Box<dyn ToSql>>) {
    let by_user = filter.user_id.is_some();
    let mut clauses = Vec::new();
    let mut values: Vec<Box<dyn ToSql>> = Vec::new();
    if let Some(status) = filter.status {
        clauses.push(if by_user { "+status = ?" } else { "status = ?" });
        values.push(Box::new(status));
    }
    if let Some(task_type) = filter.task_type {
        clauses.push(if by_user {
            "+task_type = ?"
        } else {
            "task_type = ?"
        });
        values.push(Box::new(task_type));
    }
    if let Some([number, name]) = filter.user_id.clone() {
        clauses.push("user_id IN (?, ?)");
        values.extend([Box::new(number) as Box<dyn ToSql>, Box::new(name)]);
    }
    let keyword = if clauses.is_empty() { "" } else { "WHERE " };
    (format!("{keyword}{}", clauses.join(" AND ")), values)
}
