//! The threads of a worker: leader and followers.
//!
//! ```text
//!   leader     turns the reactor; runs a request itself, its hand off the reactor meanwhile, and
//!              is the leader again afterwards unless somebody took over
//!   followers  sleep until they are promoted
//!   watchdog   a thread of its own: when the leader has been inside the application for about a
//!              millisecond, promotes a follower; when there is none, leads itself, but runs
//!              nothing. Threads that come back take the next request and leave it the lead
//! ```
//!
//! Requests are run in the order in which they became whole. Between two of them the leader looks for
//! what else has come, at most a millisecond apart. Those that find no thread here wait in the queue that
//! all workers share (`handoff`).
//!
//! Running a short request costs no hand-off and no wake-up. Where the application is known to
//! block, the leader promotes a follower first. Leading is holding the reactor's mutex.

mod blocking_estimator;
mod launch;
mod next;
mod thread_state;
mod timeouts;
mod watchdog;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use log::error;
use mio::Waker;
use nix::sys::eventfd::EventFd;
use oxicorn_common::Handoff;

use crate::connection::Connection;
use crate::preface::Preface;
use crate::reactor::Reactor;
use crate::request_handler::RequestHandler;
use crate::worker_shared::WorkerShared;
use blocking_estimator::BlockingEstimator;

pub use launch::End;
pub(crate) use launch::{LaunchError, run};

/// A turn of the reactor ends after this at the latest.
const TURN: Duration = Duration::from_secs(1);

pub(crate) struct ThreadPool {
    shared: Arc<WorkerShared>,
    handoff: Handoff,
    preface: Arc<Preface>,
    reactor: Mutex<Reactor>,
    waker: Waker,
    /// Connections that threads which do not lead are done with.
    #[allow(clippy::vec_box, reason = "boxes move on as they are")]
    returned: Mutex<Vec<Box<Connection>>>,
    /// In milliseconds of [`monotonic_millis`]: taking over failed, and is not tried again before.
    takes_over_from: AtomicU64,
    bench: Mutex<Bench>,
    promoted: Condvar,
    /// Followers asleep; `bench` has the truth, this is for a look in passing.
    idle: AtomicUsize,
    /// Requests begun.
    begun: AtomicU64,
    /// The seat of whoever began the last one.
    last_seat: AtomicUsize,
    /// Its kind, as the estimator tells them apart.
    last_kind: AtomicUsize,
    /// Turns of the reactor that have ended.
    turns: AtomicU64,
    /// Somebody turns the reactor, rather than runs the application.
    led: AtomicBool,
    watchdog_leads: AtomicBool,
    watchdog_sleeps: AtomicBool,
    /// Set by the watchdog itself.
    watchdog: OnceLock<Thread>,
    estimator: BlockingEstimator,
    /// The exit code, once the pool is dismissed.
    dismissed: Mutex<Option<i32>>,
    /// Readable then, for a main thread that waits.
    over: EventFd,
}

#[derive(Debug, Default)]
struct Bench {
    idle: usize,
    promotions: usize,
    dismissed: bool,
}

type Leadership<'a> = MutexGuard<'a, Reactor>;

impl ThreadPool {
    fn new(shared: Arc<WorkerShared>, reactor: Reactor, waker: Waker, over: EventFd) -> Self {
        Self {
            shared,
            handoff: reactor.handoff.clone(),
            preface: Arc::clone(&reactor.preface),
            reactor: Mutex::new(reactor),
            waker,
            returned: Mutex::default(),
            takes_over_from: AtomicU64::new(0),
            bench: Mutex::default(),
            promoted: Condvar::new(),
            idle: AtomicUsize::new(0),
            begun: AtomicU64::new(0),
            last_seat: AtomicUsize::new(0),
            last_kind: AtomicUsize::new(0),
            turns: AtomicU64::new(0),
            led: AtomicBool::new(true),
            watchdog_leads: AtomicBool::new(false),
            watchdog_sleeps: AtomicBool::new(false),
            watchdog: OnceLock::new(),
            estimator: BlockingEstimator::default(),
            dismissed: Mutex::new(None),
            over,
        }
    }

    /// The life of request thread `index`.
    fn work(&self, index: usize) {
        let mut handler = RequestHandler::new(&self.shared, index);
        while self.follow() {
            if let Some(reactor) = self.try_lead() {
                self.lead(reactor, &mut handler);
            }
        }
    }

