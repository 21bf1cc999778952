//! [`LimitCounters`]: how many requests a rule has refused, and what the log has said of it.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::SharedMemory;
use crate::clock::monotonic_millis;

const REFUSED: usize = 0;
/// How many of them the log has mentioned.
const REPORTED: usize = 1;
/// When it last did, in milliseconds of the monotonic clock.
const REPORTED_AT: usize = 2;

/// Between two lines of the log about a rule.
const PAUSE: Duration = Duration::from_secs(30);

/// Shared by all processes, and kept by a reload as long as there is a rule of that name.
#[derive(Debug, Clone)]
pub struct LimitCounters(SharedMemory);

/// What one line of the log says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitSummary {
    /// Requests that were refused since the line before.
    pub refused: u64,
    /// How long that is ago; `None` for the first line after a pause.
    pub span: Option<Duration>,
}

// Relaxed throughout: a count that is a moment old does no harm.
impl LimitCounters {
    pub fn new() -> io::Result<Self> {
        Ok(Self(SharedMemory::new(3)?))
    }

    pub fn refused(&self) -> u64 {
        self.0[REFUSED].load(Ordering::Relaxed)
    }

    pub fn count_refused(&self) {
        self.0[REFUSED].fetch_add(1, Ordering::Relaxed);
    }

    /// What is to be logged now, if anything. One of all processes gets it. The first refusal is reported at once, and
    /// further ones together, as long as they go on.
    pub fn take_summary(&self) -> Option<LimitSummary> {
        self.take_summary_at(monotonic_millis())
    }

    fn take_summary_at(&self, now: u64) -> Option<LimitSummary> {
        let (refused, reported) = (self.refused(), self.load(REPORTED));
        if refused <= reported {
            return None;
        }
        let before = self.load(REPORTED_AT);
        let pause = Duration::from_millis(now.saturating_sub(before));
        if before > 0 && pause < PAUSE {
            return None;
        }
        self.0[REPORTED_AT]
            .compare_exchange(before, now.max(1), Ordering::Relaxed, Ordering::Relaxed)
            .ok()?;
        self.0[REPORTED].store(refused, Ordering::Relaxed);
        Some(LimitSummary {
            refused: refused - reported,
            span: (before > 0 && pause < 2 * PAUSE).then_some(pause),
        })
    }

    fn load(&self, word: usize) -> u64 {
        self.0[word].load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_refusal_is_reported_at_once_and_the_others_together() {
        let counters = LimitCounters::new().expect("memory");
        assert_eq!(counters.take_summary_at(1_000), None);
        counters.count_refused();
        let first = counters.take_summary_at(1_000).expect("a line");
        assert_eq!((first.refused, first.span), (1, None));
        for _ in 0..5 {
            counters.count_refused();
        }
        assert_eq!(counters.take_summary_at(30_999), None);
        let next = counters.take_summary_at(31_000).expect("a line");
        assert_eq!((next.refused, next.span), (5, Some(PAUSE)));
        assert_eq!(
            counters.take_summary_at(90_000),
            None,
            "nothing was refused"
        );
        counters.count_refused();
        let later = counters.take_summary_at(100_000).expect("a line");
        assert_eq!((later.refused, later.span), (1, None));
        assert_eq!(counters.refused(), 7);
    }
}
