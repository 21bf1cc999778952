//! Lines about requests that take longer than `slow_request`: one with the stack of the thread at the moment when the
//! application has taken so long, and one with all times at the end.
//!
//! An overloaded server is slow for everybody. So the lines of a worker are limited, and the log says how many it does
//! not have.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use log::warn;
use oxicorn_common::Settings;
use oxicorn_common::logging::RequestTag;
use oxicorn_common::request::RequestHead;

use crate::response::AccessRecord;

/// Stacks at once, and the time after which there may be one more. A stack costs the event loop milliseconds.
const STACKS: u32 = 4;
const STACK_PAUSE: Duration = Duration::from_secs(1);
/// The same for the lines at the end.
const LINES: u32 = 20;
const LINE_PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(crate) struct SlowRequests {
    limit: Duration,
    stacks: LineBudget,
    lines: LineBudget,
}

impl SlowRequests {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            limit: settings.slow_request,
            stacks: LineBudget::new(STACKS, STACK_PAUSE),
            lines: LineBudget::new(LINES, LINE_PAUSE),
        }
    }

    /// The time from which on a request is slow; `None` if nobody asks.
    pub(crate) fn limit(&self) -> Option<Duration> {
        (!self.limit.is_zero()).then_some(self.limit)
    }

    /// Whether there may be a line with a stack now.
    pub(crate) fn may_have_stack(&self, now: Instant) -> bool {
        self.stacks.take(now)
    }

    /// A response is over: logs its times if it was slow.
    pub(crate) fn end_response(&self, head: &RequestHead, record: &AccessRecord, now: Instant) {
        let Some(limit) = self.limit() else {
            return;
        };
        let (queue, sent) = (
            record.queue(),
            now.saturating_duration_since(record.started),
        );
        let is_slow = record.arrival.is_some() && queue + sent >= limit;
        if !is_slow || !self.lines.take(now) {
            return;
        }
        let application = record.application();
        let send = sent.saturating_sub(application);
        let [queue, application, send] = [queue, application, send].map(|it| it.as_secs_f64());
        let _scope = RequestTag::of(head).enter();
        warn!(
            "Slow request (slow_request): {} {} {}: queue {queue:.3} s, application {application:.3} s, send {send:.3} s",
            head.method(),
            head.path(),
            record.status,
        );
    }

    /// Logs how many lines are missing, once there may be lines again.
    pub(crate) fn report_missing(&self, now: Instant) {
        for (budget, what) in [(&self.stacks, "stacks"), (&self.lines, "lines")] {
            if let Some(missing) = budget.take_missing(now) {
                warn!("Slow requests (slow_request): {missing} {what} were not logged");
            }
        }
    }
}

/// How many lines there may be.
#[derive(Debug)]
struct LineBudget {
    most: u32,
    pause: Duration,
    state: Mutex<Spent>,
}

#[derive(Debug, Default)]
struct Spent {
    /// When all of the budget is there again.
    full_at: Option<Instant>,
    missing: u64,
}

impl LineBudget {
    fn new(most: u32, pause: Duration) -> Self {
        let state = Mutex::default();
        Self { most, pause, state }
    }

    /// Takes one line from the budget, or counts it as missing.
    fn take(&self, now: Instant) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = state.full_at.map_or(now, |at| at.max(now)) + self.pause;
        let is_left = full_at.saturating_duration_since(now) <= self.pause * self.most;
        match is_left {
            true => state.full_at = Some(full_at),
            false => state.missing += 1,
        }
        is_left
    }

    /// How many lines are missing, if there may be one now that says so.
    fn take_missing(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_calm = state.full_at.is_none_or(|at| at <= now);
        (is_calm && state.missing > 0).then(|| std::mem::take(&mut state.missing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_allows_a_few_at_once_and_then_one_per_pause() {
        let budget = LineBudget::new(3, Duration::from_secs(1));
        let start = Instant::now();
        let taken = |millis| {
            let now = start + Duration::from_millis(millis);
            (0..5).filter(|_| budget.take(now)).count()
        };
        let missing = |millis| budget.take_missing(start + Duration::from_millis(millis));
        assert_eq!((taken(0), taken(500), taken(1000)), (3, 0, 1));
        assert_eq!(missing(3900), None, "there are too many still");
        assert_eq!((missing(4000), missing(4000)), (Some(2 + 5 + 4), None));
        assert_eq!(taken(100_000), 3);
    }
}
