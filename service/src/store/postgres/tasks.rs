//! Tasks, in SQL.

use std::sync::LazyLock;

use postgres::Row;

use super::clock;
use super::columns::{TASK, TASK_RECORD, TASK_SUMMARY, rank, task, task_record, task_summary};
use super::connection::PgConnection;
use super::statements::Parameter;
use super::{Postgres, error, outbox};
use crate::events::{EventType, payload_without_id_and_time};
use crate::keys::task_key;
use crate::model::{
    NewTask, Status, Task, TaskFilter, TaskId, TaskRecord, TaskSummary, Timestamp,
    new_task_reference,
};
use crate::store::{Now, StoreError, TaskPage, Tasks};

impl Tasks for Postgres {
    /// The task and its event in one statement. It may be sent twice: because the reference is unique, the second one
    /// waits for the first and then does nothing.
    fn create_task(&self, new: &NewTask, now: Now) -> Result<TaskSummary, StoreError> {
        // Its day goes by the clock of this server: the reference must exist before the statement is first sent.
        let here = now.here();
        let task = TaskSummary {
            task_id: 0,
            task_reference: new_task_reference(here)?,
            task_type: new.task_type,
            user_id: new.user_id.clone(),
            priority: new.priority,
            status: Status::Pending,
            progress: 0,
            created_at: here,
        };
        let parameters = serde_json::to_string(&new.parameters)?;
        let (before, between) = payload_without_id_and_time(EventType::Created, &task)?;
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
                    &now.given(),
                    &before,
                    &between,
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
        // Nothing is returned if an earlier statement has made the task.
        let row = match created {
            Some(row) => row,
            None => self.created(&task.task_reference)?,
        };
        Ok(TaskSummary {
            task_id: row.try_get(0)?,
            created_at: Timestamp(row.try_get(1)?),
            ..task
        })
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

    fn cancel_task(&self, id: TaskId, now: Now) -> Result<Option<(Task, bool)>, StoreError> {
        let (present, moment) = (clock::now(2), now.given());
        self.write(|change| {
            let sql = format!(
                "UPDATE tasks SET status = 'cancelled', completed_at = {present}, updated_at = {present},
                     lease_owner = NULL, lease_until = NULL
                 WHERE task_id = $1 AND status IN ('pending', 'processing') RETURNING {TASK}"
            );
            if let Some(row) = change.row(&sql, &[&id, &moment])? {
                let cancelled = task(&row)?;
                let at = cancelled.updated_at;
                outbox::put(change, EventType::Cancelled, &cancelled.summary, at)?;
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
    /// Id and time of a task.
    fn created(&self, reference: &str) -> Result<Row, StoreError> {
        let sql = "SELECT task_id::int8, created_at::int8 FROM tasks WHERE task_reference = $1";
        let row = self.read(|connection| connection.row(sql, &[&reference]))?;
        row.ok_or(StoreError::Column("task_reference"))
    }
}

static SELECT: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {TASK} FROM tasks WHERE task_id = $1"));

/// All times go by the database's clock; a test may give another.
static INSERT: LazyLock<String> = LazyLock::new(|| {
    let (present, printed) = (clock::now(7), clock::rfc_3339("created_at"));
    format!(
        "WITH moment AS (
             SELECT {present} AS at
         ), task AS (
             INSERT INTO tasks (task_reference, task_type, user_id, priority, status, parameters,
                 available_at, created_at, updated_at)
             SELECT $1::text, $2::text, $3::text, $4::int2, $5::text, $6::text, at, at, at FROM moment
             ON CONFLICT (task_reference) DO NOTHING
             RETURNING task_id, created_at
         ), event AS (
             INSERT INTO events (event_type, task_id, payload, created_at)
             SELECT 'task_created', task_id, $8::text || task_id || $9::text || {printed} || '\"}}', created_at
             FROM task
         )
         SELECT task_id::int8, created_at::int8 FROM task"
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
