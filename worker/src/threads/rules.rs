//! Decides from counters and the clock when a thread is promoted, when the watchdog leads, and when it sleeps. It has
//! no thread of its own.
//!
//! If the leader waits for something inside the application, another thread leads from the next tick on. If it
//! computes, it gets more time: on a busy machine it may only have lost the processor, and another thread that needs
//! it would make things worse.

use std::time::{Duration, Instant};

use super::blocking_estimator::Forecast;

/// The interval between the watchdog's looks while requests run and the application has blocked lately.
const TICK: Duration = Duration::from_millis(1);
/// The same if it has not blocked: a wake-up costs as much as a request, and the costs would add up.
const CALM_TICK: Duration = Duration::from_millis(3);
/// After this many ticks without a change of leader the application counts as calm.
const TICKS_UNTIL_CALM: u32 = 1000;
/// After this many ticks without a request the watchdog sleeps until the next one.
const TICKS_UNTIL_DORMANT: u32 = 20;
/// How long the leader may compute before another thread leads.
const COMPUTES: Duration = Duration::from_millis(15);

/// The leader's action before it runs the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BeforeCall {
    Nothing,
    /// The call will take long: a follower leads meanwhile.
    Promote,
    /// No thread here will soon be free for the waiting requests: any worker may take them.
    ShareReady,
}

/// `idle` followers sleep; `others_wait` if more requests are whole.
pub(super) fn before_call(idle: usize, others_wait: bool, forecast: Forecast) -> BeforeCall {
    match idle {
        0 if others_wait && forecast.is_long() => BeforeCall::ShareReady,
        0 => BeforeCall::Nothing,
        _ if forecast.blocks(others_wait) => BeforeCall::Promote,
        _ => BeforeCall::Nothing,
    }
}

/// The state that the watchdog sees at a tick.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tick {
    pub(super) now: Instant,
    /// Calls of the application so far.
    pub(super) calls: u64,
    /// A thread turns the reactor.
    pub(super) led: bool,
    /// Followers that sleep.
    pub(super) idle: usize,
}

