//! Passes records to the loggers of the host process, such as Python's, instead of the log files.
//!
//! While a [`Redirect`] is installed, records and access entries go to it and nowhere else. It may hand them
//! back with `write_error` and `write_access`, which write to the log files and to syslog.

use std::fmt;
use std::sync::Arc;

use super::access::{AccessEntry, AccessFormat};
use super::level::Level;
use super::request_tag::RequestTag;

/// Takes what would be logged. Any thread may call it; none does while it holds a lock of this module.
pub type Redirect = Box<dyn Fn(LogEntry<'_>) + Send + Sync>;

/// What a [`Redirect`] takes.
#[derive(Debug)]
pub enum LogEntry<'a> {
    Error {
        level: Level,
        /// Whether the text is about an exception of the application.
        exception: bool,
        text: &'a str,
        /// The request that it is about.
        tag: RequestTag,
    },
    Access {
        format: &'a AccessFormat,
        entry: &'a AccessEntry<'a>,
    },
    /// Opens log files again by their names.
    Reopen,
}

/// The redirect that is installed.
#[derive(Clone)]
pub(super) struct InstalledRedirect {
    redirect: Arc<Redirect>,
    /// The least level that it takes.
    pub(super) least: Level,
    /// Whether it takes requests.
    pub(super) access: bool,
}

impl InstalledRedirect {
    pub(super) fn take(&self, entry: LogEntry<'_>) {
        (self.redirect)(entry);
    }

    pub(super) fn new(redirect: Redirect, least: Level, access: bool) -> Self {
        Self {
            redirect: Arc::new(redirect),
            least,
            access,
        }
    }
}

impl fmt::Debug for InstalledRedirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InstalledRedirect")
    }
}
