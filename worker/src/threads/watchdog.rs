//! The watchdog: a thread that ensures that the worker has a leader while the leader is inside the application, and
//! enough threads. `rules` and `thread_scaler` decide; this file waits and acts.

use std::thread;
use std::time::{Duration, Instant};

use log::info;

use super::TURN;
use super::pool::ThreadPool;
use super::processor_demand::ProcessorDemand;
use super::rules::{Caller, Tick, WatchdogAction, WatchdogRules};
use super::thread_scaler::{LoadLook, ThreadScaler};
use super::thread_state;
use crate::in_flight::InFlight;
use crate::reactor::Reactor;

/// The longest turn while requests wait that further threads may serve.
const WATCHFUL_TURN: Duration = Duration::from_millis(10);
/// The longest sleep of an idle worker whose threads have to go back to the reserve.
const COOLING_NAP: Duration = Duration::from_secs(1);

/// The loop of the watchdog; returns the exit code of the process.
pub(super) fn watch(pool: &ThreadPool) -> i32 {
    let leadership = &pool.leadership;
    leadership.register_watchdog();
    let mut rules = WatchdogRules::new(leadership.calls(), pool.shared.shedding.is_some());
    let mut scaler = scaler_for(pool);
    loop {
        if let Some(code) = leadership.dismissed() {
            return code;
        }
        thread::park_timeout(rules.pause());
        let tick = Tick {
            // In this order: see `is_led`.
            calls: leadership.calls(),
            led: leadership.is_led(),
            idle: leadership.idle(),
            now: Instant::now(),
        };
        if let Some(scaler) = &mut scaler {
            scale(pool, scaler, tick.now, tick.led);
        }
        match rules.tick(tick, || look_at_caller(pool)) {
            WatchdogAction::Wait => {}
            WatchdogAction::Sleep => {
                let is_extended = scaler.as_ref().is_some_and(ThreadScaler::is_extended);
                leadership.sleep_until_call(tick.calls, is_extended.then_some(COOLING_NAP));
            }
            WatchdogAction::Promote => drop(leadership.promote()),
            WatchdogAction::Lead => {
                leadership.stand_in(|reactor, needed| lead(pool, reactor, needed, &mut scaler))
            }
        }
    }
}

/// `None` if the number of threads is fixed.
fn scaler_for(pool: &ThreadPool) -> Option<ThreadScaler> {
    let settings = &pool.shared.settings;
    let (least, most) = (settings.threads, settings.most_threads());
    let parallel = match pool.shared.app.is_parallel() {
        true => thread::available_parallelism().map_or(1, usize::from),
        false => 1,
    };
    (most > least).then(|| {
        let serving = pool.first_serving();
        ThreadScaler::new((least, most), serving, parallel, Instant::now())
    })
}

/// Lets more threads serve, or fewer, if it is time. A request thread may be `leading`.
fn scale(pool: &ThreadPool, scaler: &mut ThreadScaler, now: Instant, leading: bool) {
    let total = pool.shared.in_flight.len();
    let serving = pool.leadership.serving();
    let threads = &pool.shared.in_flight[..serving];
    let look = LoadLook {
        now,
        waiting: pool.leadership.idle() == 0 && pool.has_waiting(),
        refused: pool.shared.refused(),
        calls: pool.leadership.calls(),
        busy: total.saturating_sub(pool.leadership.sleeping() + usize::from(leading)),
        oldest: match scaler.is_watching() {
            true => threads
                .iter()
                .filter_map(|it| it.age(now))
                .max()
                .unwrap_or_default(),
            false => Duration::ZERO,
        },
    };
    let threads = || threads.iter().filter_map(InFlight::thread);
    if let Some(change) = scaler.look(look, || ProcessorDemand::of(threads())) {
        info!("{}", change.line(total));
        pool.set_serving(change.serving(), scaler.proven());
    }
}

/// The activity of the thread on which the last call began.
fn look_at_caller(pool: &ThreadPool) -> Caller {
    let in_flight = pool.shared.in_flight.get(pool.last_thread());
    let thread = in_flight.and_then(|it| it.thread());
    if thread.is_none_or(thread_state::is_waiting) {
        return Caller::Waits;
    }
    Caller::Computes {
        elsewhere: pool.is_last_long() && pool.shared.siblings.any_idle(),
    }
}

/// Turns the reactor while all request threads are inside the application: accepts, reads, sends, keeps deadlines.
/// Whole requests wait for the first free thread of any worker.
fn lead(
    pool: &ThreadPool,
    reactor: &mut Reactor,
    needed: &dyn Fn() -> bool,
    scaler: &mut Option<ThreadScaler>,
) {
    reactor.set_now(Instant::now());
    reactor.yield_to_siblings();
    while needed() && !pool.is_over(reactor) {
        pool.take_back(reactor);
        reactor.share_requests();
        let mut longest = TURN;
        if let Some(scaler) = scaler {
            scale(pool, scaler, reactor.now(), false);
            if scaler.is_watching() {
                longest = WATCHFUL_TURN;
            }
        }
        if !pool.turn(reactor, longest, false) {
            break;
        }
    }
}
