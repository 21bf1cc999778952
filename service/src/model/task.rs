//! A task: work that a client asks for and a runner does.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{StoredJson, Timestamp};

/// Counts from 1000.
pub(crate) type TaskId = i64;

/// The kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TaskType {
    #[default]
    DataProcessing,
    FileUpload,
    ReportGeneration,
    DataExport,
    ImageProcessing,
}

/// The more urgent of two waiting tasks is done first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Priority {
    Low,
    #[default]
    Medium,
    High,
    Critical,
}

/// The state of a task. The last three are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    #[default]
    Pending,
    Processing,
    Completed,
    Failed,
    Cancelled,
}

impl TaskType {
    pub(crate) const ALL: [Self; 5] = [
        Self::DataProcessing,
        Self::FileUpload,
        Self::ReportGeneration,
        Self::DataExport,
        Self::ImageProcessing,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::DataProcessing => "data_processing",
            Self::FileUpload => "file_upload",
            Self::ReportGeneration => "report_generation",
            Self::DataExport => "data_export",
            Self::ImageProcessing => "image_processing",
        }
    }
}

impl Priority {
    pub(crate) const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl Status {
    pub(crate) const ALL: [Self; 5] = [
        Self::Pending,
        Self::Processing,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl<'de> Deserialize<'de> for TaskType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        one_of(deserializer, &Self::ALL, Self::as_str)
    }
}

impl<'de> Deserialize<'de> for Priority {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        one_of(deserializer, &Self::ALL, Self::as_str)
    }
}

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        one_of(deserializer, &Self::ALL, Self::as_str)
    }
}

/// Reads a name. The error is for the client, so it does not name the enum.
fn one_of<'de, T: Copy, D: Deserializer<'de>>(
    deserializer: D,
    all: &[T],
    name: fn(T) -> &'static str,
) -> Result<T, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let found = all.iter().copied().find(|&one| value == name(one));
    found.ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|&one| name(one)).collect();
        serde::de::Error::custom(format!("must be one of {}", names.join(", ")))
    })
}

/// The user of a task: a number or a name, kept as the JSON scalar that the client sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub(crate) struct UserRef(Value);

impl UserRef {
    /// The form in the store: `7` or `"anna"`, quotes included.
    pub(crate) fn to_stored(&self) -> String {
        self.0.to_string()
    }

    pub(crate) fn from_stored(text: &str) -> Self {
        Self(serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)))
    }

    /// The two readings of a query's `userId=7`.
    pub(crate) fn stored_forms(text: &str) -> [String; 2] {
        [text.to_owned(), Value::from(text).to_string()]
    }
}

impl fmt::Display for UserRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Value::String(name) => f.write_str(name),
            other => other.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for UserRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        match Value::deserialize(deserializer)? {
            Value::Number(number) if number.is_i64() => Ok(Self(Value::Number(number))),
            Value::String(name)
                if (1..=64).contains(&name.chars().count()) && !name.contains('\0') =>
            {
                Ok(Self(Value::String(name)))
            }
            _ => Err(D::Error::custom(
                "must be an integer or a text of 1 to 64 characters",
            )),
        }
    }
}

/// `TASK`, the day, 8 hexadecimal digits.
pub(crate) fn new_task_reference(now: Timestamp) -> Result<String, getrandom::Error> {
    Ok(format!("TASK{}{:08X}", now.day(), getrandom::u32()?))
}

/// The body of `POST /tasks`.
#[derive(Debug, Clone)]
pub(crate) struct NewTask {
    pub(crate) user_id: UserRef,
    pub(crate) task_type: TaskType,
    pub(crate) priority: Priority,
    pub(crate) parameters: StoredJson,
}

/// A task as lists and `POST` return it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TaskSummary {
    pub(crate) task_id: TaskId,
    /// `TASK`, the day of its creation, 8 hexadecimal digits.
    pub(crate) task_reference: String,
    pub(crate) task_type: TaskType,
    pub(crate) user_id: UserRef,
    pub(crate) priority: Priority,
    pub(crate) status: Status,
    /// Per cent.
    pub(crate) progress: u8,
    pub(crate) created_at: Timestamp,
}

/// A task with all its fields.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Task {
    #[serde(flatten)]
    pub(crate) summary: TaskSummary,
    pub(crate) parameters: StoredJson,
    pub(crate) result: Option<StoredJson>,
    pub(crate) error_message: Option<String>,
    /// Seconds that the last attempt took.
    pub(crate) processing_time: Option<f64>,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) completed_at: Option<Timestamp>,
    pub(crate) updated_at: Timestamp,
}

/// A task as reports and exports see it, without parameters and result: either may have megabytes, and the result of an
/// export would contain the results of all exports before it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TaskRecord {
    #[serde(flatten)]
    pub(crate) summary: TaskSummary,
    pub(crate) error_message: Option<String>,
    /// Seconds that the last attempt took.
    pub(crate) processing_time: Option<f64>,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) completed_at: Option<Timestamp>,
    pub(crate) updated_at: Timestamp,
}

/// Selects the tasks of a list; by default all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TaskFilter {
    pub(crate) status: Option<Status>,
    pub(crate) task_type: Option<TaskType>,
    /// From [`UserRef::stored_forms`].
    pub(crate) user_id: Option<[String; 2]>,
}
