//! Waiting for something to become true, for so long and no longer.

use std::thread;
use std::time::{Duration, Instant};

/// Long enough for a busy machine with two cores; what takes longer is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until `look` finds something; panics with `what` when the patience is over.
pub(crate) fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    eventually_within(PATIENCE, what, look)
}

/// As [`eventually`], with a patience of the caller's.
pub(crate) fn eventually_within<T>(
    patience: Duration,
    what: &str,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        thread::sleep(PAUSE);
    }
}
