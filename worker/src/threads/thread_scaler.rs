//! Decides how many of a worker's request threads serve, from `threads` to `max_threads`. It has no thread and no clock of
//! its own.
//!
//! More threads help where requests wait although there is time left on the processors: because the threads wait
//! too, for a database for example. So requests have to wait for most of a short window, and the process must want
//! less of the processors in it than its threads could use. What it wants is what it uses, and the time in which its
//! threads were ready to run and got no processor: a busy machine is no reason for more threads. A thread that is ready
//! to run at the end of the window may have waited for all of it. And the steps before must have helped (`thread_gain`).
//!
//! Threads go back to the reserve when they were not needed for some seconds, when they have helped nothing, or when they
//! compute.

use std::time::{Duration, Instant};

use super::processor_demand::ProcessorDemand;
use super::thread_change::ThreadChange;
use super::thread_gain::{GainVerdict, ThreadGain};

/// Requests wait for half of this time, and of another one after it, before there are more threads. One alone may be wrong on
/// a busy machine, where delays are seen only when they are over.
const WINDOW: Duration = Duration::from_millis(100);
const WINDOWS: u32 = 2;
/// A window that nobody has looked at for longer than this says nothing.
const LONGEST_WINDOW: Duration = Duration::from_secs(1);
/// The state that one look finds counts for at most this time.
const LONGEST_LOOK: Duration = Duration::from_millis(20);
/// A request that was refused would still wait after this time.
const REFUSED_WAITS: Duration = Duration::from_millis(50);
/// More of the processors' time than this leaves too little for another thread.
const MOST_DEMAND: f64 = 0.75;
/// Threads that use more than this compute, and fewer of them would compute as much.
const COMPUTES: f64 = 0.9;
/// That is looked at in windows of this length; so many in a row are enough.
const COMPUTE_WINDOW: Duration = Duration::from_secs(1);
const COMPUTE_WINDOWS: u32 = 3;
/// Threads that were not needed for twice this time go back, and for three times at most.
const COOLING: Duration = Duration::from_secs(5);

/// What is seen of a worker's threads and requests.
#[derive(Debug, Clone, Copy)]
pub(super) struct LoadLook {
    pub(super) now: Instant,
    /// Whole requests wait for a thread, and none is idle.
    pub(super) waiting: bool,
    /// Requests that were refused so far because they would have waited for long, or had.
    pub(super) refused: u64,
    /// Threads that are inside the application.
    pub(super) busy: usize,
    /// Calls of the application so far.
    pub(super) calls: u64,
    /// The age of the oldest one that has not ended, if requests wait.
    pub(super) oldest: Duration,
}

#[derive(Debug)]
pub(super) struct ThreadScaler {
    least: usize,
    most: usize,
    /// How many threads can compute at once.
    parallel: usize,
    serving: usize,
    last: LoadLook,
    /// Calls that have ended so far.
    ended: u64,
    refused_at: Option<Instant>,
    window: Option<Window>,
    /// Windows in a row that speak for more threads.
    good_windows: u32,
    gain: ThreadGain,
    cooling: Cooling,
    computing: Option<Computing>,
}

/// A time that begins when a request waits.
#[derive(Debug, Clone, Copy)]
struct Window {
    begun: Instant,
    waited: Duration,
    demand: Duration,
}

/// The most threads that were busy at once, since `begun` and in the time before.
#[derive(Debug, Clone, Copy)]
struct Cooling {
    begun: Instant,
    peak: usize,
    peak_before: usize,
}

/// A window in which all threads may compute, after `windows` others in which they did.
#[derive(Debug, Clone, Copy)]
struct Computing {
    begun: Instant,
    used: Duration,
    windows: u32,
}

impl ThreadScaler {
    /// A worker where `serving` threads serve at first.
    pub(super) fn new(
        (least, most): (usize, usize),
        serving: usize,
        parallel: usize,
        now: Instant,
    ) -> Self {
        let last = LoadLook {
            now,
            waiting: false,
            refused: 0,
            busy: 0,
            calls: 0,
            oldest: Duration::ZERO,
        };
        Self {
            least,
            most,
            parallel,
            serving,
            last,
            ended: 0,
            refused_at: None,
            window: None,
            good_windows: 0,
            gain: ThreadGain::new(serving),
            cooling: Cooling::new(last),
            computing: None,
        }
    }

    /// Whether requests wait, so that the next look must come soon.
    pub(super) fn is_watching(&self) -> bool {
        self.last.waiting
    }

    /// The number with which another worker may begin.
    pub(super) fn proven(&self) -> usize {
        self.gain.proven()
    }

    /// Whether threads serve that go back to the reserve one day.
    pub(super) fn is_extended(&self) -> bool {
        self.serving > self.least
    }

