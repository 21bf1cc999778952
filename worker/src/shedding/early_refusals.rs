//! The requests that were refused at once lately, to find out afterwards which of them could have been run in time: those
//! that would still have waited when a thread had nothing to do.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sync::lock;

/// The last ones say most: a thread was free soon after them.
const KEPT: usize = 16;

/// Moments are in nanoseconds since the worker began.
#[derive(Debug, Default)]
pub(super) struct EarlyRefusals {
    kept: Mutex<VecDeque<EarlyRefusal>>,
    /// The last of them; 0 is none.
    last: AtomicU64,
    /// When a request was refused last that had waited in vain.
    last_late: AtomicU64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct EarlyRefusal {
    pub(super) at: u64,
    /// The share of `queue_timeout` with which it would have been let in.
    pub(super) needed: f64,
    /// The same, had nobody waited before it.
    pub(super) needed_alone: f64,
}

impl EarlyRefusals {
    pub(super) fn note(&self, refusal: EarlyRefusal) {
        let mut kept = lock(&self.kept);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(refusal);
        self.last.store(refusal.at, Ordering::Relaxed);
    }

    pub(super) fn note_late(&self, at: u64) {
        self.last_late.store(at, Ordering::Relaxed);
    }

    /// A thread had nothing to do at `idle_since`. Returns the highest share that one of those needed who had not waited
    /// for `timeout` by then. The first of them is forgotten: the thread could have run one.
    pub(super) fn take_wrong(&self, idle_since: u64, timeout: u64) -> Option<f64> {
        let is_recent = |at: u64| idle_since.saturating_sub(at) < timeout;
        let last = self.last.load(Ordering::Relaxed);
        if last == 0 || !is_recent(last) {
            return None;
        }
        let last_late = self.last_late.load(Ordering::Relaxed);
        let mut kept = lock(&self.kept);
        while kept.front().is_some_and(|it| !is_recent(it.at)) {
            kept.pop_front();
        }
        let known = kept.iter().take_while(|it| it.at <= idle_since);
        // One before it has waited in vain, and kept nobody waiting.
        let needed = known.map(|it| match it.at <= last_late {
            true => it.needed_alone,
            false => it.needed,
        });
        let needed = needed.reduce(f64::max)?;
        kept.pop_front();
        Some(needed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(all: &EarlyRefusals, at: u64, needed: f64) {
        all.note(EarlyRefusal {
            at,
            needed,
            needed_alone: 1.0,
        });
    }

    #[test]
    fn only_those_count_that_would_have_been_in_time() {
        let all = EarlyRefusals::default();
        assert_eq!(all.take_wrong(100, 50), None);
        for (at, needed) in [(10, 9.0), (60, 3.0), (70, 2.0), (110, 4.0)] {
            refused(&all, at, needed);
        }
        assert_eq!(all.take_wrong(100, 50), Some(3.0));
        assert_eq!(all.take_wrong(100, 50), Some(2.0));
        assert_eq!(all.take_wrong(100, 50), None);
        assert_eq!(all.take_wrong(120, 50), Some(4.0));
        refused(&all, 200, 2.0);
        assert_eq!(all.take_wrong(250, 50), None);
    }

    #[test]
    fn who_was_late_does_not_count_as_one_before() {
        let all = EarlyRefusals::default();
        refused(&all, 60, 3.0);
        all.note_late(80);
        assert_eq!(all.take_wrong(100, 50), Some(1.0));
    }

    #[test]
    fn a_few_are_kept() {
        let all = EarlyRefusals::default();
        (0..1000).for_each(|at| refused(&all, at, 1000.0 - at as f64));
        assert_eq!(all.take_wrong(1000, 1000), Some(16.0));
    }
}
