//! Decides how many of a worker's request threads serve, from `threads` to `max_threads`. It has no thread and no clock of
//! its own.
//!
//! More threads help where requests wait although there is time left on the processors: because the threads wait
//! too, for a database for example. So requests have to wait for most of a short window, and the process must want
//! less of the processors in it than its threads could use. What it wants is what it uses, and the time in which its
//! threads were ready to run and got no processor: a busy machine is no reason for more threads. A thread that is ready
//! to run at the end of the window may have waited for all of it.
//!
//! Threads go back to the reserve after a longer window in which they were not needed.

use std::time::{Duration, Instant};

use super::processor_demand::ProcessorDemand;

/// Requests wait for half of this time before there are more threads.
const WINDOW: Duration = Duration::from_millis(100);
/// A window that nobody has looked at for longer than this says nothing.
const LONGEST_WINDOW: Duration = Duration::from_secs(1);
/// The state that one look finds counts for at most this time.
const LONGEST_LOOK: Duration = Duration::from_millis(20);
/// More of the processors' time than this leaves too little for another thread.
const MOST_DEMAND: f64 = 0.75;
/// Threads that were not needed for this long go back.
const COOLING: Duration = Duration::from_secs(10);

/// What is seen of a worker's threads and requests.
#[derive(Debug, Clone, Copy)]
pub(super) struct LoadLook {
    pub(super) now: Instant,
    /// Whole requests wait for a thread, and none is idle.
    pub(super) waiting: bool,
    /// Threads that are inside the application.
    pub(super) busy: usize,
}

/// Another number of threads, and why.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum ThreadChange {
    More {
        serving: usize,
        /// The share of the window in which requests have waited.
        waited: f64,
        /// Processors that the process has wanted.
        demand: f64,
    },
    Fewer {
        serving: usize,
        /// The most threads that were busy at once.
        peak: usize,
    },
}

#[derive(Debug)]
pub(super) struct ThreadScaler {
    least: usize,
    most: usize,
    /// How many threads can compute at once.
    parallel: usize,
    serving: usize,
    window: Option<Window>,
    /// The most that were busy since `cooling_since`.
    peak: usize,
    cooling_since: Instant,
}

/// A time that begins when a request waits.
#[derive(Debug, Clone, Copy)]
struct Window {
    begun: Instant,
    looked: Instant,
    waiting: bool,
    waited: Duration,
    demand: Duration,
}

impl ThreadScaler {
    pub(super) fn new(least: usize, most: usize, parallel: usize, now: Instant) -> Self {
        Self {
            least,
            most,
            parallel,
            serving: least,
            window: None,
            peak: 0,
            cooling_since: now,
        }
    }

    /// Whether the next look may bring more threads: then it must come soon.
    pub(super) fn is_watching(&self) -> bool {
        self.window.is_some()
    }

    /// Whether threads serve that go back to the reserve one day.
    pub(super) fn is_extended(&self) -> bool {
        self.serving > self.least
    }

    /// To ask for the `demand` costs system calls, which are made only while requests wait.
    pub(super) fn look(
        &mut self,
        look: LoadLook,
        demand: impl Fn() -> ProcessorDemand,
    ) -> Option<ThreadChange> {
        self.look_for_more(look, demand)
            .or_else(|| self.look_for_fewer(look))
    }

