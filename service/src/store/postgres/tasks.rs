//! Tasks, in SQL.

use std::sync::LazyLock;

use super::clock::STORE_NOW;
use super::columns::{TASK, TASK_RECORD, TASK_SUMMARY, rank, task, task_record, task_summary};
use super::connection::PgConnection;
use super::statements::Parameter;
use super::{Postgres, error, outbox};
use crate::events::{EventType, payload_without_id};
use crate::keys::task_key;
use crate::model::{
    NewTask, Status, Task, TaskFilter, TaskId, TaskRecord, TaskSummary, Timestamp,
    new_task_reference,
};
use crate::store::{StoreError, TaskPage, Tasks};

impl Tasks for Postgres {
    /// The task and its event in one statement. It may be sent twice: because the reference is unique, the second one
    /// waits for the first and then does nothing.
    fn create_task(&self, new: &NewTask, now: Timestamp) -> Result<TaskSummary, StoreError> {
        let task = TaskSummary {
            task_id: 0,
            task_reference: new_task_reference(now)?,
            task_type: new.task_type,
            user_id: new.user_id.clone(),
            priority: new.priority,
            status: Status::Pending,
            progress: 0,
            created_at: now,
        };
        let parameters = serde_json::to_string(&new.parameters)?;
        let (before, after) = payload_without_id(EventType::Created, &task, now)?;
        let insert = |connection: &mut PgConnection| {
            connection.row(
                &INSERT,
                &[
                    &task.task_reference,
                    &task.task_type.as_str(),
                    &task.user_id.to_stored(),
                    &rank(task.priority),
                    &task.status.as_str(),
                    &parameters,
                    &now.0,
                    &before,
                    &after,
                ],
            )
        };
        let mut lent = self.take()?;
        let mut outcome = insert(&mut lent);
        if outcome.as_ref().is_err_and(error::is_loss) {
            lent.doom();
            drop(lent);
            outcome = insert(&mut *self.take_checked()?);
        }
        let created = self.note_change(outcome.map_err(error::of_commit))?;
        let task_id = match created {
            Some(row) => row.try_get(0)?,
            // The first statement has made the task.
            None => self.id_of(&task.task_reference)?,
        };
        Ok(TaskSummary { task_id, ..task })
    }

    fn task(&self, id: TaskId) -> Result<Option<Task>, StoreError> {
        let row = self.read(|connection| connection.row(&SELECT, &[&id]))?;
        row.as_ref().map(task).transpose()
    }

    fn tasks(&self, filter: &TaskFilter, limit: u32, offset: i64) -> Result<TaskPage, StoreError> {
        let conditions = Conditions::new(filter);
        let (wherever, next) = (conditions.sql(), conditions.values.len() + 1);
        let total = match filter.user_id {
            Some(_) => format!("SELECT count(*)::int8 FROM tasks {wherever}"),
            None => format!("SELECT coalesce(sum(count), 0)::int8 FROM task_counts {wherever}"),
        };
        // One statement sees one snapshot, so the total fits the page.
        let sql = format!(
            "SELECT {TASK_SUMMARY}, ({total}) AS total
             FROM (SELECT 1) AS once LEFT JOIN (
                 SELECT {TASK_SUMMARY} FROM tasks {wherever}
                 ORDER BY task_id DESC LIMIT ${next} OFFSET ${}
             ) AS page ON true
             ORDER BY task_id DESC",
            next + 1
        );
        let limit = i64::from(limit);
        let rows = self.read(|connection| {
            let mut values = conditions.values();
            values.extend([&limit as &dyn Parameter, &offset]);
            connection.rows(&sql, &values)
        })?;
        let total = match rows.first() {
            Some(row) => row.try_get("total")?,
            None => 0,
        };
        // If the page is empty, there is one row of nulls.
        let tasks = rows
            .iter()
            .filter(|row| matches!(row.try_get::<_, Option<i64>>(0), Ok(Some(_))))
            .map(task_summary)
            .collect::<Result<_, _>>()?;
        Ok(TaskPage { tasks, total })
    }