    /// To ask for the `demand` costs system calls, which are made only while requests wait.
    pub(super) fn look(
        &mut self,
        mut look: LoadLook,
        demand: impl Fn() -> ProcessorDemand,
    ) -> Option<ThreadChange> {
        if look.refused > self.last.refused {
            self.refused_at = Some(look.now);
        }
        let is_recent = |at| look.now.saturating_duration_since(at) < REFUSED_WAITS;
        look.waiting |= self.refused_at.is_some_and(is_recent);
        let since = look.now.saturating_duration_since(self.last.now);
        // Not those that have begun: each thread that is added begins one.
        let ended = look.calls.saturating_sub(look.busy as u64).max(self.ended);
        let calls = ended - std::mem::replace(&mut self.ended, ended);
        if self.last.waiting && since <= LONGEST_LOOK {
            self.gain.note(since, calls);
            self.gain.note_age(look.oldest);
        }
        let change = self
            .look_for_more(look, &demand)
            .or_else(|| self.look_for_computing(look, &demand))
            .or_else(|| self.look_for_unneeded(look));
        self.last = look;
        if let Some(change) = change {
            self.serving = change.serving();
            self.cooling = Cooling::new(look);
            self.computing = None;
        }
        change
    }

    fn look_for_more(
        &mut self,
        look: LoadLook,
        demand: impl Fn() -> ProcessorDemand,
    ) -> Option<ThreadChange> {
        let Some(mut window) = self.window else {
            self.window = look.waiting.then(|| Window {
                begun: look.now,
                waited: Duration::ZERO,
                demand: demand().time(),
            });
            return None;
        };
        if self.last.waiting {
            let since = look.now.saturating_duration_since(self.last.now);
            window.waited += since.min(LONGEST_LOOK);
        }
        let length = look.now.saturating_duration_since(window.begun);
        if length < WINDOW {
            self.window = Some(window);
            return None;
        }
        self.window = None;
        let waited = window.waited.as_secs_f64() / length.as_secs_f64();
        let good_before = std::mem::take(&mut self.good_windows);
        if waited < 0.5 || length > LONGEST_WINDOW {
            return None;
        }
        match self.gain.verdict(look.now) {
            GainVerdict::Wait => return None,
            GainVerdict::Vain { needed } => return self.take_back(needed, look.now),
            GainVerdict::Go if self.serving >= self.most => return None,
            GainVerdict::Go => {}
        }
        let now = demand();
        let wanted = now.time().saturating_sub(window.demand).as_secs_f64() / length.as_secs_f64();
        if now.is_runnable || wanted > MOST_DEMAND * self.most_parallel() {
            return None;
        }
        if good_before + 1 < WINDOWS {
            self.good_windows = good_before + 1;
            return None;
        }
        let serving = (self.serving + (self.serving / 2).max(1)).min(self.most);
        self.gain.step(serving, look.now);
        Some(ThreadChange::More {
            serving,
            waited,
            demand: wanted,
        })
    }

    fn take_back(&mut self, needed: usize, now: Instant) -> Option<ThreadChange> {
        let serving = needed.clamp(self.least, self.serving);
        if serving == self.serving {
            return None;
        }
        self.gain.step_back(serving, now);
        Some(ThreadChange::Vain { serving })
    }

    fn look_for_computing(
        &mut self,
        look: LoadLook,
        demand: impl Fn() -> ProcessorDemand,
    ) -> Option<ThreadChange> {
        if !self.is_extended() || look.busy < self.serving {
            self.computing = None;
            return None;
        }
        let Some(computing) = self.computing else {
            self.computing = Some(Computing {
                begun: look.now,
                used: demand().used,
                windows: 0,
            });
            return None;
        };
        let length = look.now.saturating_duration_since(computing.begun);
        if length < COMPUTE_WINDOW {
            return None;
        }
        let used = demand().used;
        let share = used.saturating_sub(computing.used).as_secs_f64() / length.as_secs_f64();
        if share < COMPUTES * self.most_parallel() {
            self.computing = None;
            return None;
        }
        let windows = computing.windows + 1;
        if windows < COMPUTE_WINDOWS {
            self.computing = Some(Computing {
                begun: look.now,
                used,
                windows,
            });
            return None;
        }
        // As many as can compute at once would compute as much.
        let fewer = self.serving - (self.serving / 4).max(1);
        let serving = fewer.max(self.parallel).max(self.least);
        if serving >= self.serving {
            self.computing = None;
            return None;
        }
        self.gain.settle(serving, serving == self.least);
        Some(ThreadChange::Computing {
            serving,
            used: share,
        })
    }

    fn look_for_unneeded(&mut self, look: LoadLook) -> Option<ThreadChange> {
        if !self.is_extended() {
            return None;
        }
        let cooling = &mut self.cooling;
        cooling.peak = cooling.peak.max(look.busy);
        if look.now.saturating_duration_since(cooling.begun) < COOLING {
            return None;
        }
        let peak = cooling.peak.max(cooling.peak_before);
        *cooling = Cooling {
            begun: look.now,
            peak: look.busy,
            peak_before: cooling.peak,
        };
        if peak >= self.serving {
            return None;
        }
        let serving = peak.max(self.least);
        self.gain.settle(serving, serving == self.least);
        Some(ThreadChange::Unneeded { serving, peak })
    }

    /// The processors that the threads can use.
    fn most_parallel(&self) -> f64 {
        self.serving.min(self.parallel) as f64
    }
}

impl Cooling {
    /// All were needed until now.
    fn new(look: LoadLook) -> Self {
        Self {
            begun: look.now,
            peak: look.busy,
            peak_before: usize::MAX,
        }
    }
}

#[cfg(test)]
mod tests;
