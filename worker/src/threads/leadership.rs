//! Who leads: one thread at a time has the reactor, the followers sleep until one is promoted, and the
//! watchdog leads while all request threads are inside the application.
//!
//! ```text
//!              try_lead             let_go, note_call
//!   follower -----------> leader -----------------------> inside the application
//!      ^ ^                  ^                                |            |
//!      | `--- follow -------|--- another leads: follow ------'            | for too long
//!      |                    `----------- try_lead                         v
//!      `--------- promote ------------------------------------ watchdog: promote, or stand_in
//! ```
//!
//! Two rules keep the worker served. First, a leader lets go before it promotes: a follower that finds another
//! leader goes back to sleep. Second, a thread announces that it will sleep and then checks once more, both in
//! one atomic operation or under one lock, so that it misses no change in between.
//!
//! The caller has to wake a leader that waits in the poll.
//!
//! Only the first threads serve, as many as the last `set_serving` says. A follower with a higher index is put in
//! reserve, where nobody promotes it, and comes back when the number has grown. A leader with a higher index resigns.

use std::time::Duration;

use crate::sync::{
    AtomicBool, AtomicU64, AtomicUsize, Condvar, Mutex, MutexGuard, Ordering, PoisonError, Thread,
    TryLockError, current, lock, park,
};

/// A bit in `calls`: the watchdog sleeps until the next call.
const ASLEEP: u64 = 1;
/// One call in `calls`.
const CALL: u64 = 2;

#[derive(Debug)]
pub(crate) struct Leadership<R> {
    /// The thread that has it locked leads.
    reactor: Mutex<R>,
    /// Some thread has the reactor. Only a hint for the watchdog, which then checks again.
    led: AtomicBool,
    /// How many calls of the application have begun, in steps of `CALL`, and `ASLEEP`.
    calls: AtomicU64,
    bench: Mutex<Bench>,
    promoted: Condvar,
    called_up: Condvar,
    /// The same as in `bench`, to be read without the lock.
    serving: AtomicUsize,
    idle: AtomicUsize,
    reserve: AtomicUsize,
}

#[derive(Debug, Default)]
struct Bench {
    /// Followers that sleep, or have been woken and have not run yet.
    idle: usize,
    /// How many of them may wake up.
    promotions: usize,
    /// Threads with a lower index serve.
    serving: usize,
    /// The others, while they sleep.
    reserve: usize,
    watchdog_leads: bool,
    watchdog: Option<Thread>,
    /// The exit code of the process, set when the threads are to end.
    dismissed: Option<i32>,
}

/// The right to turn the reactor.
pub(crate) type Lead<'a, R> = MutexGuard<'a, R>;

impl<R> Leadership<R> {
    /// All threads are followers, of which the first `serving` ones serve; one is promoted as soon as it is there.
    pub(crate) fn new(reactor: R, serving: usize) -> Self {
        Self {
            reactor: Mutex::new(reactor),
            led: AtomicBool::new(true),
            calls: AtomicU64::new(0),
            bench: Mutex::new(Bench {
                serving,
                ..Bench::default()
            }),
            promoted: Condvar::new(),
            called_up: Condvar::new(),
            serving: AtomicUsize::new(serving),
            idle: AtomicUsize::new(0),
            reserve: AtomicUsize::new(0),
        }
    }

    /// Promotes the first follower, which may not be there yet.
    pub(crate) fn open(&self) {
        lock(&self.bench).promotions = 1;
        self.promoted.notify_one();
    }

    pub(crate) fn try_lead(&self) -> Option<Lead<'_, R>> {
        let lead = match self.reactor.try_lock() {
            Ok(lead) => lead,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        // Relaxed: leaders write it with the lock held, so that an older value never follows a newer one.
        self.led.store(true, Ordering::Relaxed);
        Some(lead)
    }

    /// Nobody leads any more, unless a follower is to be `promoted`. `note_call` then makes this visible to the
    /// watchdog.
    pub(crate) fn let_go(&self, lead: Lead<'_, R>, promoted: bool) {
        // Relaxed: as above.
        self.led.store(false, Ordering::Relaxed);
        drop(lead);
        // Only now: see the rules above.
        if promoted {
            self.promote();
        }
    }

    /// Nobody leads any more, and no call begins: a follower is promoted, or else the watchdog looks.
    pub(crate) fn resign(&self, lead: Lead<'_, R>) {
        self.let_go(lead, false);
        if !self.promote() {
            self.wake_watchdog();
        }
    }

    /// A call of the application begins on this thread.
    pub(crate) fn note_call(&self) {
        // Release: a watchdog that sees this call sees `led` as `let_go` has left it. One operation counts the call
        // and reads whether the watchdog sleeps: if it fell asleep in between, no thread would wake it.
        if self.calls.fetch_add(CALL, Ordering::Release) & ASLEEP != 0 {
            self.wake_watchdog();
        }
    }

    /// The number of calls that have begun.
    pub(crate) fn calls(&self) -> u64 {
        // Acquire: pairs with `note_call`.
        self.calls.load(Ordering::Acquire) / CALL
    }

    /// Whether a thread leads: correct if read after `calls`, unless it has changed since then.
    pub(crate) fn is_led(&self) -> bool {
        // Relaxed: the read of `calls` has made the value visible.
        self.led.load(Ordering::Relaxed)
    }

