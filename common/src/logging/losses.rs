//! Counts the log lines and metrics that a receiver did not take, for all processes together, and decides
//! which process reports it: once when losses begin and once when they have ended.
//!
//! ```text
//!   fine --first loss--> reported --a delivery, and no loss for CALM--> end reported, and fine
//! ```

use std::io;
use std::sync::atomic::Ordering;

use crate::clock::monotonic_millis;
use crate::shared_memory::SharedMemory;

/// A receiver that is full from time to time counts as one long outage, not as many short ones.
const CALM_MILLIS: u64 = 5000;

// The shared words. All zero is the state in which nothing is lost.
const LOST: usize = 0;
const LAST_LOSS: usize = 1;
const LAST_DELIVERY: usize = 2;
/// One of the three values below.
const REPORTED: usize = 3;
/// 1 while the last line that was written is not whole.
const CUT: usize = 4;
/// The error of the latest loss; 0 is none that the system has given.
const ERRNO: usize = 5;
const WORDS: usize = 6;

const NOTHING: u64 = 0;
const BEGINNING: u64 = 1;
/// Only for a moment: the process that reports the end resets the count.
const END: u64 = 2;

/// The losses on the way to one receiver; forked copies share them.
#[derive(Debug, Clone)]
pub(super) struct Losses(SharedMemory);

/// What one process has to write to the error log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LossReport {
    /// Losses have begun; the reason is that of the latest one.
    Begun { reason: String },
    /// Nothing is lost any more.
    Ended { lost: u64 },
}

impl Losses {
    pub(super) fn new() -> io::Result<Self> {
        SharedMemory::new(WORDS).map(Self)
    }

    pub(super) fn note_loss(&self, reason: &io::Error) {
        let errno = reason.raw_os_error().unwrap_or(0).unsigned_abs();
        self.0[ERRNO].store(errno.into(), Ordering::Relaxed);
        self.0[LAST_LOSS].store(monotonic_millis(), Ordering::Relaxed);
        self.0[LOST].fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn note_cut(&self) {
        self.0[CUT].store(1, Ordering::Release);
    }

    /// Whether a line was cut since the last call, by whichever process.
    pub(super) fn take_cut(&self) -> bool {
        self.0[CUT].load(Ordering::Acquire) != 0 && self.0[CUT].swap(0, Ordering::AcqRel) != 0
    }

    /// Whether the last loss is so recent that waiting once more is not worth it.
    pub(super) fn is_losing(&self) -> bool {
        let last = self.0[LAST_LOSS].load(Ordering::Relaxed);
        last != 0 && monotonic_millis().saturating_sub(last) < CALM_MILLIS
    }

    pub(super) fn note_delivery(&self) {
        if self.0[LOST].load(Ordering::Relaxed) > 0 {
            self.0[LAST_DELIVERY].store(monotonic_millis(), Ordering::Relaxed);
        }
    }

    /// What this process has to report; no other process is given the same.
    pub(super) fn report(&self) -> Option<LossReport> {
        self.report_at(monotonic_millis())
    }

    fn report_at(&self, now: u64) -> Option<LossReport> {
        if self.0[LOST].load(Ordering::Acquire) == 0 {
            return None;
        }
        let reported = &self.0[REPORTED];
        // The one process that succeeds writes the report.
        let advance = |from, to| {
            let outcome = reported.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed);
            outcome.is_ok()
        };
        if advance(NOTHING, BEGINNING) {
            let reason = match self.0[ERRNO].load(Ordering::Relaxed) as i32 {
                0 => "it does not keep up".to_owned(),
                errno => io::Error::from_raw_os_error(errno).to_string(),
            };
            return Some(LossReport::Begun { reason });
        }
        let last_loss = self.0[LAST_LOSS].load(Ordering::Relaxed);
        let delivers = self.0[LAST_DELIVERY].load(Ordering::Relaxed) > last_loss;
        if delivers && now.saturating_sub(last_loss) >= CALM_MILLIS && advance(BEGINNING, END) {
            let lost = self.0[LOST].swap(0, Ordering::AcqRel);
            reported.store(NOTHING, Ordering::Release);
            return Some(LossReport::Ended { lost });
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginning_and_end_are_reported_once() {
        let losses = Losses::new().expect("memory");
        let elsewhere = losses.clone();
        let now = monotonic_millis();
        assert_eq!(losses.report(), None);
        let refused = io::Error::from_raw_os_error(libc::ECONNREFUSED);
        losses.note_loss(&refused);
        elsewhere.note_loss(&refused);
        let reason = refused.to_string();
        assert_eq!(elsewhere.report(), Some(LossReport::Begun { reason }));
        assert_eq!((losses.report(), elsewhere.report()), (None, None));
        let late = now + 2 * CALM_MILLIS;
        assert_eq!(losses.report_at(late), None, "nothing is delivered yet");
        losses.0[LAST_DELIVERY].store(now + 100, Ordering::Relaxed);
        assert_eq!(losses.report_at(now + 100), None, "too early to report");
        assert_eq!(losses.report_at(late), Some(LossReport::Ended { lost: 2 }));
        assert_eq!(elsewhere.report_at(late), None);
    }
}
