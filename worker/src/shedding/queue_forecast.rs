//! Computes how long a request will wait, from what is known of the workers. Without I/O.

use std::time::Duration;

use oxicorn_common::scoreboard::{Slot, ThreadStats};

/// Threads that have been busy for this many times as long as requests take have stopped: nobody knows when they go on.
const LONG: f64 = 4.0;
/// Seconds by which a time on the scoreboard may be wrong.
const INACCURACY: f64 = 0.005;

/// What is known of one worker.
#[derive(Debug, Clone, Default)]
pub(crate) struct WorkerLoad {
    /// Whole requests that wait there.
    pub(crate) waiting: usize,
    /// Threads that can take up a request now.
    pub(crate) idle: usize,
    /// Seconds from one request that is taken up to the next; `None` if nobody knows yet.
    interval: Option<f64>,
    /// Seconds since the last one.
    since: f64,
    /// All threads have been busy for so long that the interval does not hold.
    stopped: bool,
    /// Its threads that are busy.
    busy: usize,
    /// Seconds until each thread has had its request for as long as requests take; empty while a thread is idle.
    ends: Vec<f64>,
}

/// What is known of several workers together.
#[derive(Debug, Clone)]
pub(crate) struct CombinedLoad {
    pub(crate) waiting: usize,
    pub(crate) idle: usize,
    /// Requests per second that are taken up, by those of which it is known.
    rate: f64,
    workers: usize,
    /// Those that it is not known of.
    unknown: usize,
    stopped: usize,
    /// As `rate`, of those that have stopped.
    stopped_rate: f64,
    /// Their threads.
    stopped_threads: usize,
    since: f64,
    /// As those of each worker.
    ends: Vec<f64>,
}

/// The place of a request in the queues.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueuePlace {
    /// Requests in the queue that the workers share.
    pub(crate) handed_on: usize,
    /// It may go there, too.
    pub(crate) can_move: bool,
}

impl QueuePlace {
    /// Whether a thread is free for the request, after those before it.
    pub(crate) fn finds_thread(&self, own: &WorkerLoad, siblings: &CombinedLoad) -> bool {
        match self.can_move {
            true => self.handed_on + own.waiting + siblings.waiting < own.idle + siblings.idle,
            false => own.waiting < own.idle,
        }
    }
}

impl WorkerLoad {
    /// The worker with this slot, `waiting` requests in its queue, at `now` in milliseconds of the monotonic clock.
    pub(crate) fn of(slot: Slot<'_>, waiting: usize, now: u64) -> Self {
        let figures = slot.queue_figures();
        let service = figures.service_nanos as f64 / 1e9;
        let interval = figures.interval_nanos as f64 / 1e9;
        let seconds_since = |millis| now.saturating_sub(millis) as f64 / 1e3;
        let (mut busy, mut idle, mut ends) = (0, 0, Vec::new());
        for thread in slot.on_duty() {
            match ThreadStats::started(thread) {
                Some(started) => {
                    busy += 1;
                    if idle == 0 {
                        ends.push((service - seconds_since(started)).max(0.0));
                    }
                }
                None => idle += 1,
            }
        }
        let since = seconds_since(figures.last_start);
        let load = Self::new(waiting, (busy, idle), service, interval, since);
        if idle > 0 || load.stopped {
            ends.clear();
        }
        Self { ends, ..load }
    }

    /// `threads` are the busy and the idle ones; times are in seconds, and 0 if they are not known.
    fn new(
        waiting: usize,
        (busy, idle): (usize, usize),
        service: f64,
        interval: f64,
        since: f64,
    ) -> Self {
        // Threads that wait for each other are worth less than their number.
        let helpful = match service > 0.0 && interval > 0.0 {
            true => (service / interval).round().max(1.0) as usize,
            false => busy + idle,
        };
        Self {
            waiting,
            idle: idle.min(helpful.saturating_sub(busy)),
            interval: (interval > 0.0).then_some(interval),
            since,
            busy,
            stopped: idle == 0 && service > 0.0 && since > LONG * service + INACCURACY,
            ends: Vec::new(),
        }
    }