    fn look_for_more(
        &mut self,
        look: LoadLook,
        demand: impl Fn() -> ProcessorDemand,
    ) -> Option<ThreadChange> {
        if self.serving >= self.most {
            return None;
        }
        let Some(mut window) = self.window else {
            self.window = look.waiting.then(|| Window {
                begun: look.now,
                looked: look.now,
                waiting: true,
                waited: Duration::ZERO,
                demand: demand().time,
            });
            return None;
        };
        let since = look.now.saturating_duration_since(window.looked);
        if window.waiting {
            window.waited += since.min(LONGEST_LOOK);
        }
        (window.looked, window.waiting) = (look.now, look.waiting);
        let length = look.now.saturating_duration_since(window.begun);
        if length < WINDOW {
            self.window = Some(window);
            return None;
        }
        self.window = None;
        let length = length.as_secs_f64();
        let waited = window.waited.as_secs_f64() / length;
        if waited < 0.5 || length > LONGEST_WINDOW.as_secs_f64() {
            return None;
        }
        let now = demand();
        let wanted = now.time.saturating_sub(window.demand).as_secs_f64() / length;
        if now.is_runnable || wanted > MOST_DEMAND * self.serving.min(self.parallel) as f64 {
            return None;
        }
        self.serving = (self.serving + (self.serving / 2).max(1)).min(self.most);
        self.cool_from(look);
        Some(ThreadChange::More {
            serving: self.serving,
            waited,
            demand: wanted,
        })
    }

    fn look_for_fewer(&mut self, look: LoadLook) -> Option<ThreadChange> {
        if !self.is_extended() {
            return None;
        }
        self.peak = self.peak.max(look.busy);
        if look.now.saturating_duration_since(self.cooling_since) < COOLING {
            return None;
        }
        let peak = self.peak;
        self.cool_from(look);
        if peak >= self.serving {
            return None;
        }
        self.serving = peak.max(self.least);
        Some(ThreadChange::Fewer {
            serving: self.serving,
            peak,
        })
    }

    fn cool_from(&mut self, look: LoadLook) {
        (self.cooling_since, self.peak) = (look.now, look.busy);
    }
}

impl ThreadChange {
    pub(super) fn serving(&self) -> usize {
        match *self {
            Self::More { serving, .. } | Self::Fewer { serving, .. } => serving,
        }
    }