    /// The number of sleeping followers, as a hint.
    pub(crate) fn idle(&self) -> usize {
        // Relaxed: a thread whose decision must be right is woken after the change (`follow`).
        self.idle.load(Ordering::Relaxed)
    }

    /// The number of sleeping threads, those in reserve included, as a hint.
    pub(crate) fn sleeping(&self) -> usize {
        // Relaxed: as above.
        self.idle() + self.reserve.load(Ordering::Relaxed)
    }

    /// Sleeps until thread `index` is promoted; false if it is to end. `wake` interrupts the poll of a watchdog that
    /// leads, because it has a follower now.
    pub(crate) fn follow(&self, index: usize, wake: impl Fn()) -> bool {
        let mut bench = lock(&self.bench);
        loop {
            bench = self.wait_in_reserve(index, bench);
            bench.idle += 1;
            self.idle.store(bench.idle, Ordering::Relaxed);
            if bench.watchdog_leads {
                wake();
            }
            while bench.promotions == 0 && bench.dismissed.is_none() && index < bench.serving {
                bench = self
                    .promoted
                    .wait(bench)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            bench.idle -= 1;
            self.idle.store(bench.idle, Ordering::Relaxed);
            if bench.dismissed.is_some() {
                return false;
            }
            // A thread that is put in reserve leaves no promotion to followers that may not be there.
            if bench.promotions > 0 {
                bench.promotions -= 1;
                return true;
            }
        }
    }

    /// Sleeps while thread `index` is in reserve.
    fn wait_in_reserve<'a>(
        &self,
        index: usize,
        mut bench: MutexGuard<'a, Bench>,
    ) -> MutexGuard<'a, Bench> {
        if index < bench.serving {
            return bench;
        }
        bench.reserve += 1;
        self.reserve.store(bench.reserve, Ordering::Relaxed);
        while index >= bench.serving && bench.dismissed.is_none() {
            bench = self
                .called_up
                .wait(bench)
                .unwrap_or_else(PoisonError::into_inner);
        }
        bench.reserve -= 1;
        self.reserve.store(bench.reserve, Ordering::Relaxed);
        bench
    }

    /// How many threads serve, as a hint.
    pub(crate) fn serving(&self) -> usize {
        // Relaxed: as above.
        self.serving.load(Ordering::Relaxed)
    }

    /// From now on the first `count` threads serve, at least one. Those that run a request go into reserve after it.
    pub(crate) fn set_serving(&self, count: usize) {
        let count = count.max(1);
        lock(&self.bench).serving = count;
        self.serving.store(count, Ordering::Relaxed);
        self.called_up.notify_all();
        self.promoted.notify_all();
    }

    /// Wakes a follower to lead; false if there is none. One that was woken and has not run yet is enough.
    pub(crate) fn promote(&self) -> bool {
        let mut bench = lock(&self.bench);
        let (any, wake) = (bench.idle > 0, bench.idle > bench.promotions);
        bench.promotions += usize::from(wake);
        // The follower needs the lock first.
        drop(bench);
        if wake {
            self.promoted.notify_one();
        }
        any
    }

    /// Ends all threads that return from the application, and the watchdog. The first exit code counts.
    pub(crate) fn dismiss(&self, code: i32) {
        lock(&self.bench).dismissed.get_or_insert(code);
        self.promoted.notify_all();
        self.called_up.notify_all();
        self.wake_watchdog();
    }

    /// The exit code, set when the threads are to end.
    pub(crate) fn dismissed(&self) -> Option<i32> {
        lock(&self.bench).dismissed
    }

    /// Called by the watchdog before anything else. It sees calls that begin earlier when it looks.
    pub(crate) fn register_watchdog(&self) {
        lock(&self.bench).watchdog = Some(current());
    }

    /// Sleeps until a call begins after the first `seen` ones, or `at_most` so long. Does not sleep while nobody leads: a call
    /// lasts then.
    pub(crate) fn sleep_until_call(&self, seen: u64, at_most: Option<Duration>) {
        // One operation checks and falls asleep, see `note_call`. Relaxed: `calls` is read next.
        let mut calls = self.calls.fetch_or(ASLEEP, Ordering::Relaxed);
        while calls / CALL == seen && self.is_led() && self.dismissed().is_none() {
            park(at_most);
            calls = self.calls.load(Ordering::Relaxed);
            if at_most.is_some() {
                break;
            }
        }
        // Relaxed: at worst a call wakes a watchdog that is awake.
        self.calls.fetch_and(!ASLEEP, Ordering::Relaxed);
    }

    /// The watchdog leads, unless another thread does: `lead` gets the reactor and a function that tells whether
    /// there is still no follower. Then promotes one.
    pub(crate) fn stand_in(&self, lead: impl FnOnce(&mut R, &dyn Fn() -> bool)) {
        // Before the first look at `idle`: a follower that comes later interrupts the poll.
        lock(&self.bench).watchdog_leads = true;
        if let Some(mut reactor) = self.try_lead() {
            lead(&mut reactor, &|| self.idle() == 0);
            self.let_go(reactor, false);
        }
        lock(&self.bench).watchdog_leads = false;
        self.promote();
    }

    /// A follower that has not registered yet checks before it sleeps.
    fn wake_watchdog(&self) {
        let watchdog = lock(&self.bench).watchdog.clone();
        if let Some(watchdog) = watchdog {
            watchdog.unpark();
        }
    }
}
