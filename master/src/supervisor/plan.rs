//! The number of children of a generation, and their time limits.

use std::time::Duration;

/// The supervisor's part of the settings of one generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) workers: usize,
    pub(crate) runners: usize,
    /// Whether there is an admin process.
    pub(crate) admin: bool,
    /// A child whose event loop is silent for longer is killed; zero means never.
    pub(crate) timeout: Duration,
    /// The longest drain of a child.
    pub(crate) graceful_timeout: Duration,
    pub(crate) drain_delay: Duration,
}
