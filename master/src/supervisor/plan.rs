//! How many children a generation has, and how long they may take.

use std::time::Duration;

/// What the supervisor needs of the settings of one generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) workers: usize,
    pub(crate) runners: usize,
    /// A child whose event loop is silent for longer is killed; zero is never.
    pub(crate) timeout: Duration,
    /// How long a child may drain.
    pub(crate) graceful_timeout: Duration,
}
