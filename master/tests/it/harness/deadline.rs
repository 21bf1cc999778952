//! Waits for a condition, up to a timeout.

use std::thread;
use std::time::{Duration, Instant};

/// Long enough for one thing to happen on a busy machine with two cores. For many steps see
/// [`eventually_step_by_step`].
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until `look` returns a value; panics with `what` after [`TIMEOUT`].
pub(crate) fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    eventually_within(TIMEOUT, what, look)
}

/// As [`eventually`], while there is progress: `Err` is the progress so far, and the timeout begins again when that
/// changes.
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

/// As [`eventually`], with another timeout. It also takes a number of attempts, because a busy machine makes fewer of
/// them.
pub(crate) fn eventually_within<T>(
    timeout: Duration,
    what: &str,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + timeout;
    let least = timeout / 4;
    let mut looked = Duration::ZERO;
    loop {
        if let Some(found) = look() {
            return found;
        }
        let is_over = Instant::now() >= deadline && looked >= least;
        assert!(!is_over, "not within {timeout:?}: {what}");
        looked += PAUSE;
        thread::sleep(PAUSE);
    }
}
