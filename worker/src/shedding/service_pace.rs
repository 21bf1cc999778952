//! Measures how fast a worker takes up requests.
//!
//! A request that was waiting already when the one before it was taken up tells how long that takes: nothing else kept
//! the thread waiting. One that was not tells the best that can be hoped for, the service time divided by the threads.
//! So a measure that has become too long corrects itself, even if it lets no request wait any more.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A sample counts as at most this many times the average before, plus [`MOST_BEYOND`]: one request that hangs says
/// nothing of the others.
const MOST_TIMES: u64 = 8;
const MOST_BEYOND: u64 = 1_000_000;

/// Moving averages in nanoseconds; 0 if there is none yet. Relaxed throughout: threads may lose each other's samples.
#[derive(Debug)]
pub(crate) struct ServicePace {
    base: Instant,
    threads: u64,
    /// When the last request was taken up, in nanoseconds since `base`.
    last_start: AtomicU64,
    service: Average,
    interval: Average,
}

#[derive(Debug, Default)]
struct Average {
    nanos: AtomicU64,
    samples: AtomicU64,
}

impl ServicePace {
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            base: Instant::now(),
            threads: threads.max(1) as u64,
            last_start: AtomicU64::new(0),
            service: Average::default(),
            interval: Average::default(),
        }
    }

    /// A thread takes up a request that became whole at `ready_at`. Returns the interval.
    pub(crate) fn note_start(&self, now: Instant, ready_at: Instant) -> u64 {
        let (now, ready_at) = (self.nanos_at(now), self.nanos_at(ready_at));
        let before = self.last_start.swap(now, Ordering::Relaxed);
        let has_waited = before > 0 && ready_at <= before;
        let sample = match has_waited {
            true => now.saturating_sub(before),
            false => self.service.get() / self.threads,
        };
        if has_waited || sample > 0 {
            self.interval.take_in(sample, self.memory());
        }
        self.interval()
    }

    /// A request has had a thread for so long. Returns the average.
    pub(crate) fn note_end(&self, took: Duration) -> u64 {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.service.take_in(nanos, self.memory());
        self.service.get()
    }

    /// While one thread is busy, the next request is taken up when that one is free, at the latest.
    fn interval(&self) -> u64 {
        let (interval, service) = (self.interval.get(), self.service.get());
        if service == 0 {
            interval
        } else {
            interval.min(service)
        }
    }

    /// How many samples an average remembers: threads that began together end together, and the intervals within such a
    /// round say nothing alone.
    fn memory(&self) -> u64 {
        16 + 4 * self.threads
    }

    fn nanos_at(&self, moment: Instant) -> u64 {
        let age = moment.saturating_duration_since(self.base).as_nanos();
        u64::try_from(age).unwrap_or(u64::MAX)
    }
}

impl Average {
    fn get(&self) -> u64 {
        self.nanos.load(Ordering::Relaxed)
    }

    fn take_in(&self, sample: u64, memory: u64) {
        let samples = self.samples.load(Ordering::Relaxed);
        // The first ones are forgotten soon: much is done for the first time then.
        let weight = (samples / 2 + 1).min(memory);
        let before = self.get();
        let most = before
            .saturating_mul(MOST_TIMES)
            .saturating_add(MOST_BEYOND);
        let sample = if samples == 0 {
            sample
        } else {
            sample.min(most)
        };
        let after = before - before / weight + sample / weight;
        self.nanos.store(after, Ordering::Relaxed);
        self.samples.store(samples + 1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: u64 = 1_000_000;

    struct Clock {
        pace: ServicePace,
        now: Instant,
    }

    impl Clock {
        fn new(threads: usize) -> Self {
            let now = Instant::now() + Duration::from_secs(1);
            let pace = ServicePace::new(threads);
            Self { pace, now }
        }

        /// A start `millis` after the one before, of a request that waited for `waited`.
        fn start(&mut self, millis: u64, waited: u64) -> u64 {
            self.now += Duration::from_millis(millis);
            let ready_at = self.now - Duration::from_millis(waited);
            self.pace.note_start(self.now, ready_at)
        }

        fn end(&self, millis: u64) {
            self.pace.note_end(Duration::from_millis(millis));
        }
    }

    #[test]
    fn the_interval_is_measured_while_requests_wait() {
        let mut clock = Clock::new(4);
        for _ in 0..100 {
            clock.end(20);
            clock.start(5, 30);
        }
        assert!((5 * MILLI).abs_diff(clock.start(5, 30)) < MILLI / 2);
        // Threads that wait for each other.
        for _ in 0..200 {
            clock.end(20);
            clock.start(20, 30);
        }
        assert!((20 * MILLI).abs_diff(clock.start(20, 30)) < 2 * MILLI);
    }

    #[test]
    fn a_server_that_nobody_asks_is_as_fast_as_its_threads() {
        let mut clock = Clock::new(4);
        for _ in 0..100 {
            clock.end(20);
            clock.start(1000, 0);
        }
        assert!((5 * MILLI).abs_diff(clock.start(1000, 0)) < MILLI / 2);
    }

    #[test]
    fn what_has_become_too_long_corrects_itself() {
        let mut clock = Clock::new(1);
        for _ in 0..100 {
            clock.end(10);
            clock.start(10, 30);
        }
        // Something hangs.
        clock.end(30_000);
        let after = clock.start(30_000, 30_000);
        assert!(after < 15 * MILLI, "{after}");
        for _ in 0..60 {
            clock.end(10);
            clock.start(100, 0);
        }
        assert!(clock.start(100, 0) < 11 * MILLI);
    }

    #[test]
    fn the_first_request_may_take_long() {
        let mut clock = Clock::new(1);
        clock.end(3000);
        clock.start(0, 0);
        for _ in 0..6 {
            clock.end(10);
            clock.start(10, 30);
        }
        assert!(clock.start(10, 30) < 12 * MILLI);
    }
}
