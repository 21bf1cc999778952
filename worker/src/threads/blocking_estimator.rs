//! Predicts, per kind of request, whether the application will block: from the recent durations of such requests, and
//! the share of waiting in them.
//!
//! Waiting and computing are distinguished. While one thread waits for a database the processor is free, and a second
//! request can run. While one thread computes, a second one that computes only takes the processor from it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

use crate::connection::Connection;

/// The number of kinds of request; kinds that share an entry share an estimate.
const KINDS: usize = 64;
/// Above this, a wake-up costs less than the wait that it saves another request.
const BLOCKS_FROM_MICROS: u32 = 300;
/// Above this, it pays even if no other request waits yet: one may come meanwhile.
const BLOCKS_LONG_FROM_MICROS: u32 = 800;
/// The same for time in which the thread had no processor. It is less than a commit takes on a fast disk:
/// requests that commit would stay as fast one at a time, and would never be found to block.
const WAITS_FROM_MICROS: u32 = 120;
/// Above this, the thread checks whether a request waits, which costs two system calls.
const LOOK_FROM_MICROS: u32 = 80;
/// After this many requests whose waits have an unknown cause, their kind counts as one that does not wait.
const MOST_UNKNOWN: u32 = 512;

/// The upper limit of a sample.
const MOST_MICROS: u32 = 1_000;
/// Another upper limit: this many times the average before, plus this. A thread that lost the processor once was
/// slow once, which does not mean that its requests block. A kind that does block is known after some 15 requests.
const MOST_TIMES: u32 = 8;
const MOST_BEYOND_MICROS: u32 = 50;

#[derive(Debug)]
pub(crate) struct BlockingEstimator([Estimate; KINDS]);

/// Moving averages in microseconds.
#[derive(Debug)]
struct Estimate {
    took: AtomicU32,
    waited: AtomicU32,
    /// Requests since the last one whose wait is known.
    unknown: AtomicU32,
}

/// Recent durations of requests of one kind, and the waits within them, in microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Forecast {
    took: u32,
    waited: u32,
}

/// A request under way, at its beginning.
#[derive(Debug)]
pub(crate) struct Sample {
    slot: usize,
    started: Instant,
    /// The thread's usage at that time, if it matters.
    usage: Option<Usage>,
    alone: bool,
}

/// A thread's use of the processor, and how often it has left the processor to wait.
#[derive(Debug, Clone, Copy)]
struct Usage {
    computed: Duration,
    waits: i64,
}

/// The measured wait of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finding {
    /// It has waited this long, or not at all.
    Waited(Duration),
    /// It has waited, perhaps for another request of this worker.
    Unknown,
    NotLooked,
}

impl Default for BlockingEstimator {
    fn default() -> Self {
        let nothing = || Estimate {
            took: AtomicU32::new(0),
            waited: AtomicU32::new(0),
            unknown: AtomicU32::new(0),
        };
        Self(std::array::from_fn(|_| nothing()))
    }
}

impl BlockingEstimator {
    /// The entry for a request's kind: its method, and its path up to the last slash, so that `/users/1` and
    /// `/users/2` are of one kind.
    pub(crate) fn slot_for(&self, connection: &Connection) -> usize {
        let Some(head) = connection.head() else {
            return 0;
        };
        let target = head.target().as_bytes();
        let path = target
            .iter()
            .position(|&byte| byte == b'?')
            .map_or(target, |at| &target[..at]);
        let kind = path
            .iter()
            .rposition(|&byte| byte == b'/')
            .map_or(path, |at| &path[..at]);
        // FNV-1a: keys are short, and a client gains nothing by collisions.
        let mix = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        let hash = head
            .method()
            .as_bytes()
            .iter()
            .chain(kind)
            .fold(0x811c_9dc5, mix);
        (hash ^ (hash >> 16)) as usize % KINDS
    }

    /// The prediction for a request of this kind.
    pub(super) fn forecast(&self, slot: usize) -> Forecast {
        let estimate = &self.0[slot];
        Forecast {
            took: estimate.took.load(Ordering::Relaxed),
            waited: estimate.waited.load(Ordering::Relaxed),
        }
    }

    /// A request begins on this thread. Only if it is `alone` does a wait mean that it blocks: threads that
    /// run Python also wait for each other, and with more threads they would wait longer.
    pub(crate) fn begin(&self, slot: usize, started: Instant, alone: bool) -> Sample {
        let took = self.0[slot].took.load(Ordering::Relaxed);
        // Longer requests count as blocking anyway.
        let in_doubt = (LOOK_FROM_MICROS..BLOCKS_LONG_FROM_MICROS).contains(&took);
        Sample {
            slot,
            started,
            usage: in_doubt.then(Usage::of_thread).flatten(),
            alone,
        }
    }

    /// The request has ended, on the same thread.
    pub(crate) fn learn(&self, sample: &Sample, ended: Instant) {
        let took = ended.saturating_duration_since(sample.started);
        self.0[sample.slot].learn(took, sample.finding(took));
    }
}

impl Forecast {
    /// Whether another thread should lead meanwhile.
    pub(super) fn blocks(self, others_wait: bool) -> bool {
        let from = match others_wait {
            true => BLOCKS_FROM_MICROS,
            false => BLOCKS_LONG_FROM_MICROS,
        };
        self.took >= from || self.waited >= WAITS_FROM_MICROS
    }

    /// Whether waiting requests should look for a thread in another worker.
    pub(super) fn is_long(self) -> bool {
        self.took >= BLOCKS_LONG_FROM_MICROS
    }

