//! The clock of the database, which all servers share.

use std::time::Duration;

/// Milliseconds of Unix time when the statement began.
pub(super) const STORE_NOW: &str = "(extract(epoch FROM statement_timestamp()) * 1000)::int8";

/// The time in parameter `at`, or else the present.
pub(super) fn now(at: usize) -> String {
    format!("coalesce(${at}::int8, {STORE_NOW})")
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
