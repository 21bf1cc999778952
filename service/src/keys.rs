//! Cache keys: `task:1000`, `user:7`, `session:...`.

use super::model::{TaskId, UserId};

pub(crate) fn task_key(id: TaskId) -> String {
    format!("task:{id}")
}

pub(crate) fn user_key(id: UserId) -> String {
    format!("user:{id}")
}

pub(crate) fn session_key(id: &str) -> String {
    format!("session:{id}")
}