    /// The line for the log.
    pub(super) fn line(&self, most: usize) -> String {
        let per_cent = |share: f64| share * 100.0;
        match *self {
            Self::More {
                serving,
                waited,
                demand,
            } => format!(
                "{serving} of {most} threads serve now (max_threads): requests have waited for {:.0} % of the time, while the worker \
                 wanted {:.0} % of one processor",
                per_cent(waited),
                per_cent(demand),
            ),
            Self::Fewer { serving, peak } => format!(
                "{serving} of {most} threads serve now (max_threads): at most {peak} were needed in {} s",
                COOLING.as_secs()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const LOOK: Duration = Duration::from_millis(2);

    /// A worker whose threads are looked at every 2 ms.
    struct Worker {
        scaler: ThreadScaler,
        now: Instant,
        demand: ProcessorDemand,
        asked: Cell<u32>,
    }

    impl Worker {
        fn new(least: usize, most: usize, parallel: usize) -> Self {
            let now = Instant::now();
            Self {
                scaler: ThreadScaler::new(least, most, parallel, now),
                now,
                demand: ProcessorDemand::default(),
                asked: Cell::new(0),
            }
        }

        /// The changes in `time`, while `waiting` says whether requests wait at a look, `busy` threads have one, and the
        /// process wants `demand` processors.
        fn run(
            &mut self,
            time: Duration,
            waiting: impl Fn(u32) -> bool,
            busy: usize,
            demand: f64,
        ) -> Vec<ThreadChange> {
            let mut changes = Vec::new();
            let end = self.now + time;
            let mut count = 0;
            while self.now < end {
                self.now += LOOK;
                self.demand.time += LOOK.mul_f64(demand);
                count += 1;
                let look = LoadLook {
                    now: self.now,
                    waiting: waiting(count),
                    busy,
                };
                changes.extend(self.scaler.look(look, || {
                    self.asked.set(self.asked.get() + 1);
                    self.demand
                }));
            }
            changes
        }

        fn serving(&self) -> usize {
            self.scaler.serving
        }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn threads_that_wait_get_company_at_once_and_up_to_the_limit() {
        let mut worker = Worker::new(2, 16, 1);
        let changes = worker.run(seconds(1), |_| true, 2, 0.1);
        let numbers: Vec<_> = changes.iter().map(ThreadChange::serving).collect();
        assert_eq!(numbers, [3, 4, 6, 9, 13, 16]);
        assert!(worker.run(seconds(1), |_| true, 16, 0.1).is_empty());
    }

    #[test]
    fn threads_that_compute_get_none() {
        // One that has the interpreter to itself, two on two processors, and two that share one interpreter.
        for (threads, parallel, demand) in [(1, 2, 1.0), (2, 2, 1.9), (2, 1, 1.0)] {
            let mut worker = Worker::new(threads, 8, parallel);
            assert!(worker.run(seconds(5), |_| true, threads, demand).is_empty());
        }
        let mut worker = Worker::new(2, 8, 2);
        let changes = worker.run(seconds(5), |_| true, 2, 1.0);
        assert!(!changes.is_empty(), "half of two processors is left");
    }

    #[test]
    fn threads_that_get_no_processor_get_none() {
        let mut worker = Worker::new(2, 8, 1);
        worker.demand.is_runnable = true;
        assert!(worker.run(seconds(5), |_| true, 2, 0.2).is_empty());
        worker.demand.is_runnable = false;
        assert!(!worker.run(seconds(1), |_| true, 2, 0.2).is_empty());
    }

    #[test]
    fn a_wait_now_and_then_is_no_reason() {
        let mut worker = Worker::new(2, 8, 1);
        let changes = worker.run(seconds(5), |count| count % 10 < 4, 2, 0.1);
        assert!(changes.is_empty());
        let changes = worker.run(seconds(1), |count| count % 10 < 7, 2, 0.1);
        assert!(!changes.is_empty());
    }

    #[test]
    fn what_nobody_has_looked_at_says_nothing() {
        let mut worker = Worker::new(2, 8, 1);
        worker.run(LOOK, |_| true, 2, 0.0);
        worker.now += seconds(20);
        assert!(worker.run(LOOK, |_| true, 2, 0.0).is_empty());
        assert_eq!(worker.serving(), 2);
    }

    #[test]
    fn they_go_back_when_nobody_needed_them_for_ten_seconds() {
        let mut worker = Worker::new(2, 8, 1);
        worker.run(seconds(1), |_| true, 8, 0.1);
        assert_eq!(worker.serving(), 8);
        assert!(worker.run(seconds(9), |_| false, 5, 0.1).is_empty());
        // What was needed at the beginning of the ten seconds counts.
        worker.run(seconds(11), |_| false, 5, 0.1);
        assert_eq!(worker.serving(), 5);
        assert!(worker.run(seconds(11), |_| false, 0, 0.0).is_empty());
        worker.run(seconds(11), |_| false, 0, 0.0);
        assert_eq!(worker.serving(), 2, "never below threads");
        assert!(!worker.scaler.is_extended());
        assert!(worker.run(seconds(60), |_| false, 0, 0.0).is_empty());
    }

    #[test]
    fn all_that_are_needed_stay() {
        let mut worker = Worker::new(2, 8, 1);
        worker.run(seconds(1), |_| true, 8, 0.1);
        assert!(worker.run(seconds(60), |_| false, 8, 0.1).is_empty());
        assert_eq!(worker.serving(), 8);
    }

    #[test]
    fn a_worker_where_nothing_waits_is_asked_nothing() {
        let mut worker = Worker::new(2, 8, 1);
        worker.run(seconds(5), |_| false, 2, 1.0);
        assert_eq!(worker.asked.get(), 0);
        worker.run(seconds(1), |_| true, 2, 1.0);
        assert!(worker.asked.get() <= 2 * 10, "twice per window");
    }

    #[test]
    fn the_lines_have_the_figures() {
        let more = ThreadChange::More {
            serving: 3,
            waited: 0.93,
            demand: 0.041,
        };
        let line = more.line(8);
        assert!(line.starts_with("3 of 8 threads serve now (max_threads): requests"));
        assert!(
            line.contains("93 %") && line.ends_with("4 % of one processor"),
            "{line}"
        );
        let fewer = ThreadChange::Fewer {
            serving: 2,
            peak: 1,
        };
        assert!(fewer.line(8).ends_with("at most 1 were needed in 10 s"));
    }
}
