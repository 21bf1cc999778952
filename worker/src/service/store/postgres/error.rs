//! Errors of the crate sorted by what they mean for a change: the one place that knows SQLSTATEs.

use postgres::error::{DbError, SqlState};

use crate::service::store::StoreError;

/// Whether the connection is gone, or will be: the server says good-bye with a code of its own.
pub(super) fn is_loss(error: &postgres::Error) -> bool {
    match error.as_db_error() {
        Some(error) => is_farewell(error.code()),
        None => error.is_closed() || is_io(error),
    }
}

/// While only reading, or before a commit was sent: nothing was changed.
pub(super) fn of_read(error: postgres::Error) -> StoreError {
    if is_loss(&error) {
        return StoreError::Lost(anyhow::Error::new(error));
    }
    match error.as_db_error() {
        Some(answer) => of_answer(answer).unwrap_or(StoreError::Postgres(error)),
        None => StoreError::Postgres(error),
    }
}

/// While a commit was under way.
pub(super) fn of_commit(error: postgres::Error) -> StoreError {
    match is_loss(&error) {
        true => StoreError::Unknown(anyhow::Error::new(error)),
        false => of_read(error),
    }
}

/// Whether another attempt may succeed without anybody changing a setting.
pub(super) fn is_temporary(error: &postgres::Error) -> bool {
    match error.as_db_error() {
        Some(answer) => is_farewell(answer.code()) || is_full(answer.code()),
        // The crate tells these apart by their texts only.
        None => [
            "error performing TLS",
            "invalid configuration",
            "authentication",
        ]
        .iter()
        .all(|text| !error.to_string().starts_with(text)),
    }
}

impl From<postgres::Error> for StoreError {
    fn from(error: postgres::Error) -> Self {
        of_read(error)
    }
}

fn of_answer(answer: &DbError) -> Option<StoreError> {
    let code = answer.code();
    if *code == SqlState::UNIQUE_VIOLATION {
        return match answer.constraint() {
            Some("users_username") => Some(StoreError::Taken("username")),
            Some("users_email") => Some(StoreError::Taken("email")),
            _ => None,
        };
    }
    if [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
    ]
    .contains(code)
    {
        return Some(StoreError::Conflict(anyhow::anyhow!("{answer}")));
    }
    is_full(code).then(|| StoreError::Unreachable(answer.to_string()))
}

/// Class 57: an operator ends the connection, or the server is starting or stopping.
fn is_farewell(code: &SqlState) -> bool {
    [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
    ]
    .contains(code)
}

fn is_full(code: &SqlState) -> bool {
    *code == SqlState::TOO_MANY_CONNECTIONS
}

fn is_io(error: &postgres::Error) -> bool {
    use std::error::Error;
    error
        .source()
        .is_some_and(|source| source.is::<std::io::Error>())
}
