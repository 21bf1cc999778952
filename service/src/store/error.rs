//! The errors of a store.

use rusqlite::ErrorCode;

#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// No connection within POOL_TIMEOUT, or no turn to write within the busy timeout.
    #[error("the database is busy")]
    Busy(#[source] Option<rusqlite::Error>),
    /// No connection could be opened.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    /// The connection was lost before the change was committed, or while it was only read.
    #[error("the connection to the database was lost")]
    Lost(#[source] anyhow::Error),
    /// The connection was lost while the change was being committed.
    #[error("the connection to the database was lost; the change may have been made or not")]
    Unknown(#[source] anyhow::Error),
    /// A concurrent change conflicted; the server has rolled this one back.
    #[error("another change got in the way")]
    Conflict(#[source] anyhow::Error),
    #[error("the database failed")]
    Postgres(#[source] postgres::Error),
    /// Another user has the value of this field.
    #[error("{0} is taken")]
    Taken(&'static str),
    /// It can be read, but accepts no changes for now; with the reason.
    #[error("the database takes no changes: {0}")]
    NoChanges(String),
    /// A text has a character that the database cannot hold.
    #[error("a text has a character that the database cannot hold")]
    Text,
    #[error("the database failed")]
    Sqlite(#[source] rusqlite::Error),
    /// As [`StoreError::Sqlite`], with the file.
    #[error("the database in {path} failed")]
    File {
        path: String,
        source: rusqlite::Error,
    },
    #[error("{path} cannot be locked: {cause}")]
    Lock { path: String, cause: std::io::Error },
    #[error("a column holds what it cannot hold")]
    Json(#[from] serde_json::Error),
    #[error("the database holds what it cannot hold: {0}")]
    Column(&'static str),
    #[error("the system has no random numbers")]
    Random(#[from] getrandom::Error),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy(Some(error)),
            Some(ErrorCode::DiskFull) => Self::NoChanges("its disk is full".to_owned()),
            Some(ErrorCode::ReadOnly | ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => {
                Self::NoChanges(error.to_string())
            }
            _ => Self::Sqlite(error),
        }
    }
}