    fn task_records(
        &self,
        filter: &TaskFilter,
        limit: usize,
    ) -> Result<Vec<TaskRecord>, StoreError> {
        let conditions = Conditions::new(filter);
        let sql = format!(
            "SELECT {TASK_RECORD} FROM tasks {} ORDER BY task_id DESC LIMIT ${}",
            conditions.sql(),
            conditions.values.len() + 1
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.read(|connection| {
            let mut values = conditions.values();
            values.push(&limit);
            connection.rows(&sql, &values)
        })?;
        rows.iter().map(task_record).collect()
    }

    fn cancel_task(&self, id: TaskId, now: Timestamp) -> Result<Option<(Task, bool)>, StoreError> {
        self.write(|change| {
            let sql = format!(
                "UPDATE tasks SET status = 'cancelled', completed_at = $2, updated_at = $2,
                     lease_owner = NULL, lease_until = NULL
                 WHERE task_id = $1 AND status IN ('pending', 'processing') RETURNING {TASK}"
            );
            if let Some(row) = change.row(&sql, &[&id, &now.0])? {
                let cancelled = task(&row)?;
                outbox::put(change, EventType::Cancelled, &cancelled.summary, now)?;
                change.spoils(task_key(id));
                return Ok(Some((cancelled, true)));
            }
            let found = change.row(&SELECT, &[&id])?;
            let found = found.as_ref().map(task).transpose()?;
            Ok(found.map(|task| (task, false)))
        })
    }
}

impl Postgres {
    fn id_of(&self, reference: &str) -> Result<TaskId, StoreError> {
        let sql = "SELECT task_id::int8 FROM tasks WHERE task_reference = $1";
        let row = self.read(|connection| connection.row(sql, &[&reference]))?;
        let row = row.ok_or(StoreError::Column("task_reference"))?;
        Ok(row.try_get(0)?)
    }
}

static SELECT: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {TASK} FROM tasks WHERE task_id = $1"));

/// Taken by the database's clock: the creator's may be ahead of it.
static INSERT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH task AS (
             INSERT INTO tasks (task_reference, task_type, user_id, priority, status, parameters,
                 available_at, created_at, updated_at)
             VALUES ($1, $2, $3, $4::int2, $5, $6, least($7, {STORE_NOW}), $7, $7)
             ON CONFLICT (task_reference) DO NOTHING
             RETURNING task_id
         ), event AS (
             INSERT INTO events (event_type, task_id, payload, created_at)
             SELECT 'task_created', task_id, $8::text || task_id || $9::text, $7 FROM task
         )
         SELECT task_id::int8 FROM task"
    )
});

/// The WHERE clause of a filter, and its values.
struct Conditions {
    clauses: Vec<String>,
    values: Vec<Box<dyn Parameter>>,
}

impl Conditions {
    fn new(filter: &TaskFilter) -> Self {
        let mut conditions = Self {
            clauses: Vec::new(),
            values: Vec::new(),
        };
        if let Some(status) = filter.status {
            conditions.equal("status", Box::new(status.as_str()));
        }
        if let Some(task_type) = filter.task_type {
            conditions.equal("task_type", Box::new(task_type.as_str()));
        }
        if let Some(forms) = filter.user_id.clone() {
            conditions.equal("user_id", Box::new(forms.to_vec()));
        }
        conditions
    }

    fn equal(&mut self, column: &str, value: Box<dyn Parameter>) {
        self.values.push(value);
        let at = self.values.len();
        self.clauses.push(match column {
            "user_id" => format!("user_id = ANY(${at})"),
            _ => format!("{column} = ${at}"),
        });
    }

    fn sql(&self) -> String {
        let keyword = if self.clauses.is_empty() {
            ""
        } else {
            "WHERE "
        };
        format!("{keyword}{}", self.clauses.join(" AND "))
    }

    fn values(&self) -> Vec<&dyn Parameter> {
        self.values.iter().map(|value| &**value).collect()
    }
}
