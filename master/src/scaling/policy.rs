//! Decides how many workers the load needs: a state machine without I/O. Samples of the load go in, decisions come out.
//!
//! ```text
//!   up     requests wait, in one second       -> as many as the demand needs, at most twice as many at once
//!          nearly all threads busy, for 3 s   -> a few more, so that the next request finds one
//!   down   60 s without need, or longer       -> one, or an eighth, every 5 s
//! ```
//!
//! Up fast, because clients wait; down slowly, because a worker that is missed costs more than one that idles.
//!
//! **How many.** By Little's law the threads that are busy on average are the rate of responses times what one takes. If
//! more requests come than are answered, the need is larger in proportion. Where a queue is there and its end is not to be
//! seen, the number doubles at most: what a queue of short requests says of the need is little.
//!
//! **No flapping.** Workers are added so that 70 % of the threads are busy, and one goes only if 50 % of the others would
//! be. A number that was too small at some load is not tried again before the load is a third smaller. If it was
//! too small all the same, the wait for the next attempt doubles.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use oxicorn_common::scoreboard::ScalingCause;

use super::load_sample::{LoadMean, LoadSample};
use crate::supervisor::WorkerScale;

/// What the decision to add workers for a queue is made from.
const QUEUE_WINDOW: Duration = Duration::from_secs(1);
/// Samples that it takes at least.
const ENOUGH_SAMPLES: usize = 4;
/// The same for busy threads without a queue.
const BUSY_WINDOW: Duration = Duration::from_secs(3);
/// Threads are called up from the reserve before workers are added. Where no request ends, a step takes a second.
const THREADS_FIRST: Duration = Duration::from_secs(3);
/// The part of the threads that has to be busy before a queue counts: a burst of short requests needs no worker.
const BUSY_WITH_QUEUE: f64 = 0.7;
/// The part that is too much without a queue.
const NEARLY_ALL: f64 = 0.9;
/// The part that is right.
const RIGHT: f64 = 0.7;
/// The part of the threads that are left that may be busy when a worker goes.
const RIGHT_WITH_LESS: f64 = 0.5;
/// A queue that will be gone by itself within this many seconds.
const SOON: f64 = 5.0;

/// How long the load is looked at before a worker goes, and its peaks within.
const CALM: Duration = Duration::from_secs(60);
const PEAK_WINDOW: Duration = Duration::from_secs(5);
/// Between two steps down.
const STEP: Duration = Duration::from_secs(5);
/// The wait doubles up to this where the steps down prove wrong.
const LONGEST_CALM: Duration = Duration::from_secs(600);
/// A step down was wrong if a step up follows within this time.
const WRONG_WITHIN: Duration = Duration::from_secs(60);
/// After this time without a step up, the wait is the shortest again.
const FORGIVEN_AFTER: Duration = Duration::from_secs(1200);
/// The part of a number that was left for a larger one that has to be in use for that number to count as too small.
const TOO_SMALL_FROM: f64 = 0.35;
/// The load has to be this much smaller before such a number is tried again.
const SMALLER: f64 = 0.7;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ScalingDecision {
    pub(crate) to: usize,
    pub(crate) cause: ScalingCause,
    /// What it is concluded from, for the log.
    pub(crate) figures: String,
}

#[derive(Debug)]
pub(crate) struct ScalingPolicy {
    /// Those of the last [`CALM`], the newest at the end.
    samples: VecDeque<LoadSample>,
    /// Since when as many workers and threads serve as serve now.
    same_since: Option<Instant>,
    /// Since when as many threads of each worker serve.
    same_threads_since: Option<Instant>,
    last_up: Option<Instant>,
    last_down: Option<Instant>,
    calm: Duration,
    /// The number of workers that the last step up has left.
    too_small: Option<TooSmall>,
}

#[derive(Debug, Clone, Copy)]
struct TooSmall {
    workers: usize,
    /// The demand after the step up, once it is known.
    demand: Option<f64>,
}

impl ScalingPolicy {
    pub(crate) fn new() -> Self {
        Self {
            samples: VecDeque::new(),
            same_since: None,
            same_threads_since: None,
            last_up: None,
            last_down: None,
            calm: CALM,
            too_small: None,
        }
    }

    /// Forgets the samples: they say nothing about what comes next.
    pub(crate) fn restart(&mut self) {
        self.samples.clear();
        self.same_since = None;
        self.same_threads_since = None;
    }

