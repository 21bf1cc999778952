//! Tasks as clients ask for them.

use rusqlite::{OptionalExtension, ToSql, Transaction, params_from_iter};

use super::columns::{TASK, TASK_RECORD, TASK_SUMMARY, task, task_record, task_summary};
use super::events::{self, EventType};
use super::{Store, StoreError, changes};
use crate::service::model::{
    NewTask, Status, Task, TaskFilter, TaskId, TaskRecord, TaskSummary, Timestamp,
};

/// A part of a list, newest first, and how long the list is.
#[derive(Debug)]
pub(crate) struct TaskPage {
    pub(crate) tasks: Vec<TaskSummary>,
    pub(crate) total: i64,
}

impl Store {
    pub(crate) fn create_task(
        &self,
        new: &NewTask,
        now: Timestamp,
    ) -> Result<TaskSummary, StoreError> {
        let parameters = serde_json::to_string(&new.parameters)?;
        let reference = format!("TASK{}{:08X}", now.day(), getrandom::u32()?);
        self.write(|transaction| {
            let created = transaction
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
            note(transaction, EventType::Created, &created, now)?;
            Ok(created)
        })
    }

    pub(crate) fn task(&self, id: TaskId) -> Result<Option<Task>, StoreError> {
        let connection = self.read()?;
        let mut statement =
            connection.prepare_cached(&format!("SELECT {TASK} FROM tasks WHERE task_id = ?"))?;
        Ok(statement.query_row((id,), task).optional()?)
    }

    pub(crate) fn tasks(
        &self,
        filter: &TaskFilter,
        limit: u32,
        offset: i64,
    ) -> Result<TaskPage, StoreError> {
        let (conditions, mut values) = conditions(filter);
        let connection = self.read()?;
        // One snapshot, so that the total belongs to the page.
        let snapshot = connection.unchecked_transaction()?;
        let count = match filter.user_id {
            Some(_) => format!("SELECT count(*) FROM tasks {conditions}"),
            None => format!("SELECT coalesce(sum(count), 0) FROM task_counts {conditions}"),
        };
        let total = snapshot
            .prepare_cached(&count)?
            .query_row(params_from_iter(&values), |row| row.get(0))?;
        values.push(Box::new(limit));
        values.push(Box::new(offset));
        let tasks = snapshot
            .prepare_cached(&format!(
                "SELECT {TASK_SUMMARY} FROM tasks {conditions}
                 ORDER BY task_id DESC LIMIT ? OFFSET ?"
            ))?
            .query_map(params_from_iter(&values), task_summary)?
            .collect::<Result<_, _>>()?;
        Ok(TaskPage { tasks, total })
    }

    /// How tasks went, newest first, for reports and exports.
    pub(crate) fn task_records(
        &self,
        filter: &TaskFilter,
        limit: usize,
    ) -> Result<Vec<TaskRecord>, StoreError> {
        let (conditions, mut values) = conditions(filter);
        values.push(Box::new(i64::try_from(limit).unwrap_or(i64::MAX)));
        let connection = self.read()?;
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {TASK_RECORD} FROM tasks {conditions} ORDER BY task_id DESC LIMIT ?"
        ))?;
        let rows = statement.query_map(params_from_iter(&values), task_record)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Cancels a task that is not final. The task as it is now, and whether this call did it;
    /// nothing when there is none.
    pub(crate) fn cancel_task(
        &self,
        id: TaskId,
        now: Timestamp,
    ) -> Result<Option<(Task, bool)>, StoreError> {
        self.write(|transaction| {
            let cancelled = transaction
                .prepare_cached(
                    "UPDATE tasks SET status = ?2, completed_at = ?3, updated_at = ?3,
                         lease_owner = NULL, lease_until = NULL
                     WHERE task_id = ?1 AND status IN ('pending', 'processing')",
                )?
                .execute((id, Status::Cancelled, now))?
                > 0;
            let found = transaction
                .prepare_cached(&format!("SELECT {TASK} FROM tasks WHERE task_id = ?"))?
                .query_row((id,), task)
                .optional()?;
            if let Some(task) = found.as_ref().filter(|_| cancelled) {
                note(transaction, EventType::Cancelled, &task.summary, now)?;
            }
            Ok(found.map(|task| (task, cancelled)))
        })
    }
}

/// Puts an event into the outbox and tells the caches.
pub(super) fn note(
    transaction: &Transaction<'_>,
    event_type: EventType,
    task: &TaskSummary,
    now: Timestamp,
) -> Result<(), StoreError> {
    events::put(transaction, event_type, task, now)?;
    spoil(transaction, task.task_id)
}

