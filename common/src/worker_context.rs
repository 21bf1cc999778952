//! [`WorkerContext`]: the settings, slot, generation, age, bell, shared memory and metrics of a child, for
//! `Application::load`.

use std::sync::Arc;

use crate::bell::Bell;
use crate::hooks::Hooks;
use crate::metrics::Metrics;
use crate::scoreboard::Scoreboard;
use crate::settings::Settings;
use crate::shared_memory::SharedMemory;

/// The facts about a child process when it makes the application.
#[derive(Debug, Clone)]
pub struct WorkerContext {
    pub settings: Arc<Settings>,
    /// The scoreboard slot, 0 for the first child; a replacement may reuse it.
    pub slot: usize,
    /// The serial number of the generation, from 1. Its children share settings and application.
    pub generation: u32,
    /// The child's serial number over the life of the master, as gunicorn's `worker.age`.
    pub age: u64,
    /// Rung by web workers, heard by runners.
    pub bell: Bell,
    /// The words that [`crate::Application::shared_words`] asks for.
    pub shared_memory: SharedMemory,
    /// Counts what [`crate::Application::metrics`] lists.
    pub metrics: Metrics,
    pub hooks: Arc<dyn Hooks>,
    pub scoreboard: Scoreboard,
}
