//! How much of `queue_timeout` the wait that is foreseen may be.
//!
//! Forecasts are wrong by more where some requests take much longer than others. There are two ways to be wrong. A request
//! that is let in and refused after all has waited in vain: each one makes the share smaller. A thread that has nothing to
//! do, although a request was refused that it could have run in time, is lost: the longer it is, and the more of the
//! threads' time is lost in that way, the more the share grows.
//!
//! While next to no time is lost the share does not grow, and falls fast: hardly any request waits in vain. While time is
//! lost, threads count for more: a hundred requests may wait in vain for the time of one that is run.
//!
//! Where forecasts are right the share becomes 1. It is less where they are often too short, and more where they are too
//! long: of requests whose times differ much, most take less than the average.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const WHOLE: u32 = 1 << 16;
const FIRST: u32 = WHOLE / 4 * 3;
const LEAST: u32 = WHOLE / 8;
const MOST: u32 = 8 * WHOLE;
/// One request that has waited in vain takes this part of the share.
const LATE_PART: u32 = 8;
/// The same while time of threads is lost.
const LATE_PART_OF_LOSS: u32 = 128;
/// One that is run takes the share nearer to the whole, by this part of what is missing.
const IN_TIME_PART: u32 = 8192;
/// Less than this part of the threads' time is as good as nothing.
const NEXT_TO_NOTHING: f64 = 0.022;
/// A thread that is idle for the time of a request, or longer, adds so much of the share, times what is lost beyond that.
const IDLE_GAIN: f64 = 20.0;
/// What is lost is that of so many requests.
const LAST: u32 = 256;
/// The time of a request, for what is lost.
const REQUEST: u32 = 1 << 24;

/// Relaxed: threads may lose each other's changes.
#[derive(Debug)]
pub(crate) struct AdmissionShare {
    /// In parts of [`WHOLE`].
    share: AtomicU32,
    /// For how long threads were idle without need per request, in parts of [`REQUEST`].
    lost: AtomicU32,
}

impl AdmissionShare {
    pub(crate) fn new() -> Self {
        Self {
            share: AtomicU32::new(FIRST),
            lost: AtomicU32::new(0),
        }
    }

    pub(crate) fn of(&self, timeout: Duration) -> Duration {
        timeout.mul_f64(f64::from(self.get()) / f64::from(WHOLE))
    }

    /// A request is run in time.
    pub(crate) fn note_in_time(&self) {
        let lost = self.lost.load(Ordering::Relaxed);
        self.lost.store(lost - lost / LAST, Ordering::Relaxed);
        let share = self.get();
        let missing = WHOLE.saturating_sub(share);
        self.set(share + missing.div_ceil(IN_TIME_PART));
    }

    /// A request has waited in vain.
    pub(crate) fn note_late(&self) {
        let share = self.get();
        let part = match self.lost() > NEXT_TO_NOTHING {
            true => LATE_PART_OF_LOSS,
            false => LATE_PART,
        };
        self.set((share - share / part).max(LEAST));
    }

    /// A thread was idle for `idle` times as long as a request takes, and with a share of `needed` it would not have been.
    pub(crate) fn note_idle(&self, idle: f64, needed: f64) {
        let idle = idle.min(1.0);
        let lost = self.lost.load(Ordering::Relaxed) + (idle * f64::from(REQUEST / LAST)) as u32;
        self.lost.store(lost.min(REQUEST), Ordering::Relaxed);
        let gain = IDLE_GAIN * (self.lost() - NEXT_TO_NOTHING).max(0.0);
        let share = f64::from(self.get());
        let more = share * (1.0 + idle * gain);
        // A little more, or the same request would be refused again.
        let enough = needed * 1.01 * f64::from(WHOLE);
        self.set(more.min(enough).max(share) as u32);
    }

    /// The part of the threads' time that is lost without need.
    fn lost(&self) -> f64 {
        f64::from(self.lost.load(Ordering::Relaxed)) / f64::from(REQUEST)
    }

    fn get(&self) -> u32 {
        self.share.load(Ordering::Relaxed)
    }

    fn set(&self, share: u32) {
        self.share.store(share.min(MOST), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(1);

    #[test]
    fn few_are_late_in_the_end_and_it_recovers() {
        let share = AdmissionShare::new();
        assert_eq!(share.of(TIMEOUT), TIMEOUT.mul_f64(0.75));
        // Whoever waits longer than half of the time is late.
        let mut late = 0;
        for _ in 0..20_000 {
            if share.of(TIMEOUT) > TIMEOUT / 2 {
                share.note_late();
                late += 1;
            } else {
                share.note_in_time();
            }
        }
        assert!((1..200).contains(&late), "{late}");
        (0..1000).for_each(|_| share.note_late());
        assert_eq!(share.of(TIMEOUT), TIMEOUT / 8);
        (0..80_000).for_each(|_| share.note_in_time());
        assert!(share.of(TIMEOUT) > TIMEOUT.mul_f64(0.99));
    }

    #[test]
    fn it_grows_while_a_thread_is_idle_without_need() {
        let share = AdmissionShare::new();
        share.note_idle(0.1, 2.0);
        assert_eq!(share.of(TIMEOUT), TIMEOUT.mul_f64(0.75), "that was little");
        (0..20).for_each(|_| share.note_idle(1.0, 1.0));
        let whole = share.of(TIMEOUT).as_secs_f64();
        assert!((1.0..1.02).contains(&whole), "{whole}");
        // What would have been let in says nothing.
        share.note_idle(1.0, 0.5);
        assert_eq!(share.of(TIMEOUT).as_secs_f64(), whole);
        (0..100).for_each(|_| share.note_idle(1.0, 100.0));
        assert_eq!(share.of(TIMEOUT), 8 * TIMEOUT);
    }
}