    /// How long a request waits in this worker; `None` if nobody knows.
    fn wait(&self, shared: f64) -> Option<f64> {
        let combined = CombinedLoad::default().with(self);
        combined.wait(self.waiting as f64 + shared - self.idle as f64)
    }
}

impl Default for CombinedLoad {
    fn default() -> Self {
        Self {
            waiting: 0,
            idle: 0,
            rate: 0.0,
            workers: 0,
            unknown: 0,
            stopped: 0,
            stopped_rate: 0.0,
            stopped_threads: 0,
            since: f64::INFINITY,
            ends: Vec::new(),
        }
    }
}

impl CombinedLoad {
    pub(crate) fn with(mut self, worker: &WorkerLoad) -> Self {
        self.waiting += worker.waiting;
        self.idle += worker.idle;
        self.workers += 1;
        self.since = self.since.min(worker.since);
        self.ends.extend_from_slice(&worker.ends);
        match worker.interval {
            Some(interval) if worker.stopped => {
                self.stopped += 1;
                self.stopped_rate += 1.0 / interval;
                self.stopped_threads += worker.busy;
            }
            Some(interval) => self.rate += 1.0 / interval,
            None => self.unknown += 1,
        }
        self
    }

    /// How long a request waits that has `ahead` more before it than there are idle threads.
    fn wait(&self, ahead: f64) -> Option<f64> {
        if ahead < 0.0 {
            return Some(0.0);
        }
        let known = self.workers - self.unknown - self.stopped;
        if known == 0 {
            // What has lasted for an unusually long time may last for as long again. One request per thread may wait all
            // the same, so that none is idle when it ends.
            let all_stopped = self.unknown == 0 && self.stopped > 0;
            let is_next = ahead < self.stopped_threads as f64;
            return (all_stopped && !is_next).then(|| self.since + ahead / self.stopped_rate);
        }
        // A worker that has just begun is like the others.
        let rate = self.rate * (known + self.unknown) as f64 / known as f64;
        // An idle thread is about to begin.
        let since = if self.idle > 0 { 0.0 } else { self.since };
        let next = (ahead + 1.0) / rate - since;
        Some(next.max(ahead / rate).max(self.end_behind(ahead)))
    }

    /// When the thread is free that takes up the request with `ahead` before it, if each request takes as long as usual:
    /// threads that have begun together end together.
    fn end_behind(&self, ahead: f64) -> f64 {
        let place = ahead as usize;
        if self.idle > 0 || place >= self.ends.len() {
            return 0.0;
        }
        let mut ends = self.ends.clone();
        *ends.select_nth_unstable_by(place, f64::total_cmp).1
    }
}

/// How long a request waits that becomes whole now in the worker `own`. `None` if nobody knows: nothing has been measured
/// yet, or all threads have stopped.
pub(crate) fn forecast(
    own: &WorkerLoad,
    siblings: &CombinedLoad,
    place: QueuePlace,
) -> Option<Duration> {
    let all = siblings.clone().with(own);
    let seconds = match place.can_move {
        true => {
            let waiting = all.waiting + place.handed_on;
            all.wait(waiting as f64 - all.idle as f64)
        }
        // Only this worker's threads will do, and they take their part of what the workers share.
        false => {
            let part = own
                .interval
                .map_or(0.0, |interval| 1.0 / (interval * all.rate));
            let shared = place.handed_on as f64 * part.clamp(0.0, 1.0);
            own.wait(shared)
        }
    };
    duration_of(seconds?)
}

/// The same, if nobody waited before it.
pub(crate) fn forecast_alone(
    own: &WorkerLoad,
    siblings: &CombinedLoad,
    place: QueuePlace,
) -> Option<Duration> {
    let others = match place.can_move {
        true => siblings.clone(),
        false => CombinedLoad::default(),
    };
    duration_of(others.with(own).wait(0.0)?)
}