    /// Turns the reactor and runs what it brings, until somebody else leads and nothing waits.
    fn lead<'a>(&'a self, mut reactor: Leadership<'a>, handler: &mut RequestHandler<'_>) {
        reactor.now = Instant::now();
        loop {
            let mut next = None;
            if !reactor.is_due() {
                next = self.next();
            }
            if next.is_none() {
                self.take_back(&mut reactor);
                if self.is_over(&reactor) {
                    return;
                }
                let timeout = if self.anything_waits() {
                    Duration::ZERO
                } else {
                    TURN
                };
                if !self.turn(&mut reactor, timeout, true) {
                    return;
                }
                self.attend_to_signals(&mut reactor);
                next = self.next();
            }
            let Some(connection) = next else { continue };
            match self.run(reactor, connection, handler) {
                Some(again) => reactor = again,
                None => return,
            }
        }
    }

    /// Runs a request, and as long as others lead then, the next ones; leads again when nobody does.
    fn run<'a>(
        &'a self,
        mut reactor: Leadership<'a>,
        mut connection: Box<Connection>,
        handler: &mut RequestHandler<'_>,
    ) -> Option<Leadership<'a>> {
        let mut kind = self.estimator.slot_for(&connection);
        let others_wait = !self.shared.ready.is_empty();
        let idle = self.idle.load(Ordering::Relaxed);
        let relieve = idle > 0 && self.estimator.blocks(kind, others_wait);
        if idle == 0 && others_wait && self.estimator.is_long(kind) {
            // No thread here will come for them soon.
            reactor.share_ready();
        }
        // One look at the clock between two requests is enough for both.
        let mut started = reactor.now;
        self.let_go(reactor);
        // Not before: a follower that finds somebody leading goes back to sleep.
        if relieve {
            self.promote();
        }
        loop {
            let ended = self.serve(&mut connection, kind, started, handler);
            if let Some(mut reactor) = self.try_lead() {
                reactor.now = ended;
                reactor.settle(connection);
                return Some(reactor);
            }
            self.give_back(connection);
            connection = self.next()?;
            kind = self.estimator.slot_for(&connection);
            started = Instant::now();
        }
    }

    fn serve(
        &self,
        connection: &mut Connection,
        kind: usize,
        started: Instant,
        handler: &mut RequestHandler<'_>,
    ) -> Instant {
        let alone = self.idle.load(Ordering::Relaxed) + 1 == self.shared.settings.threads;
        self.begin(handler.index(), kind);
        let sample = self.estimator.begin(kind, started, alone);
        let ended = handler.serve(connection, started);
        self.estimator.learn(&sample, ended);
        ended
    }

    /// Notes that a request begins, and that nobody leads meanwhile.
    fn begin(&self, seat: usize, kind: usize) {
        self.last_seat.store(seat, Ordering::Relaxed);
        self.last_kind.store(kind, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::SeqCst);
        if self.watchdog_sleeps.load(Ordering::SeqCst) {
            self.wake_watchdog();
        }
    }

    /// One that has not begun yet looks before it sleeps.
    fn wake_watchdog(&self) {
        if let Some(watchdog) = self.watchdog.get() {
            watchdog.unpark();
        }
    }

    fn try_lead(&self) -> Option<Leadership<'_>> {
        let lead = match self.reactor.try_lock() {
            Ok(lead) => lead,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        self.led.store(true, Ordering::Release);
        Some(lead)
    }

    fn let_go(&self, lead: Leadership<'_>) {
        self.led.store(false, Ordering::Release);
        drop(lead);
    }

    /// One turn of the reactor; false when that was the last one.
    fn turn(&self, reactor: &mut Reactor, timeout: Duration, free: bool) -> bool {
        let timeout = self.check_seats(reactor).min(timeout);
        let outcome = reactor.turn(timeout, free);
        self.turns.fetch_add(1, Ordering::SeqCst);
        if self.shared.app.retires() {
            self.shared.ask_for_replacement("its application wants it");
        }
        if let Err(error) = &outcome {
            error!("the event loop failed: {error}");
            self.dismiss(1);
        }
        outcome.is_ok()
    }

    /// Hands a connection to whoever leads now, who need not be woken for it when the client has
    /// sent nothing yet: what it sends later wakes the leader, who then finds the connection.
    /// Unless that happened between our look at the socket and the handing over.
    fn give_back(&self, mut connection: Box<Connection>) {
        let turns = self.turns.load(Ordering::SeqCst);
        let quiet = connection.is_quiet() && !self.shared.is_draining();
        lock(&self.returned).push(connection);
        if !quiet || self.turns.load(Ordering::SeqCst) != turns {
            self.wake_leader();
        }
    }

    fn take_back(&self, reactor: &mut Reactor) {
        for connection in std::mem::take(&mut *lock(&self.returned)) {
            reactor.settle(connection);
        }
    }

    /// Sleeps until promoted; false when the pool is dismissed.
    fn follow(&self) -> bool {
        let mut bench = lock(&self.bench);
        bench.idle += 1;
        self.idle.store(bench.idle, Ordering::SeqCst);
        if self.watchdog_leads.load(Ordering::SeqCst) {
            self.wake_leader();
        }
        while bench.promotions == 0 && !bench.dismissed {
            bench = self
                .promoted
                .wait(bench)
                .unwrap_or_else(PoisonError::into_inner);
        }
        bench.idle -= 1;
        bench.promotions = bench.promotions.saturating_sub(1);
        self.idle.store(bench.idle, Ordering::SeqCst);
        !bench.dismissed
    }

    /// Wakes a follower to lead; false when there is none. One that was woken and has not come yet
    /// will do.
    fn promote(&self) -> bool {
        let mut bench = lock(&self.bench);
        let (any, wake) = (bench.idle > 0, bench.idle > bench.promotions);
        bench.promotions += usize::from(wake);
        // Whom it wakes wants it first of all.
        drop(bench);
        if wake {
            self.promoted.notify_one();
        }
        any
    }

    fn wake_leader(&self) {
        if let Err(error) = self.waker.wake() {
            error!("cannot wake the event loop: {error}");
        }
    }

    fn is_over(&self, reactor: &Reactor) -> bool {
        let over = reactor.is_finished() || lock(&self.bench).dismissed;
        if over {
            reactor.end_shared();
            self.dismiss(0);
        }
        over
    }

    /// Ends all threads that are not stuck, and the watchdog with them.
    fn dismiss(&self, code: i32) {
        lock(&self.dismissed).get_or_insert(code);
        lock(&self.bench).dismissed = true;
        self.promoted.notify_all();
        self.wake_watchdog();
        // Full it is readable all the more.
        let _ = self.over.write(1);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
