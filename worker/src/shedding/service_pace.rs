//! Measures how fast a worker takes up requests.
//!
//! A request that was waiting already when the one before it was taken up tells how long that takes: nothing else kept
//! the thread waiting. One that was not tells the best that can be hoped for, the service time divided by the threads.
//! So a measure that has become too long corrects itself, even if it lets no request wait any more.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A sample counts as at most this many times the average before, plus [`MOST_BEYOND`]: one request that hangs says
/// nothing of the others.
const MOST_TIMES: u64 = 8;
const MOST_BEYOND: u64 = 1_000_000;

/// Moving averages in nanoseconds; 0 if there is none yet. Relaxed throughout: threads may lose each other's samples.
#[derive(Debug)]
pub(crate) struct ServicePace {
    base: Instant,
    /// Threads that serve, as of the last request that was taken up.
    threads: AtomicU64,
    /// When the last request was taken up, in nanoseconds since `base`.
    last_start: AtomicU64,
    /// Threads that have a request, and since when there are so many.
    busy: AtomicU64,
    busy_since: AtomicU64,
    /// Since when a thread has nothing to do, and for how long, all threads together, since a request was taken up.
    idle_since: AtomicU64,
    idle: AtomicU64,
    service: Average,
    interval: Average,
}

/// A thread has had nothing to do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct IdleGap {
    /// In nanoseconds, as of [`ServicePace::nanos_at`].
    pub(super) since: u64,
    /// Times as long as a request takes.
    pub(super) length: f64,
}

#[derive(Debug, Default)]
struct Average {
    nanos: AtomicU64,
    samples: AtomicU64,
}

impl ServicePace {
    pub(crate) fn new() -> Self {
        Self {
            base: Instant::now(),
            threads: AtomicU64::new(1),
            last_start: AtomicU64::new(0),
            busy: AtomicU64::new(0),
            busy_since: AtomicU64::new(0),
            idle_since: AtomicU64::new(0),
            idle: AtomicU64::new(0),
            service: Average::default(),
            interval: Average::default(),
        }
    }

    /// One of the `threads` that serve takes up a request that became whole at `ready_at`. Returns the interval, and the
    /// gap before it, if a thread had nothing to do.
    pub(super) fn note_start(
        &self,
        now: Instant,
        ready_at: Instant,
        threads: usize,
    ) -> (u64, Option<IdleGap>) {
        let threads = threads.max(1) as u64;
        self.threads.store(threads, Ordering::Relaxed);
        let (now, ready_at) = (self.nanos_at(now), self.nanos_at(ready_at));
        let before = self.last_start.swap(now, Ordering::Relaxed);
        let has_waited = before > 0 && ready_at <= before;
        let service = self.service.get();
        let sample = match has_waited {
            true => now.saturating_sub(before),
            false => service / threads,
        };
        if has_waited || sample > 0 {
            self.interval.take_in(sample, self.memory());
        }
        let busy = self.busy.fetch_add(1, Ordering::Relaxed);
        self.count_idle(busy, now);
        let idle = self.idle.swap(0, Ordering::Relaxed);
        let since = self.idle_since.load(Ordering::Relaxed);
        let gap = (idle > 0 && service > 0 && ready_at > since).then(|| IdleGap {
            since,
            length: idle as f64 / service as f64,
        });
        (self.interval(), gap)
    }

    /// A thread is done with the request that it began at `started`. Returns the average.
    pub(super) fn note_end(&self, started: Instant, ended: Instant) -> u64 {
        let ended = self.nanos_at(ended);
        let busy = self.busy.fetch_sub(1, Ordering::Relaxed);
        if self.count_idle(busy, ended) == 0 {
            self.idle_since.store(ended, Ordering::Relaxed);
        }
        let nanos = ended.saturating_sub(self.nanos_at(started));
        self.service.take_in(nanos, self.memory());
        self.service.get()
    }

    /// So many threads were busy until now. Returns how many had nothing to do.
    fn count_idle(&self, busy: u64, now: u64) -> u64 {
        let since = self.busy_since.swap(now, Ordering::Relaxed);
        let (service, interval) = (self.service.get(), self.interval());
        let threads = self.threads.load(Ordering::Relaxed);
        // Threads that wait for each other are worth less than their number, and the others idle in any case.
        let helpful = (service + interval / 2).checked_div(interval).unwrap_or(0);
        let idle = helpful.min(threads).saturating_sub(busy);
        let time = idle.saturating_mul(now.saturating_sub(since));
        self.idle.fetch_add(time, Ordering::Relaxed);
        idle
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
        16 + 4 * self.threads.load(Ordering::Relaxed)
    }

    /// Since the worker began.
    pub(super) fn nanos_at(&self, moment: Instant) -> u64 {
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
    use std::time::Duration;

    use super::*;

    const MILLI: u64 = 1_000_000;

    struct Clock {
        pace: ServicePace,
        threads: usize,
        now: Instant,
    }

    impl Clock {
        fn new(threads: usize) -> Self {
            let now = Instant::now() + Duration::from_secs(100);
            let pace = ServicePace::new();
            Self { pace, threads, now }
        }

        /// A start `millis` after the one before, of a request that waited for `waited`.
        fn start(&mut self, millis: u64, waited: u64) -> u64 {
            self.now += Duration::from_millis(millis);
            let ready_at = self.now - Duration::from_millis(waited);
            self.pace.note_start(self.now, ready_at, self.threads).0
        }

        /// The same, for the gap before it.
        fn gap(&mut self, millis: u64, waited: u64) -> Option<f64> {
            self.now += Duration::from_millis(millis);
            let ready_at = self.now - Duration::from_millis(waited);
            let (_, gap) = self.pace.note_start(self.now, ready_at, self.threads);
            gap.map(|it| (it.length * 100.0).round() / 100.0)
        }

        fn end(&self, millis: u64) {
            let took = Duration::from_millis(millis);
            self.pace.note_end(self.now - took, self.now);
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
    fn threads_that_are_added_make_it_faster() {
        let mut clock = Clock::new(1);
        for threads in [1, 4, 1] {
            clock.threads = threads;
            for _ in 0..200 {
                clock.end(20);
                clock.start(1000, 0);
            }
            let expected = 20 * MILLI / threads as u64;
            assert!(expected.abs_diff(clock.start(1000, 0)) < MILLI / 2);
        }
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

    #[test]
    fn a_thread_that_finds_no_request_has_a_gap() {
        let mut clock = Clock::new(2);
        for _ in 0..100 {
            clock.start(5, 30);
            clock.start(5, 30);
            clock.end(10);
            clock.end(10);
        }
        assert_eq!(clock.gap(5, 10), None, "it was there already");
        clock.now += Duration::from_millis(3);
        clock.end(10);
        assert_eq!(
            clock.gap(5, 0),
            Some(1.3),
            "one for 3 ms, and both for 5 ms"
        );
        assert_eq!(clock.gap(5, 0), Some(0.5), "the other one");
        clock.now += Duration::from_millis(7);
        clock.end(10);
        assert_eq!(clock.gap(0, 0), None, "both were busy");
        // Two threads that are worth one.
        let mut clock = Clock::new(2);
        for _ in 0..200 {
            clock.start(0, 30);
            clock.now += Duration::from_millis(10);
            clock.end(10);
        }
        assert_eq!(clock.gap(5, 0), Some(0.5));
        assert_eq!(clock.gap(5, 0), None, "it would not help");
    }
}
