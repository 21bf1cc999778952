//! The number of children of a generation, and their time limits.

use std::time::Duration;

use oxicorn_common::settings::WorkerBounds;

/// The supervisor's part of the settings of one generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) workers: usize,
    /// `None` if the number of workers is fixed.
    pub(crate) scaling: Option<WorkerBounds>,
    pub(crate) runners: usize,
    /// Whether there is an admin process.
    pub(crate) admin: bool,
    /// A child whose event loop is silent for longer is killed; zero means never.
    pub(crate) timeout: Duration,
    /// How long a child may take to get ready; zero means that `timeout` counts.
    pub(crate) boot_timeout: Duration,
    /// After this time a worker is replaced; zero means never.
    pub(crate) worker_max_age: Duration,
    /// The limits of a worker and of all processes together, in bytes.
    pub(crate) max_worker_memory: Option<u64>,
    pub(crate) max_total_memory: Option<u64>,
    /// Whether a worker becomes a mold when it says that it is warm.
    pub(crate) reforks: bool,
    /// The longest drain of a child.
    pub(crate) graceful_timeout: Duration,
    pub(crate) drain_delay: Duration,
}