    /// Takes a sample; returns the number of workers that there should be if that is another one.
    pub(crate) fn decide(
        &mut self,
        sample: LoadSample,
        scale: &WorkerScale,
    ) -> Option<ScalingDecision> {
        let before = self.samples.back();
        let is_same =
            |it: &LoadSample| (it.workers, it.threads) == (sample.workers, sample.threads);
        if !before.is_some_and(is_same) {
            self.same_since = Some(sample.at);
        }
        if before.is_some_and(|it| it.threads * sample.workers != sample.threads * it.workers) {
            self.same_threads_since = Some(sample.at);
        }
        let start = sample.at.checked_sub(CALM);
        while (self.samples.front()).is_some_and(|it| start.is_some_and(|start| it.at < start)) {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        if sample.workers == 0 || sample.threads == 0 {
            return None;
        }
        self.up(&sample, scale)
            .or_else(|| self.down(&sample, scale))
    }

    /// A decision was carried out.
    pub(crate) fn note(&mut self, from: usize, to: usize, now: Instant) {
        let within = |time: Option<Instant>, limit| {
            time.is_some_and(|time| now.saturating_duration_since(time) < limit)
        };
        if to < from {
            self.last_down = Some(now);
            return;
        }
        if within(self.last_down, WRONG_WITHIN) {
            self.calm = LONGEST_CALM.min(2 * self.calm);
        } else if !within(self.last_up, FORGIVEN_AFTER) {
            self.calm = CALM;
        }
        self.last_up = Some(now);
        self.too_small = Some(TooSmall {
            workers: from,
            demand: None,
        });
    }

    fn up(&self, sample: &LoadSample, scale: &WorkerScale) -> Option<ScalingDecision> {
        let changed = self
            .same_threads_since
            .map(|it| sample.at.saturating_duration_since(it));
        let is_calling_up = sample.reserve > 0 && changed.is_some_and(|it| it < THREADS_FIRST);
        if scale.wanted >= scale.most || is_calling_up {
            return None;
        }
        let threads = sample.threads as f64;
        let per_worker = threads / sample.workers as f64;
        let mean = self.mean_of_last(QUEUE_WINDOW, sample.at);
        let waits = mean.with_queue + 1 >= mean.samples && mean.is_wait_long();
        let (threads_needed, cause) = if mean.samples < ENOUGH_SAMPLES {
            return None;
        } else if waits && mean.busy >= BUSY_WITH_QUEUE * threads {
            (for_queue(&mean, sample)?, ScalingCause::Queue)
        } else {
            let mean = self.mean_of_last(BUSY_WINDOW, sample.at);
            let is_long = mean.seconds >= BUSY_WINDOW.as_secs_f64() * 0.9;
            // Those in reserve serve as soon as requests wait.
            let all = (sample.threads + sample.reserve) as f64;
            if !is_long || mean.busy < NEARLY_ALL * all {
                return None;
            }
            (mean.busy / RIGHT, ScalingCause::Busy)
        };
        let needed = (threads_needed / per_worker).ceil() as usize;
        if scale.missing > 0 && (needed <= scale.wanted || mean.responses_per_second == 0.0) {
            // Those that are on their way may be enough.
            return None;
        }
        // At most twice as many at once.
        let to = needed
            .clamp(scale.wanted + 1, 2 * scale.wanted)
            .min(scale.most);
        let figures = format!(
            "{:.1} of {} threads busy, {:.1} requests waiting for one, those that were answered {:.0} ms",
            mean.busy,
            sample.threads,
            mean.queued,
            mean.wait * 1e3
        );
        Some(ScalingDecision { to, cause, figures })
    }

    fn down(&mut self, sample: &LoadSample, scale: &WorkerScale) -> Option<ScalingDecision> {
        let now = sample.at;
        let lasts = |since: Option<Instant>, time| {
            since.is_none_or(|since| now.saturating_duration_since(since) >= time)
        };
        let is_known = (self.samples.front())
            .is_some_and(|first| now.saturating_duration_since(first.at) + STEP / 5 >= CALM);
        if scale.wanted <= scale.floor
            || scale.missing > 0
            || scale.is_shared
            || !is_known
            || !lasts(self.last_up, self.calm)
            || !lasts(self.last_down, STEP)
        {
            return None;
        }
        let mean = LoadMean::of(self.samples.iter());
        let peak = self.peak();
        let per_worker = sample.threads as f64 / sample.workers as f64;
        let step = (scale.wanted / 8).max(1).min(scale.wanted - scale.floor);
        let to = (scale.wanted - step..scale.wanted)
            .find(|&to| peak <= RIGHT_WITH_LESS * per_worker * to as f64)?;
        if let Some(too_small) = &mut self.too_small
            && to <= too_small.workers
        {
            let then = *too_small.demand.get_or_insert(mean.demand());
            let was_used = then >= TOO_SMALL_FROM * per_worker * too_small.workers as f64;
            if was_used && mean.demand() > SMALLER * then {
                return None;
            }
        }
        let figures = format!(
            "at most {peak:.1} of {} threads were needed in {} s",
            sample.threads,
            CALM.as_secs()
        );
        let cause = ScalingCause::Idle;
        Some(ScalingDecision { to, cause, figures })
    }

    /// The samples of the last `window` in which as many workers and threads served as serve now.
    fn mean_of_last(&self, window: Duration, now: Instant) -> LoadMean {
        let is_in = |it: &&LoadSample| {
            now.saturating_duration_since(it.at) < window
                && self.same_since.is_none_or(|since| it.at > since)
        };
        let count = self.samples.iter().rev().take_while(is_in).count();
        LoadMean::of(self.samples.range(self.samples.len() - count..))
    }

    /// The highest demand of any [`PEAK_WINDOW`].
    fn peak(&self) -> f64 {
        let (mut peak, mut start) = (0.0, 0);
        for end in 1..=self.samples.len() {
            let span = (self.samples[end - 1].at).saturating_duration_since(self.samples[start].at);
            if span >= PEAK_WINDOW || end == self.samples.len() {
                let mean = LoadMean::of(self.samples.range(start..end));
                peak = mean.demand().max(peak);
                start = end;
            }
        }
        peak
    }
}

/// How many threads a queue needs; `None` if it will be gone soon.
fn for_queue(mean: &LoadMean, sample: &LoadSample) -> Option<f64> {
    let threads = sample.threads as f64;
    let demand = mean.busy + sample.queued as f64;
    if mean.responses_per_second == 0.0 {
        // Requests are long: each of those that wait needs a thread of its own.
        return Some(demand / RIGHT);
    }
    let arrivals = (mean.responses_per_second + mean.queue_growth).max(0.0);
    let need = mean.busy * arrivals / mean.responses_per_second;
    let shrinks = -mean.queue_growth;
    if need < NEARLY_ALL * threads && shrinks > 0.0 && sample.queued as f64 <= SOON * shrinks {
        return None;
    }
    match need < NEARLY_ALL * threads {
        true => Some(need / RIGHT),
        false => Some((need / RIGHT).max(demand.min(2.0 * threads))),
    }
}
