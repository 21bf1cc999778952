//! The watchdog: a thread that ensures that the worker has a leader while the leader is inside the application.
//! `rules` decides when; this file waits and acts.

use std::thread;
use std::time::Instant;

use super::TURN;
use super::pool::ThreadPool;
use super::rules::{Caller, Tick, WatchdogAction, WatchdogRules};
use super::thread_state;
use crate::reactor::Reactor;

/// The loop of the watchdog; returns the exit code of the process.
pub(super) fn watch(pool: &ThreadPool) -> i32 {
    let leadership = &pool.leadership;
    leadership.register_watchdog();
    let mut rules = WatchdogRules::new(leadership.calls(), pool.shared.shedding.is_some());
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
        match rules.tick(tick, || look_at_caller(pool)) {
            WatchdogAction::Wait => {}
            WatchdogAction::Sleep => leadership.sleep_until_call(tick.calls),
            WatchdogAction::Promote => drop(leadership.promote()),
            WatchdogAction::Lead => {
                leadership.stand_in(|reactor, needed| lead(pool, reactor, needed))
            }
        }
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
fn lead(pool: &ThreadPool, reactor: &mut Reactor, needed: &dyn Fn() -> bool) {
    reactor.set_now(Instant::now());
    reactor.yield_to_siblings();
    while needed() && !pool.is_over(reactor) {
        pool.take_back(reactor);
        reactor.share_requests();
        if !pool.turn(reactor, TURN, false) {
            break;
        }
    }
}