fn duration_of(seconds: f64) -> Option<Duration> {
    let seconds = seconds.max(0.0);
    Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUED: QueuePlace = QueuePlace {
        handed_on: 0,
        can_move: true,
    };

    /// All of its threads are busy.
    fn busy(waiting: usize, threads: usize, interval: f64, since: f64) -> WorkerLoad {
        let service = interval * threads as f64;
        WorkerLoad::new(waiting, (threads, 0), service, interval, since)
    }

    fn millis(own: &WorkerLoad, siblings: &[&WorkerLoad], place: QueuePlace) -> Option<u128> {
        let combined = CombinedLoad::default();
        let siblings = siblings.iter().fold(combined, |sum, it| sum.with(it));
        forecast(own, &siblings, place).map(|it| (it.as_secs_f64() * 1e3).round() as u128)
    }

    #[test]
    fn a_request_waits_for_those_before_it_in_all_workers() {
        let own = busy(3, 2, 0.010, 0.0);
        assert_eq!(millis(&own, &[], QUEUED), Some(40));
        let sibling = busy(1, 2, 0.010, 0.0);
        let siblings = [&sibling];
        assert_eq!(millis(&own, &siblings, QUEUED), Some(25));
        let place = QueuePlace {
            handed_on: 5,
            can_move: true,
        };
        assert_eq!(millis(&own, &siblings, place), Some(50));
        // One over TLS waits for its own worker, which has half of the shared queue to serve as well.
        let bound = QueuePlace {
            handed_on: 4,
            can_move: false,
        };
        assert_eq!(millis(&own, &siblings, bound), Some(60));
    }

    #[test]
    fn the_time_since_the_last_start_is_part_of_the_wait() {
        assert_eq!(millis(&busy(0, 1, 0.1, 0.090), &[], QUEUED), Some(10));
        assert_eq!(millis(&busy(2, 1, 0.1, 0.090), &[], QUEUED), Some(210));
        // It takes longer than usual: the others still wait.
        assert_eq!(millis(&busy(2, 1, 0.1, 0.3), &[], QUEUED), Some(200));
    }

    #[test]
    fn who_finds_an_idle_thread_does_not_wait() {
        let own = busy(0, 2, 0.010, 0.0);
        let idle = WorkerLoad::new(0, (1, 1), 0.02, 0.010, 0.0);
        assert_eq!(millis(&own, &[&idle], QUEUED), Some(0));
        assert_eq!(millis(&idle, &[&own], QUEUED), Some(0));
        let waiting = WorkerLoad {
            waiting: 1,
            ..own.clone()
        };
        assert_ne!(millis(&waiting, &[&idle], QUEUED), Some(0));
        // Four threads of Python that compute are one.
        let python = WorkerLoad::new(1, (1, 3), 0.010, 0.010, 0.0);
        assert_eq!(millis(&python, &[], QUEUED), Some(20));
    }

    #[test]
    fn threads_that_have_begun_together_end_together() {
        let own = WorkerLoad {
            ends: vec![0.038, 0.039, 0.002, 0.040],
            ..busy(0, 4, 0.010, 0.002)
        };
        assert_eq!(millis(&own, &[], QUEUED), Some(8));
        let waiting = |waiting| WorkerLoad {
            waiting,
            ..own.clone()
        };
        assert_eq!(millis(&waiting(1), &[], QUEUED), Some(38));
        assert_eq!(millis(&waiting(2), &[], QUEUED), Some(39));
        assert_eq!(millis(&waiting(4), &[], QUEUED), Some(48));
    }

    #[test]
    fn nothing_is_foreseen_before_anything_was_measured() {
        let fresh = WorkerLoad::new(50, (2, 0), 0.0, 0.0, 1.0);
        assert_eq!(millis(&fresh, &[], QUEUED), None);
        // It is like its siblings.
        let known = busy(0, 2, 0.010, 0.0);
        assert_eq!(millis(&fresh, &[&known], QUEUED), Some(255));
    }

    #[test]
    fn a_worker_that_has_stopped_takes_nothing_up() {
        let stopped = busy(2, 2, 0.010, 3.0);
        assert_eq!(millis(&stopped, &[], QUEUED), Some(3020));
        let lively = busy(0, 2, 0.010, 0.0);
        assert_eq!(millis(&stopped, &[&lively], QUEUED), Some(30));
        let bound = QueuePlace {
            handed_on: 0,
            can_move: false,
        };
        assert_eq!(millis(&stopped, &[&lively], bound), Some(3020));
        // There is a request for each thread that may be free at once.
        assert_eq!(millis(&busy(1, 2, 0.010, 3.0), &[], QUEUED), None);
    }
}
