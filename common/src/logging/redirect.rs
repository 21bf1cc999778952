//! The seam for a process that hosts the server and has loggers of its own, such as Python's.
//!
//! While a [`Redirect`] is installed, records and access lines go to it and nowhere else: it may
//! hand them back with [`super::write_error`] and [`super::write_access`], which write to the log
//! files and to syslog.

use std::fmt;
use std::sync::Arc;

use super::{AccessEntry, AccessFormat, Level};

/// Takes what would be logged. Called by any thread, and by none while a lock of ours is held.
pub type Redirect = Box<dyn Fn(Entry<'_>) + Send + Sync>;

/// What a [`Redirect`] takes.
#[derive(Debug)]
pub enum Entry<'a> {
    Error {
        level: Level,
        /// The text is about an exception of the application.
        exception: bool,
        text: &'a str,
    },
    Access {
        format: &'a AccessFormat,
        entry: &'a AccessEntry<'a>,
    },
    /// Log files are to be opened again by their names.
    Reopen,
}

/// The installed one.
#[derive(Clone)]
pub(super) struct Redirected {
    redirect: Arc<Redirect>,
    /// The least level that it takes.
    pub(super) least: Level,
    /// Whether it takes requests.
    pub(super) access: bool,
}

impl Redirected {
    pub(super) fn take(&self, entry: Entry<'_>) {
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

impl fmt::Debug for Redirected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redirected")
    }
}
