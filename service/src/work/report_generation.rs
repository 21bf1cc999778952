//! `report_generation`: a report over the tasks of `userId`, by default the task's own user, created from `from` until
//! before `to` (RFC 3339).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::parameters::{Parameters, wrong};
use super::{Assignment, NoteProgress, WorkError};
use crate::model::{Status, TaskFilter, TaskRecord, Timestamp, UserRef};

/// The maximum number of tasks in a report.
const MOST: usize = 100_000;

pub(super) fn perform(
    assignment: &Assignment<'_>,
    parameters: Parameters<'_>,
    progress: &mut NoteProgress<'_>,
) -> Result<Value, WorkError> {
    let user: UserRef = parameters
        .scalar("userId")?
        .unwrap_or_else(|| assignment.user_id.clone());
    let (from, to) = (moment(parameters, "from")?, moment(parameters, "to")?);
    let filter = TaskFilter {
        user_id: Some(UserRef::stored_forms(&user.to_string())),
        ..TaskFilter::default()
    };
    let mut tasks = (assignment.lookup)(&filter, MOST)?;
    progress(50)?;
    let truncated = tasks.len() == MOST;
    tasks.retain(|task| {
        let created = task.summary.created_at;
        from.is_none_or(|from| created >= from) && to.is_none_or(|to| created < to)
    });
    Ok(json!({
        "userId": user,
        "total": tasks.len(),
        "truncated": truncated,
        "byStatus": count(&tasks, |task| task.summary.status.as_str()),
        "byType": count(&tasks, |task| task.summary.task_type.as_str()),
        "byPriority": count(&tasks, |task| task.summary.priority.as_str()),
        "successRate": success_rate(&tasks),
        "processingTime": processing_time(&tasks),
        "oldest": tasks.last().map(|task| task.summary.created_at),
        "newest": tasks.first().map(|task| task.summary.created_at),
    }))
}

fn moment(parameters: Parameters<'_>, name: &str) -> Result<Option<Timestamp>, WorkError> {
    let Some(text) = parameters.text(name)? else {
        return Ok(None);
    };
    let moment: jiff::Timestamp = text
        .parse()
        .map_err(|_| wrong(name, "must be a time such as 2026-01-31T00:00:00Z"))?;
    Ok(Some(Timestamp(moment.as_millisecond())))
}

fn count(
    tasks: &[TaskRecord],
    name: fn(&TaskRecord) -> &'static str,
) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for task in tasks {
        *counts.entry(name(task)).or_default() += 1;
    }
    counts
}

/// The share of completed tasks among those that completed or failed.
fn success_rate(tasks: &[TaskRecord]) -> Option<f64> {
    let with = |status| {
        tasks
            .iter()
            .filter(|task| task.summary.status == status)
            .count()
    };
    let (completed, failed) = (with(Status::Completed), with(Status::Failed));
    let ended = completed + failed;
    (ended > 0).then(|| completed as f64 / ended as f64)
}

/// Seconds, over the tasks that have run.
fn processing_time(tasks: &[TaskRecord]) -> Value {
    let times: Vec<f64> = tasks
        .iter()
        .filter_map(|task| task.processing_time)
        .collect();
    let longest = times.iter().copied().reduce(f64::max);
    let mean = longest.map(|_| times.iter().sum::<f64>() / times.len() as f64);
    json!({ "mean": mean, "max": longest })
}

#[cfg(test)]
mod tests {
    use super::super::testing::perform;
    use super::*;
    use crate::model::TaskType;

    fn report(parameters: Value) -> Result<Value, String> {
        perform(TaskType::ReportGeneration, parameters)
    }

    #[test]
    fn a_report_counts_the_tasks_of_a_user() {
        let report = report(json!({})).expect("a report");
        assert_eq!(
            (&report["userId"], &report["total"]),
            (&json!(7), &json!(8))
        );
        assert_eq!(report["byStatus"], json!({"completed": 6, "failed": 2}));
        assert_eq!(report["byType"], json!({"data_processing": 8}));
        assert_eq!(report["successRate"], 0.75);
        assert_eq!(report["processingTime"], json!({"mean": 1.0, "max": 1.0}));
        assert_eq!(report["oldest"], "1970-01-01T00:16:40.000Z");
    }

    #[test]
    fn a_period_bounds_it() {
        let of = json!({"from": "1970-01-01T00:16:42Z", "to": "1970-01-01T00:16:44Z"});
        assert_eq!(report(of).map(|it| it["total"].clone()), Ok(json!(2)));
        let none = report(json!({"to": "1970-01-01T00:00:00Z"})).expect("a report");
        assert_eq!(
            (&none["total"], &none["successRate"]),
            (&json!(0), &Value::Null)
        );
        assert!(report(json!({"from": "yesterday"})).is_err());
    }
}
