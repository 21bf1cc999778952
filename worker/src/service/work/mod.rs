//! The work that tasks ask for: from the parameters of a task to its result. No module here knows
//! the store or the queue, none fetches anything from elsewhere.

use serde_json::{Map, Value};

use super::model::{Task, TaskFilter, TaskType, UserRef};

/// Looks up tasks for reports and exports: newest first, at most so many.
pub(crate) type Lookup<'a> = dyn Fn(&TaskFilter, usize) -> anyhow::Result<Vec<Task>> + 'a;

/// Told how far the work has come, in per cent; an error means that nobody wants it any more.
pub(crate) type Progress<'a> = dyn FnMut(u8) -> Result<(), WorkError> + 'a;

/// One attempt at one task.
pub(crate) struct Assignment<'a> {
    pub(crate) task_type: TaskType,
    pub(crate) user_id: &'a UserRef,
    pub(crate) parameters: &'a Map<String, Value>,
    pub(crate) lookup: &'a Lookup<'a>,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkError {
    /// The parameters make no sense: another attempt would end the same.
    #[error("{0}")]
    Parameters(String),
    /// Somebody cancelled the task, or another runner has it.
    #[error("the task is no longer wanted")]
    Abandoned,
    /// Worth another attempt.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
}
pub(crate) fn perform(
    assignment: &Assignment<'_>,
    progress: &mut Progress<'_>,
) -> Result<Value, WorkError> {
    progress(50)?;
    let _ = (assignment.task_type, assignment.user_id, assignment.lookup);
    Ok(Value::Object(assignment.parameters.clone()))
}
