//! [`LoadShedding`]: decides which requests are refused.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use oxicorn_common::Settings;
use oxicorn_common::scoreboard::RefusalReason;
use oxicorn_common::settings::SheddingSettings;

use super::admission_share::AdmissionShare;
use super::early_refusals::{EarlyRefusal, EarlyRefusals};
use super::queue_forecast::{CombinedLoad, QueuePlace, WorkerLoad, forecast, forecast_alone};
use super::refusal::Refusal;
use super::refusal_log::RefusalLog;
use super::service_pace::ServicePace;

/// Clients that leave do so after some time. Looking costs a system call.
const LEAVES: Duration = Duration::from_micros(100);

/// The load shedding of one worker.
#[derive(Debug)]
pub(crate) struct LoadShedding {
    settings: SheddingSettings,
    pace: ServicePace,
    share: AdmissionShare,
    early: EarlyRefusals,
    log: RefusalLog,
    /// Requests that would have waited for long, or had.
    refused: AtomicU64,
}

impl LoadShedding {
    /// `None` if nothing is ever refused.
    pub(crate) fn new(settings: &Settings) -> Option<Self> {
        let shedding = settings.shedding;
        shedding.enabled().then(|| Self::with(shedding))
    }

    pub(super) fn with(settings: SheddingSettings) -> Self {
        Self {
            settings,
            pace: ServicePace::new(),
            share: AdmissionShare::new(),
            early: EarlyRefusals::default(),
            log: RefusalLog::default(),
            refused: AtomicU64::new(0),
        }
    }

    /// One of the `threads` that serve takes up a request that became whole at `ready_at`. Returns the interval, in
    /// nanoseconds.
    pub(crate) fn note_start(&self, now: Instant, ready_at: Instant, threads: usize) -> u64 {
        let (interval, gap) = self.pace.note_start(now, ready_at, threads);
        let timeout = self.settings.queue_timeout.as_nanos();
        let timeout = u64::try_from(timeout).unwrap_or(u64::MAX);
        if let Some(gap) = gap
            && let Some(needed) = self.early.take_wrong(gap.since, timeout)
        {
            self.share.note_idle(gap.length, needed);
        }
        interval
    }

    /// A thread is done with the request that it began at `started`. Returns the average, in nanoseconds.
    pub(crate) fn note_end(&self, started: Instant, ended: Instant) -> u64 {
        self.pace.note_end(started, ended)
    }

    /// Whether a request that becomes whole `now`, and finds no free thread, may wait, if it has waited for `waited`
    /// already, unseen.
    pub(crate) fn check_new(
        &self,
        own: &WorkerLoad,
        siblings: &CombinedLoad,
        place: QueuePlace,
        now: Instant,
        waited: Duration,
    ) -> Result<(), Refusal> {
        let waiting = own.waiting + siblings.waiting + place.handed_on;
        let idle = own.idle + siblings.idle;
        let wait = forecast(own, siblings, place).unwrap_or_default();
        let SheddingSettings {
            queue_timeout,
            max_queue,
        } = self.settings;
        if max_queue > 0 && waiting >= max_queue + idle {
            return Err(Refusal::new(RefusalReason::MaxQueue, wait));
        }
        if queue_timeout.is_zero() {
            return Ok(());
        }
        let refused = Err(Refusal::new(RefusalReason::QueueTimeout, wait));
        if waited >= queue_timeout {
            return refused;
        }
        if !wait.is_zero() && waited + wait > self.share.of(queue_timeout) {
            let alone = forecast_alone(own, siblings, place).unwrap_or_default();
            let needed = |wait| (waited + wait).div_duration_f64(queue_timeout);
            self.early.note(EarlyRefusal {
                at: self.pace.nanos_at(now),
                needed: needed(wait),
                needed_alone: needed(alone),
            });
            return refused;
        }
        Ok(())
    }

    /// Whether a request that became whole at `ready_at` is run. `has_left` tells whether its client has left.
    pub(crate) fn check_waited(
        &self,
        ready_at: Instant,
        now: Instant,
        has_left: impl FnOnce() -> bool,
    ) -> Result<(), Refusal> {
        if self.is_late(ready_at, now) {
            return Err(self.refuse_late(now));
        }
        let waited = now.saturating_duration_since(ready_at);
        if waited >= LEAVES && has_left() {
            return Err(Refusal::new(RefusalReason::ClientGone, Duration::ZERO));
        }
        self.share.note_in_time();
        Ok(())
    }

    /// Whether a request that has become whole at `ready_at` has waited too long.
    pub(crate) fn is_late(&self, ready_at: Instant, now: Instant) -> bool {
        self.deadline(ready_at).is_some_and(|at| at <= now)
    }

    /// When a request that became whole at `ready_at` has waited too long.
    pub(crate) fn deadline(&self, ready_at: Instant) -> Option<Instant> {
        let timeout = self.settings.queue_timeout;
        (!timeout.is_zero()).then(|| ready_at + timeout)
    }

    /// The moment such that requests that became whole before it have waited too long.
    pub(crate) fn late_before(&self, now: Instant) -> Option<Instant> {
        let timeout = self.settings.queue_timeout;
        let before = || now.checked_sub(timeout);
        (!timeout.is_zero()).then(before).flatten()
    }

    /// A request has waited in vain.
    pub(crate) fn refuse_late(&self, now: Instant) -> Refusal {
        self.share.note_late();
        self.early.note_late(self.pace.nanos_at(now));
        Refusal::new(RefusalReason::QueueTimeout, self.settings.queue_timeout)
    }

    /// A request is refused.
    pub(crate) fn note_refusal(&self, refusal: Refusal, now: Instant) {
        if refusal.reason != RefusalReason::ClientGone {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        self.log.note(refusal.reason);
        self.report(now);
    }

    /// Requests that were refused so far because they would have waited for long, or had.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Logs the refusals that have not been logged yet, if it is time.
    pub(crate) fn report(&self, now: Instant) {
        self.log(now, false);
    }

    /// The worker ends.
    pub(crate) fn report_last(&self) {
        self.log(Instant::now(), true);
    }

    fn log(&self, now: Instant, last: bool) {
        self.log.report(now, last, || {
            let timeout = self.settings.queue_timeout.as_secs_f64();
            format!(
                "queue_timeout {timeout}, max_queue {}",
                self.settings.max_queue
            )
        });
    }
}
