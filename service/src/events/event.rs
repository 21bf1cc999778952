//! One event, as the outbox stores it and consumers receive it.

use serde::{Deserialize, Serialize};

use crate::model::{Priority, TaskId, TaskSummary, TaskType, Timestamp, UserRef};

/// What can happen to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum EventType {
    #[serde(rename = "task_created")]
    Created,
    #[serde(rename = "task_cancelled")]
    Cancelled,
    #[serde(rename = "task_completed")]
    Completed,
    #[serde(rename = "task_failed")]
    Failed,
}

impl EventType {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Created => "task_created",
            Self::Cancelled => "task_cancelled",
            Self::Completed => "task_completed",
            Self::Failed => "task_failed",
        }
    }
}

/// An event that waits to be published. The events of one task are in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutboxEvent {
    pub(crate) event_id: i64,
    pub(crate) task_id: TaskId,
    /// The message that consumers get, in JSON.
    pub(crate) payload: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    event_type: EventType,
    task_id: TaskId,
    task_reference: &'a str,
    task_type: TaskType,
    user_id: &'a UserRef,
    priority: Priority,
    timestamp: Timestamp,
}

/// The fields of an event that a runner reads.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Notice {
    pub(crate) event_type: EventType,
    pub(crate) task_id: TaskId,
    pub(crate) priority: Priority,
}

/// The event as consumers get it.
pub(crate) fn payload(
    event_type: EventType,
    task: &TaskSummary,
    now: Timestamp,
) -> serde_json::Result<String> {
    serde_json::to_string(&Payload {
        event_type,
        task_id: task.task_id,
        task_reference: &task.task_reference,
        task_type: task.task_type,
        user_id: &task.user_id,
        priority: task.priority,
        timestamp: now,
    })
}

/// The event of a task that has neither id nor time yet: the text before the id, and the text between it and the time.
/// After the time comes `"}`.
pub(crate) fn payload_without_id_and_time(
    event_type: EventType,
    task: &TaskSummary,
) -> serde_json::Result<(String, String)> {
    const ID: &str = "\"taskId\":";
    const TIME: &str = "\"timestamp\":\"";
    let task = TaskSummary {
        task_id: 0,
        ..task.clone()
    };
    let whole = payload(event_type, &task, Timestamp(0))?;
    // `taskId` is the second field and `timestamp` the last: what a client has sent is between them.
    let (before, rest) = whole.split_once(ID).unwrap_or((&whole, "0"));
    let rest = rest.strip_prefix('0').unwrap_or(rest);
    let (between, _) = rest.rsplit_once(TIME).unwrap_or((rest, ""));
    Ok((format!("{before}{ID}"), format!("{between}{TIME}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_and_time_go_where_they_belong() {
        let task = TaskSummary {
            task_id: 1000,
            task_reference: "TASK1".to_owned(),
            task_type: TaskType::FileUpload,
            user_id: UserRef::from_stored("\"\\\"taskId\\\":0\\\"timestamp\\\":\\\"\""),
            priority: Priority::High,
            status: Default::default(),
            progress: 0,
            created_at: Timestamp(0),
        };
        let whole = payload(EventType::Created, &task, Timestamp(0)).expect("JSON");
        let (before, between) =
            payload_without_id_and_time(EventType::Created, &task).expect("JSON");
        let time = "1970-01-01T00:00:00.000Z\"}";
        assert_eq!(format!("{before}1000{between}{time}"), whole);
        assert!(
            whole.starts_with(
                r#"{"eventType":"task_created","taskId":1000,"taskReference":"TASK1""#
            )
        );
    }
}
