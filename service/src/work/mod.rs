//! The work of tasks: from the parameters of a task to its result. It knows neither store nor queue, and fetches nothing
//! over the network.

mod data_export;
mod data_processing;
mod file_upload;
mod image_processing;
mod parameters;
mod report_generation;
mod statistics;

use serde_json::Value;

use super::model::{StoredJson, TaskFilter, TaskRecord, TaskType, UserRef};
use parameters::Parameters;

/// Looks up tasks for reports and exports: newest first, with a limit.
pub(crate) type Lookup<'a> = dyn Fn(&TaskFilter, usize) -> anyhow::Result<Vec<TaskRecord>> + 'a;

/// Receives the progress in per cent. An error means that the work is not wanted any more.
pub(crate) type NoteProgress<'a> = dyn FnMut(u8) -> Result<(), WorkError> + 'a;

/// One attempt at one task.
pub(crate) struct Assignment<'a> {
    pub(crate) task_type: TaskType,
    pub(crate) user_id: &'a UserRef,
    pub(crate) parameters: &'a StoredJson,
    pub(crate) lookup: &'a Lookup<'a>,
}

/// Why an attempt has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkError {
    /// The parameters are invalid: another attempt would fail in the same way.
    #[error("{0}")]
    Parameters(String),
    /// The task was cancelled, or another runner has it.
    #[error("the task is no longer wanted")]
    Abandoned,
    /// Another attempt may succeed.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
}

/// Does the work, and returns the result for the task.
pub(crate) fn perform(
    assignment: &Assignment<'_>,
    progress: &mut NoteProgress<'_>,
) -> Result<Value, WorkError> {
    let fields = parameters::read(assignment.parameters)?;
    let parameters = Parameters(&fields);
    match assignment.task_type {
        TaskType::DataProcessing => data_processing::perform(parameters, progress),
        TaskType::FileUpload => file_upload::perform(parameters),
        TaskType::ReportGeneration => report_generation::perform(assignment, parameters, progress),
        TaskType::DataExport => data_export::perform(assignment, parameters, progress),
        TaskType::ImageProcessing => image_processing::perform(parameters, progress),
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use serde_json::json;

    use super::*;
    use crate::model::{Status, TaskSummary, Timestamp};

    /// Finished tasks for the work to find: ids from 1000, one second each.
    pub(crate) fn tasks(count: i64) -> Vec<TaskRecord> {
        let task = |id: i64| TaskRecord {
            summary: TaskSummary {
                task_id: id,
                task_reference: format!("TASK{id}"),
                task_type: TaskType::DataProcessing,
                user_id: UserRef::from_stored("7"),
                priority: Default::default(),
                status: if id % 4 == 3 {
                    Status::Failed
                } else {
                    Status::Completed
                },
                progress: 100,
                created_at: Timestamp(id * 1000),
            },
            error_message: (id % 4 == 3).then(|| "=cmd, \"quoted\"".to_owned()),
            processing_time: Some(1.0),
            started_at: None,
            completed_at: None,
            updated_at: Timestamp(id * 1000),
        };
        (1000..1000 + count).rev().map(task).collect()
    }

    /// The result, or the text of the error; tasks come from [`tasks`].
    pub(crate) fn perform(task_type: TaskType, parameters: Value) -> Result<Value, String> {
        let user_id = serde_json::from_value(json!(7)).map_err(|error| error.to_string())?;
        let lookup = |_: &TaskFilter, limit: usize| {
            let mut tasks = tasks(8);
            tasks.truncate(limit);
            Ok(tasks)
        };
        let assignment = Assignment {
            task_type,
            user_id: &user_id,
            parameters: &serde_json::from_value(parameters).map_err(|error| error.to_string())?,
            lookup: &lookup,
        };
        let mut last = 0;
        let mut progress = |percent| {
            assert!(percent >= last && percent <= 100, "{percent} after {last}");
            last = percent;
            Ok(())
        };
        super::perform(&assignment, &mut progress).map_err(|error| error.to_string())
    }
}
