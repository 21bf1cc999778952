//! The watchdog: a thread that sees to it that somebody leads while the leader is inside the
//! application, and leads itself when nobody else can.
//!
//! A leader that waits for something is relieved at the next tick. One that computes is given more
//! time: on a busy machine it may only have lost the processor, and another thread that wants it
//! too would make things worse.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use log::warn;

use super::thread_state;
use super::{TURN, ThreadPool, lock};

/// How often the watchdog looks while requests run and the application has blocked lately.
const TICK: Duration = Duration::from_millis(1);
/// The same when it has not: a wake-up costs as much as a request, and they would add up.
const CALM_TICK: Duration = Duration::from_millis(3);
/// Ticks without a surprise after which the application counts as calm.
const TICKS_UNTIL_CALM: u32 = 1000;
/// Ticks without a request after which the watchdog sleeps until there is one.
const TICKS_UNTIL_DORMANT: u32 = 20;
/// How long the leader may compute before it is relieved.
const COMPUTES: Duration = Duration::from_millis(15);

impl ThreadPool {
    /// The life of the watchdog; returns the exit code of the process.
    pub(super) fn watch(&self) -> i32 {
        let _ = self.watchdog.set(thread::current());
        let mut seen = self.begun.load(Ordering::SeqCst);
        let mut quiet = 0;
        let mut calm = TICKS_UNTIL_CALM;
        let mut stalled_since = None;
        loop {
            if let Some(code) = *lock(&self.dismissed) {
                return code;
            }
            let is_calm = calm >= TICKS_UNTIL_CALM;
            thread::park_timeout(if is_calm { CALM_TICK } else { TICK });
            calm = calm.saturating_add(1);
            let begun = self.begun.load(Ordering::SeqCst);
            let led = self.led.load(Ordering::SeqCst);
            if begun == seen && !led {
                quiet = 0;
                let since = *stalled_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= COMPUTES || self.is_waiting() || self.could_run_elsewhere() {
                    calm = 0;
                    if !self.promote() {
                        self.stand_in();
                    }
                }
            } else if begun == seen {
                quiet += 1;
                if quiet > TICKS_UNTIL_DORMANT {
                    self.sleep_until_needed(seen);
                    quiet = 0;
                }
            } else {
                quiet = 0;
            }
            if begun != seen || led {
                stalled_since = None;
            }
            seen = begun;
        }
    }

    /// Leads in place of the request threads, which are all inside the application: accepts, reads,
    /// sends, keeps deadlines. What is whole waits for the first thread of any worker.
    fn stand_in(&self) {
        self.watchdog_leads.store(true, Ordering::SeqCst);
        if let Some(mut reactor) = self.try_lead() {
            reactor.now = Instant::now();
            if let Err(error) = reactor.acceptor.yield_to_siblings() {
                warn!("cannot watch a listener: {error}");
            }
            while self.idle.load(Ordering::SeqCst) == 0 && !self.is_over(&reactor) {
                self.take_back(&mut reactor);
                reactor.share_ready();
                if !self.turn(&mut reactor, TURN, false) {
                    break;
                }
            }
            self.let_go(reactor);
        }
        self.watchdog_leads.store(false, Ordering::SeqCst);
        self.promote();
    }

    /// Sleeps until the leader begins a request.
    fn sleep_until_needed(&self, seen: u64) {
        self.watchdog_sleeps.store(true, Ordering::SeqCst);
        while self.begun.load(Ordering::SeqCst) == seen
            && self.led.load(Ordering::SeqCst)
            && lock(&self.dismissed).is_none()
        {
            thread::park();
        }
        self.watchdog_sleeps.store(false, Ordering::SeqCst);
    }

    /// Whether the leader is in for long, while a sibling has a thread for what comes meanwhile.
    fn could_run_elsewhere(&self) -> bool {
        let kind = self.last_kind.load(Ordering::Relaxed);
        self.estimator.is_long(kind) && self.shared.has_idle_sibling()
    }

    /// Whether the leader waits for something inside the application, rather than computes.
    fn is_waiting(&self) -> bool {
        let seat = self.last_seat.load(Ordering::Relaxed);
        let thread = self
            .shared
            .in_flight
            .get(seat)
            .and_then(|seat| seat.thread());
        thread.is_none_or(thread_state::is_waiting)
    }
}
