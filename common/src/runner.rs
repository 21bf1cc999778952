//! The background work of a runner process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The work. It returns when [`Stop::requested`] is true, or with an error, which the master logs before it
/// starts another runner.
pub type Runner = Box<dyn FnOnce(&Stop) -> anyhow::Result<()> + Send>;

/// How long a runner may sleep before it looks at [`Stop`] again.
pub const RUNNER_POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Asks a runner to end.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    pub fn request(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub fn requested(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
