//! [`OutageWord`]: whether the server does without Redis, known to all workers, so that each of them skips it and one of them
//! says so.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::SharedMemory;
use crate::clock::monotonic_millis;

/// Answers in a row that do not come in time. After so many Redis counts as away.
const MOST_LATE: u64 = 3;

#[derive(Debug, Clone)]
pub struct OutageWord(SharedMemory);

// Relaxed throughout: a worker may see the change a request late.
impl OutageWord {
    pub fn new() -> io::Result<Self> {
        Ok(Self(SharedMemory::new(2)?))
    }

    pub fn is_out(&self) -> bool {
        self.since().load(Ordering::Relaxed) != 0
    }

    /// Redis has answered in time.
    pub fn note_answer(&self) {
        if self.late().load(Ordering::Relaxed) != 0 {
            self.late().store(0, Ordering::Relaxed);
        }
    }

    /// An answer has not come in time. True if Redis counts as away from now on, for one of those who find that.
    pub fn note_late(&self) -> bool {
        self.late().fetch_add(1, Ordering::Relaxed) + 1 >= MOST_LATE && self.begin()
    }

    /// Redis is away. True for the first who says so.
    pub fn begin(&self) -> bool {
        let now = monotonic_millis().max(1);
        let begun = self.since();
        begun
            .compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    /// Redis is back. How long it was away, for the first who says so.
    pub fn end(&self) -> Option<Duration> {
        self.late().store(0, Ordering::Relaxed);
        let since = self.since().swap(0, Ordering::Relaxed);
        let away = monotonic_millis().saturating_sub(since);
        (since != 0).then(|| Duration::from_millis(away))
    }

    fn since(&self) -> &AtomicU64 {
        &self.0[0]
    }

    fn late(&self) -> &AtomicU64 {
        &self.0[1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_all_reports_begin_and_end() {
        let word = OutageWord::new().expect("memory");
        assert!(!word.note_late() && !word.note_late());
        word.note_answer();
        assert!(!word.note_late() && !word.note_late() && !word.is_out());
        assert!(word.note_late() && word.is_out());
        assert!(!word.note_late() && !word.begin());
        assert!(word.end().is_some() && word.end().is_none());
        assert!(!word.is_out() && !word.note_late() && word.begin());
    }
}
