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
//! Two rules keep the worker served. A leader lets go before it promotes: a follower that finds somebody
//! leading goes back to sleep. And a thread that goes to sleep announces it first and then
//! looks once more, both in one atomic operation or under one lock: nothing can happen in between unseen.
//!
//! Waking a leader that waits in the poll is left to the caller.

use crate::sync::{
    AtomicBool, AtomicU64, AtomicUsize, Condvar, Mutex, MutexGuard, Ordering, PoisonError, Thread,
    TryLockError, current, lock, park,
};

/// In `calls`: the watchdog sleeps until the next one.
const ASLEEP: u64 = 1;
/// One call in `calls`.
const CALL: u64 = 2;

#[derive(Debug)]
pub(crate) struct Leadership<R> {
    /// The thread that has it locked leads.
    reactor: Mutex<R>,
    /// Somebody has it. Not to be relied upon: for the watchdog, which then looks again.
    led: AtomicBool,
    /// How many calls of the application have begun, in steps of `CALL`, and `ASLEEP`.
    calls: AtomicU64,
    bench: Mutex<Bench>,
    promoted: Condvar,
    /// `bench.idle`, for a look without the lock.
    idle: AtomicUsize,
}

#[derive(Debug, Default)]
struct Bench {
    /// Followers that sleep, and those that have been woken and are on their way.
    idle: usize,
    /// How many of them may wake up.
    promotions: usize,
    watchdog_leads: bool,
    watchdog: Option<Thread>,
    /// The exit code of the process, once the threads are to end.
    dismissed: Option<i32>,
}

/// The right to turn the reactor.
pub(crate) type Lead<'a, R> = MutexGuard<'a, R>;

impl<R> Leadership<R> {
    /// All threads are followers, one of which is promoted as soon as it is there.
    pub(crate) fn new(reactor: R) -> Self {
        Self {
            reactor: Mutex::new(reactor),
            led: AtomicBool::new(true),
            calls: AtomicU64::new(0),
            bench: Mutex::new(Bench::default()),
            promoted: Condvar::new(),
            idle: AtomicUsize::new(0),
        }
    }

    /// Promotes the first follower, who may not be there yet.
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
        // Relaxed: leaders write it with the lock held, so that no older value comes after a newer one.
        self.led.store(true, Ordering::Relaxed);
        Some(lead)
    }

    /// Nobody leads any more, or a follower does where one is to be `promoted`. `note_call` then makes the watchdog
    /// see it.
    pub(crate) fn let_go(&self, lead: Lead<'_, R>, promoted: bool) {
        // Relaxed: as above.
        self.led.store(false, Ordering::Relaxed);
        drop(lead);
        // Not before: see the rules above.
        if promoted {
            self.promote();
        }
    }

    /// A call of the application begins on this thread.
    pub(crate) fn note_call(&self) {
        // Release: a watchdog that sees this call sees `led` as `let_go` has left it. One operation counts
        // the call and asks for the watchdog's sleep: had it fallen asleep in between, nobody would wake it.
        if self.calls.fetch_add(CALL, Ordering::Release) & ASLEEP != 0 {
            self.wake_watchdog();
        }
    }

    /// How many calls have begun.
    pub(crate) fn calls(&self) -> u64 {
        // Acquire: pairs with `note_call`.
        self.calls.load(Ordering::Acquire) / CALL
    }

    /// Whether somebody leads: right when read after `calls`, unless it has changed since then.
    pub(crate) fn is_led(&self) -> bool {
        // Relaxed: `calls` has brought the value.
        self.led.load(Ordering::Relaxed)
    }

    /// How many followers sleep, as a hint.
    pub(crate) fn idle(&self) -> usize {
        // Relaxed: who decides by it, and has to be right, is woken after the change (`follow`).
        self.idle.load(Ordering::Relaxed)
    }

    /// Sleeps until this thread is promoted; false when it is to end. `wake` interrupts the poll of a
    /// watchdog that leads: it has a follower now.
    pub(crate) fn follow(&self, wake: impl FnOnce()) -> bool {
        let mut bench = lock(&self.bench);
        bench.idle += 1;
        self.idle.store(bench.idle, Ordering::Relaxed);
        if bench.watchdog_leads {
            wake();
        }
        while bench.promotions == 0 && bench.dismissed.is_none() {
            bench = self
                .promoted
                .wait(bench)
                .unwrap_or_else(PoisonError::into_inner);
        }
        bench.idle -= 1;
        bench.promotions = bench.promotions.saturating_sub(1);
        self.idle.store(bench.idle, Ordering::Relaxed);
        bench.dismissed.is_none()
    }

    /// Wakes a follower to lead; false when there is none. One that was woken and has not come yet will do.
    pub(crate) fn promote(&self) -> bool {
        let mut bench = lock(&self.bench);
        let (any, wake) = (bench.idle > 0, bench.idle > bench.promotions);
        bench.promotions += usize::from(wake);
        // The follower wants it first of all.
        drop(bench);
        if wake {
            self.promoted.notify_one();
        }
        any
    }

    /// Ends all threads that come back from the application, and the watchdog. The first exit code counts.
    pub(crate) fn dismiss(&self, code: i32) {
        lock(&self.bench).dismissed.get_or_insert(code);
        self.promoted.notify_all();
        self.wake_watchdog();
    }

    /// The exit code, once the threads are to end.
    pub(crate) fn dismissed(&self) -> Option<i32> {
        lock(&self.bench).dismissed
    }

    /// Called by the watchdog before anything else. A call that begins earlier is seen when it looks.
    pub(crate) fn register_watchdog(&self) {
        lock(&self.bench).watchdog = Some(current());
    }

    /// Sleeps until a call begins after the first `seen` ones. Not while nobody leads: a call lasts.
    pub(crate) fn sleep_until_call(&self, seen: u64) {
        // One operation looks and falls asleep, see `note_call`. Relaxed: the next look is at `calls`.
        let mut calls = self.calls.fetch_or(ASLEEP, Ordering::Relaxed);
        while calls / CALL == seen && self.is_led() && self.dismissed().is_none() {
            park();
            calls = self.calls.load(Ordering::Relaxed);
        }
        // Relaxed: at worst a call wakes a watchdog that is awake.
        self.calls.fetch_and(!ASLEEP, Ordering::Relaxed);
    }

    /// The watchdog leads, unless somebody does: `lead` gets the reactor and a function that says whether there
    /// is still no follower. Then promotes one.
    pub(crate) fn stand_in(&self, lead: impl FnOnce(&mut R, &dyn Fn() -> bool)) {
        // Before the first look at `idle`: a follower that comes later wakes the poll.
        lock(&self.bench).watchdog_leads = true;
        if let Some(mut reactor) = self.try_lead() {
            lead(&mut reactor, &|| self.idle() == 0);
            self.let_go(reactor, false);
        }
        lock(&self.bench).watchdog_leads = false;
        self.promote();
    }

    /// One that has not registered yet looks before it sleeps.
    fn wake_watchdog(&self) {
        let watchdog = lock(&self.bench).watchdog.clone();
        if let Some(watchdog) = watchdog {
            watchdog.unpark();
        }
    }
}
