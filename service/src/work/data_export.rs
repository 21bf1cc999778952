//! `data_export`: tasks as `format` `json` or `csv`, filtered by `status`, `taskType` and `userId`,
//! at most `limit` of them, newest first, without their parameters and results.

use anyhow::Context;
use serde_json::{Value, json};

use super::file_upload::hex_digest;
use super::parameters::{Parameters, wrong};
use super::{Assignment, NoteProgress, WorkError};
use crate::model::{TaskFilter, TaskRecord, UserRef};

const MOST: u32 = 10_000;

const HEADER: [&str; 10] = [
    "taskId",
    "taskReference",
    "taskType",
    "userId",
    "priority",
    "status",
    "progress",
    "createdAt",
    "processingTime",
    "errorMessage",
];

pub(super) fn perform(
    assignment: &Assignment<'_>,
    parameters: Parameters<'_>,
    progress: &mut NoteProgress<'_>,
) -> Result<Value, WorkError> {
    let format = parameters.text("format")?;
    let format = format.as_deref().unwrap_or("json");
    let limit = parameters.number("limit", MOST)?.unwrap_or(MOST) as usize;
    let user: Option<UserRef> = parameters.scalar("userId")?;
    let filter = TaskFilter {
        status: parameters.scalar("status")?,
        task_type: parameters.scalar("taskType")?,
        user_id: user.map(|user| UserRef::stored_forms(&user.to_string())),
    };
    let mut tasks = (assignment.lookup)(&filter, limit + 1)?;
    let truncated = tasks.len() > limit;
    tasks.truncate(limit);
    progress(50)?;
    let (data, bytes) = match format {
        "json" => {
            let data = serde_json::to_value(&tasks).context("tasks as JSON")?;
            let bytes = data.to_string().into_bytes();
            (data, bytes)
        }
        "csv" => {
            let text = to_csv(&tasks)?;
            (text.as_str().into(), text.into_bytes())
        }
        _ => return Err(wrong("format", "must be json or csv")),
    };
    Ok(json!({
        "format": format,
        "count": tasks.len(),
        "truncated": truncated,
        "sha256": hex_digest(&bytes),
        "data": data,
    }))
}

fn to_csv(tasks: &[TaskRecord]) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(HEADER)?;
    for task in tasks {
        let summary = &task.summary;
        let created_at = serde_json::to_value(summary.created_at)?;
        writer.write_record([
            summary.task_id.to_string(),
            summary.task_reference.clone(),
            summary.task_type.as_str().to_owned(),
            harmless(&summary.user_id.to_string()),
            summary.priority.as_str().to_owned(),
            summary.status.as_str().to_owned(),
            summary.progress.to_string(),
            created_at.as_str().unwrap_or_default().to_owned(),
            task.processing_time
                .map_or(String::new(), |time| time.to_string()),
            harmless(task.error_message.as_deref().unwrap_or_default()),
        ])?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

/// A spreadsheet takes a text that begins with one of these for a formula, unless a quote comes first.
fn harmless(text: &str) -> String {
    let is_formula =
        text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err();
    if is_formula {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::perform;
    use super::*;
    use crate::model::TaskType;

    fn export(parameters: Value) -> Result<Value, String> {
        perform(TaskType::DataExport, parameters)
    }

    #[test]
    fn tasks_leave_as_json_or_csv() {
        let json = export(json!({"limit": 3})).expect("an export");
        assert_eq!(
            (&json["count"], &json["truncated"]),
            (&json!(3), &json!(true))
        );
        assert_eq!(json["data"][0]["taskId"], 1007);
        for left_out in ["parameters", "result"] {
            assert_eq!(json["data"][0].get(left_out), None);
        }
        let csv = export(json!({"format": "csv"})).expect("an export");
        assert_eq!(
            (&csv["count"], &csv["truncated"]),
            (&json!(8), &json!(false))
        );
        let text = csv["data"].as_str().expect("text");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 9);
        assert!(
            lines[1].ends_with(",1,\"'=cmd, \"\"quoted\"\"\""),
            "{}",
            lines[1]
        );
        assert!(lines[2].starts_with("1006,TASK1006,data_processing,7,medium,completed,100,"));
    }

    #[test]
    fn what_cannot_be_exported_is_refused() {
        for bad in [
            json!({"format": "xml"}),
            json!({"limit": 0}),
            json!({"limit": 10_001}),
            json!({"status": "lost"}),
        ] {
            assert!(export(bad.clone()).is_err(), "{bad}");
        }
        assert_eq!(
            (harmless("-1"), harmless("-a")),
            ("-1".to_owned(), "'-a".to_owned())
        );
    }
}