    #[cfg(test)]
    pub(super) fn new(took: u32, waited: u32) -> Self {
        Self { took, waited }
    }
}

impl Sample {
    fn finding(&self, took: Duration) -> Finding {
        let (Some(before), Some(now)) = (self.usage, self.usage.and_then(|_| Usage::of_thread()))
        else {
            return Finding::NotLooked;
        };
        // A thread that lost the processor to another one did not wait.
        if now.waits == before.waits {
            return Finding::Waited(Duration::ZERO);
        }
        match self.alone {
            true => {
                Finding::Waited(took.saturating_sub(now.computed.saturating_sub(before.computed)))
            }
            false => Finding::Unknown,
        }
    }
}

impl Usage {
    fn of_thread() -> Option<Self> {
        let usage = getrusage(UsageWho::RUSAGE_THREAD).ok()?;
        Some(Self {
            computed: duration(usage.user_time()) + duration(usage.system_time()),
            waits: usage.voluntary_context_switches(),
        })
    }
}

fn duration(time: TimeVal) -> Duration {
    let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
    let micros = u64::try_from(time.tv_usec()).unwrap_or(0);
    Duration::from_micros(seconds * 1_000_000 + micros)
}

impl Estimate {
    fn learn(&self, took: Duration, finding: Finding) {
        take_in(&self.took, took);
        match finding {
            Finding::Waited(waited) => {
                self.unknown.store(0, Ordering::Relaxed);
                take_in(&self.waited, waited);
            }
            Finding::Unknown => {
                if self.unknown.fetch_add(1, Ordering::Relaxed) >= MOST_UNKNOWN {
                    self.unknown.store(0, Ordering::Relaxed);
                    self.waited.store(0, Ordering::Relaxed);
                }
            }
            Finding::NotLooked if self.took.load(Ordering::Relaxed) < LOOK_FROM_MICROS => {
                self.waited.store(0, Ordering::Relaxed);
            }
            Finding::NotLooked => {}
        }
    }
}

/// Includes one more sample, with a weight of one eighth.
fn take_in(average: &AtomicU32, sample: Duration) {
    let micros = u32::try_from(sample.as_micros()).unwrap_or(u32::MAX);
    let before = average.load(Ordering::Relaxed);
    let sample = micros.min(MOST_MICROS.min(before * MOST_TIMES + MOST_BEYOND_MICROS));
    average.store(before - before / 8 + sample / 8, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(estimator: &BlockingEstimator, times: usize, took: u64, finding: Finding) {
        let took = Duration::from_micros(took);
        (0..times).for_each(|_| estimator.0[3].learn(took, finding));
    }

    fn waited(micros: u64) -> Finding {
        Finding::Waited(Duration::from_micros(micros))
    }

    #[test]
    fn it_learns_both_ways() {
        let estimator = BlockingEstimator::default();
        assert!(!estimator.forecast(3).blocks(true));
        learn(&estimator, 20, 5000, waited(0));
        assert!(estimator.forecast(3).blocks(false) && !estimator.forecast(4).blocks(true));
        learn(&estimator, 60, 500, waited(0));
        assert!(estimator.forecast(3).blocks(true) && !estimator.forecast(3).blocks(false));
        learn(&estimator, 60, 10, Finding::NotLooked);
        assert!(!estimator.forecast(3).blocks(true));
    }

    #[test]
    fn one_in_many_that_lost_the_processor_changes_nothing() {
        let estimator = BlockingEstimator::default();
        for _ in 0..100 {
            learn(&estimator, 20, 10, Finding::NotLooked);
            learn(&estimator, 1, 5000, Finding::NotLooked);
            assert!(estimator.0[3].took.load(Ordering::Relaxed) < LOOK_FROM_MICROS);
        }
    }

    #[test]
    fn who_waits_blocks_sooner_than_who_computes() {
        let estimator = BlockingEstimator::default();
        learn(&estimator, 60, 250, waited(0));
        assert!(!estimator.forecast(3).blocks(true));
        learn(&estimator, 60, 250, waited(230));
        assert!(estimator.forecast(3).blocks(false));
        learn(&estimator, 60, 10, Finding::NotLooked);
        assert!(!estimator.forecast(3).blocks(true));
    }

    #[test]
    fn a_kind_that_waited_once_is_not_held_to_it_for_ever() {
        let estimator = BlockingEstimator::default();
        learn(&estimator, 60, 250, waited(230));
        learn(&estimator, 500, 250, Finding::Unknown);
        assert!(estimator.forecast(3).blocks(false));
        learn(&estimator, 100, 250, Finding::Unknown);
        assert!(!estimator.forecast(3).blocks(true));
    }

    #[test]
    fn a_thread_that_computes_does_not_wait_whoever_has_the_processor() {
        let estimator = BlockingEstimator::default();
        learn(&estimator, 60, 250, waited(0));
        let sample = estimator.begin(3, Instant::now(), true);
        let until = Instant::now() + Duration::from_millis(5);
        while Instant::now() < until {}
        let took = Duration::from_millis(50);
        assert_eq!(sample.finding(took), waited(0));
    }

    #[test]
    fn a_thread_that_sleeps_does_not_compute() {
        let estimator = BlockingEstimator::default();
        while !estimator.forecast(3).blocks(false) {
            let sample = estimator.begin(3, Instant::now(), true);
            std::thread::sleep(Duration::from_micros(200));
            estimator.learn(&sample, Instant::now());
        }
        assert!(estimator.0[3].waited.load(Ordering::Relaxed) > 0);
    }
}