pub(super) fn spoil(transaction: &Transaction<'_>, id: TaskId) -> Result<(), StoreError> {
    changes::put(transaction, &format!("task:{id}"))
}

/// The WHERE clause of a filter, and its values. A user has few of all tasks, a status or a type
/// has many, which SQLite does not know: the plus keeps it from an index on those.
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::store;
    use super::*;
    use crate::service::model::{TaskType, UserRef};

    fn new(user: serde_json::Value, task_type: TaskType) -> NewTask {
        NewTask {
            user_id: serde_json::from_value::<UserRef>(user).expect("a user"),
            task_type,
            priority: Default::default(),
            parameters: Default::default(),
        }
    }

    #[test]
    fn tasks_count_from_1000_and_lists_are_newest_first() {
        let (_folder, store) = store();
        let now = Timestamp::now();
        for user in [json!(7), json!("7"), json!("anna")] {
            store
                .create_task(&new(user, TaskType::DataExport), now)
                .expect("a task");
        }
        let ids = |filter: &TaskFilter, limit, offset| {
            let page = store.tasks(filter, limit, offset).expect("a page");
            let ids: Vec<_> = page.tasks.iter().map(|task| task.task_id).collect();
            (ids, page.total)
        };
        let all = TaskFilter::default();
        assert_eq!(ids(&all, 50, 0), (vec![1002, 1001, 1000], 3));
        assert_eq!(ids(&all, 1, 1), (vec![1001], 3));
        let user = |id| TaskFilter {
            user_id: Some(UserRef::stored_forms(id)),
            ..TaskFilter::default()
        };
        assert_eq!(ids(&user("7"), 50, 0), (vec![1001, 1000], 2));
        assert_eq!(ids(&user("anna"), 50, 0), (vec![1002], 1));
        let other = TaskFilter {
            task_type: Some(TaskType::FileUpload),
            status: Some(Status::Pending),
            ..user("7")
        };
        assert_eq!(ids(&other, 50, 0), (vec![], 0));
        let task = store.task(1002).expect("a look").expect("a task");
        assert_eq!(task.summary.user_id, UserRef::from_stored("\"anna\""));
        assert!(
            task.summary
                .task_reference
                .starts_with(&format!("TASK{}", now.day()))
        );
        assert_eq!(task.summary.task_reference.len(), 4 + 8 + 8);
    }

    #[test]
    fn a_task_is_cancelled_once() {
        let (_folder, store) = store();
        let now = Timestamp::now();
        let id = store
            .create_task(&new(json!(1), TaskType::DataExport), now)
            .expect("a task")
            .task_id;
        let cancel = |id| {
            let outcome = store.cancel_task(id, now).expect("no error");
            outcome.map(|(task, done)| (task.summary.status, done))
        };
        assert_eq!(cancel(id), Some((Status::Cancelled, true)));
        assert_eq!(cancel(id), Some((Status::Cancelled, false)));
        assert_eq!(cancel(id + 1), None);
        assert_eq!(store.drop_events().expect("events"), 2);
    }

    #[test]
    fn totals_follow_every_change() {
        let (_folder, store) = store();
        let now = Timestamp::now();
        for task_type in [
            TaskType::DataExport,
            TaskType::DataExport,
            TaskType::FileUpload,
        ] {
            store
                .create_task(&new(json!(1), task_type), now)
                .expect("a task");
        }
        store.cancel_task(1000, now).expect("no error");
        let lease = store.take_task(now).expect("no error").expect("a lease");
        let filters = |user_id: Option<[String; 2]>| {
            [
                (None, None, 3),
                (Some(Status::Pending), None, 1),
                (Some(Status::Processing), Some(TaskType::DataExport), 1),
                (Some(Status::Cancelled), Some(TaskType::FileUpload), 0),
                (None, Some(TaskType::DataExport), 2),
            ]
            .map(|(status, task_type, total)| {
                let user_id = user_id.clone();
                let filter = TaskFilter {
                    status,
                    task_type,
                    user_id,
                };
                (filter, total)
            })
        };
        let everyone = filters(None).into_iter();
        for (filter, total) in everyone.chain(filters(Some(UserRef::stored_forms("1")))) {
            let page = store.tasks(&filter, 50, 0).expect("a page");
            let listed = i64::try_from(page.tasks.len()).expect("few");
            assert_eq!((page.total, listed), (total, total), "{filter:?}");
        }
        assert_eq!(lease.attempt, 1);
    }
}
