//! The clock of the database, which all servers share.

use std::time::Duration;

/// Milliseconds of Unix time when the statement began.
pub(super) const STORE_NOW: &str = "(extract(epoch FROM statement_timestamp()) * 1000)::int8";

/// The time in parameter `at`, or else the present.
pub(super) fn now(at: usize) -> String {
    format!("coalesce(${at}::int8, {STORE_NOW})")
}

/// A time in milliseconds as clients see it, as [`crate::model::Timestamp`] prints it.
pub(super) fn rfc_3339(millis: &str) -> String {
    format!(
        "to_char(timestamp 'epoch' + {millis} * interval '1 millisecond', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
    )
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