/// The activity since the last tick of the thread that is inside the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    Waits,
    Computes {
        /// The call takes long, by experience, while a sibling has a thread for the requests that wait here.
        elsewhere: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WatchdogAction {
    /// Until the next tick.
    Wait,
    /// Until a call begins.
    Sleep,
    /// Wake a follower, which then leads.
    Promote,
    /// Lead, because all request threads are inside the application.
    Lead,
}

/// The watchdog's state between ticks.
#[derive(Debug)]
pub(super) struct WatchdogRules {
    /// Calls so far at the last tick.
    calls: u64,
    /// Ticks in a row without a new call.
    quiet: u32,
    /// Ticks since the last change of leader.
    calm: u32,
    /// The time since which one call has blocked the worker.
    stalled_since: Option<Instant>,
    /// Requests that come while all threads are busy have to be refused soon.
    sheds: bool,
}

impl WatchdogRules {
    pub(super) fn new(calls: u64, sheds: bool) -> Self {
        Self {
            calls,
            quiet: 0,
            calm: TICKS_UNTIL_CALM,
            stalled_since: None,
            sheds,
        }
    }

    /// The time until the next tick.
    pub(super) fn pause(&self) -> Duration {
        match self.calm >= TICKS_UNTIL_CALM {
            true => CALM_TICK,
            false => TICK,
        }
    }

    /// Decides what to do now. `look` costs system calls, and is used only if one call seems to last.
    pub(super) fn tick(&mut self, tick: Tick, look: impl FnOnce() -> Caller) -> WatchdogAction {
        self.calm = self.calm.saturating_add(1);
        let is_new = std::mem::replace(&mut self.calls, tick.calls) != tick.calls;
        if is_new {
            self.quiet = 0;
            self.stalled_since = None;
            return WatchdogAction::Wait;
        }
        if tick.led {
            self.stalled_since = None;
            self.quiet += 1;
            if self.quiet <= TICKS_UNTIL_DORMANT {
                return WatchdogAction::Wait;
            }
            self.quiet = 0;
            return WatchdogAction::Sleep;
        }
        self.quiet = 0;
        let since = *self.stalled_since.get_or_insert(tick.now);
        let is_due = (self.sheds && tick.idle == 0)
            || tick.now.saturating_duration_since(since) >= COMPUTES
            || look() != Caller::Computes { elsewhere: false };
        if !is_due {
            return WatchdogAction::Wait;
        }
        self.calm = 0;
        match tick.idle {
            0 => WatchdogAction::Lead,
            _ => WatchdogAction::Promote,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPUTING: Caller = Caller::Computes { elsewhere: false };

    /// Ticks of a watchdog, a millisecond apart.
    struct Ticks {
        rules: WatchdogRules,
        tick: Tick,
    }

    impl Ticks {
        fn new() -> Self {
            Self {
                rules: WatchdogRules::new(0, false),
                tick: Tick {
                    now: Instant::now(),
                    calls: 0,
                    led: true,
                    idle: 1,
                },
            }
        }

        /// A leader has let go of the reactor to call the application.
        fn call(&mut self) {
            self.tick.calls += 1;
            self.tick.led = false;
        }

        fn next(&mut self, caller: Caller) -> WatchdogAction {
            self.tick.now += TICK;
            self.rules.tick(self.tick, || caller)
        }

        fn next_unlooked(&mut self) -> WatchdogAction {
            self.tick.now += TICK;
            self.rules.tick(self.tick, || panic!("a look costs"))
        }
    }

    #[test]
    fn a_leader_that_waits_is_relieved_at_the_second_tick() {
        let mut ticks = Ticks::new();
        ticks.call();
        assert_eq!(
            ticks.next_unlooked(),
            WatchdogAction::Wait,
            "it has just begun"
        );
        assert_eq!(ticks.next(Caller::Waits), WatchdogAction::Promote);
        ticks.tick.idle = 0;
        assert_eq!(
            ticks.next(Caller::Waits),
            WatchdogAction::Lead,
            "no follower"
        );
    }

    #[test]
    fn a_leader_that_computes_has_more_time() {
        let mut ticks = Ticks::new();
        ticks.call();
        ticks.next_unlooked();
        for _ in 0..COMPUTES.as_millis() {
            assert_eq!(ticks.next(COMPUTING), WatchdogAction::Wait);
        }
        assert_eq!(
            ticks.next_unlooked(),
            WatchdogAction::Promote,
            "its time is over"
        );
        let mut ticks = Ticks::new();
        ticks.call();
        ticks.next_unlooked();
        let elsewhere = Caller::Computes { elsewhere: true };
        assert_eq!(
            ticks.next(elsewhere),
            WatchdogAction::Promote,
            "a sibling is idle"
        );
    }

    #[test]
    fn the_time_counts_from_the_last_call_and_not_while_somebody_leads() {
        let mut ticks = Ticks::new();
        for _ in 0..5 {
            ticks.call();
            ticks.next_unlooked();
            for _ in 1..COMPUTES.as_millis() {
                assert_eq!(ticks.next(COMPUTING), WatchdogAction::Wait);
            }
        }
        ticks.tick.led = true;
        assert_eq!(ticks.next_unlooked(), WatchdogAction::Wait);
        ticks.tick.led = false;
        assert_eq!(ticks.next(COMPUTING), WatchdogAction::Wait);
    }

    #[test]
    fn a_watchdog_that_is_not_needed_sleeps() {
        let mut ticks = Ticks::new();
        for _ in 0..TICKS_UNTIL_DORMANT {
            assert_eq!(ticks.next_unlooked(), WatchdogAction::Wait);
        }
        assert_eq!(ticks.next_unlooked(), WatchdogAction::Sleep);
        assert_eq!(
            ticks.next_unlooked(),
            WatchdogAction::Wait,
            "and begins again"
        );
        for _ in 0..3 * TICKS_UNTIL_DORMANT {
            ticks.tick.calls += 1;
            assert_eq!(ticks.next_unlooked(), WatchdogAction::Wait, "requests come");
        }
    }

    #[test]
    fn it_ticks_faster_while_the_application_blocks() {
        let mut ticks = Ticks::new();
        assert_eq!(ticks.rules.pause(), CALM_TICK);
        ticks.call();
        ticks.next_unlooked();
        ticks.next(Caller::Waits);
        assert_eq!(ticks.rules.pause(), TICK);
        ticks.tick.led = true;
        for _ in 0..TICKS_UNTIL_CALM {
            assert_eq!(ticks.rules.pause(), TICK);
            ticks.next_unlooked();
        }
        assert_eq!(ticks.rules.pause(), CALM_TICK);
    }

    #[test]
    fn before_a_call_that_lasts_somebody_else_gets_the_lead_or_the_requests() {
        let short = Forecast::new(100, 0);
        let waiting = Forecast::new(200, 180);
        let middling = Forecast::new(500, 0);
        let long = Forecast::new(900, 0);
        for others_wait in [false, true] {
            assert_eq!(before_call(1, others_wait, short), BeforeCall::Nothing);
            assert_eq!(before_call(1, others_wait, waiting), BeforeCall::Promote);
            assert_eq!(before_call(1, others_wait, long), BeforeCall::Promote);
            assert_eq!(before_call(0, others_wait, waiting), BeforeCall::Nothing);
        }
        assert_eq!(before_call(1, false, middling), BeforeCall::Nothing);
        assert_eq!(before_call(1, true, middling), BeforeCall::Promote);
        assert_eq!(before_call(0, true, middling), BeforeCall::Nothing);
        assert_eq!(before_call(0, true, long), BeforeCall::ShareReady);
        assert_eq!(before_call(0, false, long), BeforeCall::Nothing);
    }
}
