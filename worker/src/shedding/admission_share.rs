//! How much of `queue_timeout` the wait that is foreseen may be.
//!
//! Forecasts are wrong by more where some requests take much longer than others. A request that is let in and then
//! refused after all has waited in vain: each one makes the share smaller, and those that are run make it grow slowly.
//! In balance one in some hundred is refused late.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const WHOLE: u32 = 1 << 16;
const FIRST: u32 = WHOLE / 4 * 3;
const LEAST: u32 = WHOLE / 8;
/// Who has waited in vain for no longer has lost nothing, while a thread without a request is lost.
const HARMLESS: Duration = Duration::from_millis(8);

/// In parts of [`WHOLE`]. Relaxed: threads may lose each other's changes.
#[derive(Debug)]
pub(crate) struct AdmissionShare(AtomicU32);

impl AdmissionShare {
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(FIRST))
    }

    pub(crate) fn of(&self, timeout: Duration) -> Duration {
        let share = timeout.mul_f64(f64::from(self.get()) / f64::from(WHOLE));
        share.max(timeout.min(HARMLESS))
    }

    /// A request that has waited is run in time.
    pub(crate) fn note_in_time(&self) {
        let share = self.get();
        self.set(share + (WHOLE - share).div_ceil(2048));
    }

    /// A request has waited in vain.
    pub(crate) fn note_late(&self) {
        let share = self.get();
        self.set((share - share / 8).max(LEAST));
    }

    fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, share: u32) {
        self.0.store(share.min(WHOLE), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_late_in_the_end_and_it_recovers() {
        let share = AdmissionShare::new();
        let timeout = Duration::from_secs(1);
        assert_eq!(share.of(timeout), timeout.mul_f64(0.75));
        // Whoever waits longer than half of the time is late.
        let mut late = 0;
        for _ in 0..10_000 {
            if share.of(timeout) > timeout / 2 {
                share.note_late();
                late += 1;
            } else {
                share.note_in_time();
            }
        }
        assert!((1..100).contains(&late), "{late}");
        (0..1000).for_each(|_| share.note_late());
        assert_eq!(share.of(timeout), timeout / 8);
        for millis in [4, 8, 40] {
            let least = share.of(Duration::from_millis(millis));
            assert_eq!(least.as_millis(), u128::from(millis.min(8)));
        }
        (0..20_000).for_each(|_| share.note_in_time());
        assert!(share.of(timeout) > timeout.mul_f64(0.99));
    }
}
