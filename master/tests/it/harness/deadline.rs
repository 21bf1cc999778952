//! Waiting for something to become true, for so long and no longer.

use std::thread;
use std::time::{Duration, Instant};

/// Long enough for one thing to happen on a busy machine with two cores. What takes many steps has
/// it for each: see [`eventually_step_by_step`].
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until `look` finds something; panics with `what` when the patience is over.
pub(crate) fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    eventually_within(PATIENCE, what, look)
}

/// As [`eventually`], for as long as it goes on: `Err` says how far it is, and the patience begins
/// anew with each change of that.
pub(crate) fn eventually_step_by_step<T, P: PartialEq + std::fmt::Debug>(
    what: &str,
    mut look: impl FnMut() -> Result<T, P>,
) -> T {
    let mut reached = None;
    loop {
        let step = eventually(
            &format!("{what}, which stands at {reached:?}"),
            || match look() {
                Ok(found) => Some(Ok(found)),
                Err(now) => (reached.as_ref() != Some(&now)).then_some(Err(now)),
            },
        );
        match step {
            Ok(found) => return found,
            Err(now) => reached = Some(now),
        }
    }
}

/// As [`eventually`], with a patience of the caller's. It is counted in looks too: on a machine that
/// gives us little time there are fewer of them.
pub(crate) fn eventually_within<T>(
    patience: Duration,
    what: &str,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + patience;
    let least = patience / 4;
    let mut looked = Duration::ZERO;
    loop {
        if let Some(found) = look() {
            return found;
        }
        let is_over = Instant::now() >= deadline && looked >= least;
        assert!(!is_over, "not within {patience:?}: {what}");
        looked += PAUSE;
        thread::sleep(PAUSE);
    }
}
