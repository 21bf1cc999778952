//! Judges whether more threads have made a worker faster: the rates at which it has run requests before and after, while
//! others waited all the time.
//!
//! Threads that wait for each other, for a lock or for a pool of connections, look like threads that wait for a database,
//! but more of them serve nobody better. So after a doubling each further step has to be earned: the gain so far must be a
//! quarter of that of threads that do not get in each other's way. A few long calls among short ones hold threads, too, and
//! make the rate uncertain: no step is in vain before they could end.

use std::time::{Duration, Instant};

use super::thread_level::ThreadLevel;

/// Calls that are enough for a rate, or a time after which few of them have to be enough.
const FEW: f64 = 8.0;
const LONGEST_STEP: Duration = Duration::from_secs(1);
const FEWEST: f64 = 2.0;
/// Calls that are enough to say that there is a gain, and calls or a time to say that there is none.
const SOME: f64 = 16.0;
const MANY: f64 = 48.0;
const LONGEST_DOUBT: Duration = Duration::from_secs(5);
/// The part of the possible gain that is asked for.
const LEAST_GAIN: f64 = 0.25;
/// What was measured longer ago counts less and less.
const MEMORY: Duration = Duration::from_secs(10);
/// Without another step for so long, the next one begins from what is measured then.
const STALE: Duration = Duration::from_secs(10);
/// After steps in vain there is none for this time, which doubles up to the longest.
const PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(320);
/// Rates between this and its inverse may be those of the same load.
const SAME: f64 = 0.75;

/// What is known of the present number of threads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum GainVerdict {
    /// Another step may be made.
    Go,
    /// Not yet.
    Wait,
    /// So many threads would serve as many requests.
    Vain { needed: usize },
}

#[derive(Debug)]
pub(super) struct ThreadGain {
    level: ThreadLevel,
    /// The number that has been worth it: where the judged steps have led to. Another worker may begin with it, so steps of
    /// unknown worth do not count: they would add up from worker to worker.
    proven: usize,
    /// Where the steps began, if its rate is known.
    base: Option<ThreadLevel>,
    stepped_at: Option<Instant>,
    pause: Option<GrowthPause>,
    next_pause: Duration,
}

/// There are no steps now, because the last ones were in vain: as long as the threads that are left do what they did then.
#[derive(Debug)]
struct GrowthPause {
    until: Instant,
    /// Calls per second when that was found.
    rate: f64,
    /// What has been done lately.
    level: ThreadLevel,
}

impl ThreadGain {
    pub(super) fn new(threads: usize) -> Self {
        Self {
            level: ThreadLevel::of(threads),
            proven: threads,
            base: None,
            stepped_at: None,
            pause: None,
            next_pause: PAUSE,
        }
    }

    /// In `time`, throughout which requests waited, so many calls have ended.
    pub(super) fn note(&mut self, time: Duration, calls: u64) {
        self.level.note(time, calls, MEMORY);
        if let Some(pause) = &mut self.pause {
            pause.level.note(time, calls, pause.time_for(4.0 * MANY));
        }
    }

    /// The oldest call that has not ended is so old.
    pub(super) fn note_age(&mut self, age: Duration) {
        self.level.note_age(age);
    }

    /// The number with which another worker may begin.
    pub(super) fn proven(&self) -> usize {
        self.proven
    }

    pub(super) fn verdict(&self, now: Instant) -> GainVerdict {
        let level = &self.level;
        if self.pause.as_ref().is_some_and(|pause| !pause.is_over(now)) {
            return GainVerdict::Wait;
        }
        let Some(base) = self.base_of_judged(now) else {
            let is_first = self.stepped_at.is_none() || self.is_stale(now);
            return match is_first || level.calls >= FEW || level.time >= LONGEST_STEP {
                true => GainVerdict::Go,
                false => GainVerdict::Wait,
            };
        };
        let gain = level.rate() / base.rate();
        let possible = level.threads as f64 / base.threads as f64;
        let is_gain = gain >= 1.0 + (possible - 1.0) * LEAST_GAIN;
        if level.calls >= SOME && is_gain {
            return GainVerdict::Go;
        }
        if level.calls < MANY && level.time < LONGEST_DOUBT {
            return GainVerdict::Wait;
        }
        match level.is_sure() {
            true => GainVerdict::Vain {
                needed: level.needed(&base),
            },
            false => GainVerdict::Go,
        }
    }

    /// From now on there are more `threads`.
    pub(super) fn step(&mut self, threads: usize, now: Instant) {
        if let Some(base) = self.base_of_judged(now) {
            self.proven = self.level.needed(&base);
        }
        if self.base.is_none() || self.is_stale(now) || self.level.is_held() {
            let least = if self.level.time < LONGEST_STEP {
                FEW
            } else {
                FEWEST
            };
            self.base = (self.level.calls >= least).then_some(self.level);
        }
        self.pause = None;
        self.stepped_at = Some(now);
        self.level = ThreadLevel::of(threads);
    }

    /// From now on there are fewer, because more were in vain.
    pub(super) fn step_back(&mut self, threads: usize, now: Instant) {
        self.pause = Some(GrowthPause {
            until: now + self.next_pause,
            rate: self.level.rate(),
            level: ThreadLevel::of(threads),
        });
        self.next_pause = (self.next_pause * 2).min(LONGEST_PAUSE);
        self.base = None;
        (self.level, self.proven) = (ThreadLevel::of(threads), threads);
    }

    /// From now on there are fewer, because the others were not needed. `is_least` if that is where it all begins.
    pub(super) fn settle(&mut self, threads: usize, is_least: bool) {
        self.base = None;
        (self.level, self.proven) = (ThreadLevel::of(threads), threads);
        if is_least {
            self.next_pause = PAUSE;
        }
    }

    /// Where the steps began, if the present number is so far from it that it is judged.
    fn base_of_judged(&self, now: Instant) -> Option<ThreadLevel> {
        let is_comparable = !self.is_stale(now) && !self.level.is_held();
        let base = self.base.filter(|_| is_comparable)?;
        (self.level.threads >= 2 * base.threads).then_some(base)
    }

    fn is_stale(&self, now: Instant) -> bool {
        let since = |at| now.saturating_duration_since(at);
        self.stepped_at.is_some_and(|at| since(at) >= STALE)
    }
}

impl GrowthPause {
    /// Also when the threads do much less or more than they did: the requests are others, or some threads are held.
    fn is_over(&self, now: Instant) -> bool {
        let is_known = self.level.time >= self.time_for(2.0 * MANY);
        let ratio = self.level.rate() / self.rate;
        now >= self.until || (is_known && !(SAME..1.0 / SAME).contains(&ratio))
    }

    /// The time in which so many calls were to be expected.
    fn time_for(&self, calls: f64) -> Duration {
        Duration::try_from_secs_f64(calls / self.rate).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Threads that serve requests of `service` seconds each, of which at most `room` at a time.
    fn run(gain: &mut ThreadGain, now: &mut Instant, service: f64, room: usize) -> GainVerdict {
        let mut rest = 0.0;
        // As many looks as two windows have.
        for looks in 1.. {
            let time = Duration::from_millis(10);
            *now += time;
            rest += time.as_secs_f64() * gain.level.threads.min(room) as f64 / service;
            let calls = rest as u64;
            rest -= calls as f64;
            gain.note(time, calls);
            match gain.verdict(*now) {
                GainVerdict::Wait => {}
                verdict if looks >= 20 => return verdict,
                _ => {}
            }
        }
        unreachable!("it ends with a verdict")
    }

    fn grow(gain: &mut ThreadGain, now: &mut Instant, service: f64, room: usize) -> usize {
        loop {
            let threads = gain.level.threads;
            match run(gain, now, service, room) {
                GainVerdict::Go if threads >= 64 => return threads,
                GainVerdict::Go => gain.step(threads + (threads / 2).max(1), *now),
                GainVerdict::Vain { needed } => return needed,
                GainVerdict::Wait => unreachable!("it ends with another one"),
            }
        }
    }

    #[test]
    fn threads_that_do_not_get_in_each_others_way_earn_all_steps() {
        for service in [0.005, 0.05, 0.5, 5.0] {
            let (mut gain, begun) = (ThreadGain::new(2), Instant::now());
            let mut now = begun;
            assert!(grow(&mut gain, &mut now, service, usize::MAX) >= 64);
            assert!(now - begun < Duration::from_secs(15), "{:?}", now - begun);
        }
    }

    #[test]
    fn a_lock_or_a_pool_ends_the_steps_where_it_is_full() {
        for (room, most) in [(1, 3), (2, 3), (8, 9), (20, 22)] {
            for service in [0.01, 0.1] {
                let (mut gain, mut now) = (ThreadGain::new(2), Instant::now());
                let needed = grow(&mut gain, &mut now, service, room);
                let proven = gain.proven();
                assert!(proven <= needed, "{room}, {service}: {proven}");
                assert!(
                    (room.max(2)..=most).contains(&needed),
                    "{room}, {service}: {needed}"
                );
            }
        }
    }

    #[test]
    fn steps_that_nobody_has_judged_do_not_add_up_from_worker_to_worker() {
        let mut threads = 2;
        for _ in 0..10 {
            let (mut gain, mut now) = (ThreadGain::new(threads), Instant::now());
            // It ends before a verdict: its requests take too long.
            for serving in [3, 4, 6] {
                assert_eq!(run(&mut gain, &mut now, 0.1, 1), GainVerdict::Go);
                gain.step(serving, now);
            }
            threads = gain.proven();
        }
        assert_eq!(threads, 2);
    }

    #[test]
    fn a_pause_after_steps_in_vain_becomes_longer() {
        let (mut gain, mut now) = (ThreadGain::new(2), Instant::now());
        for pause in [10, 20, 40, 80, 160, 320, 320] {
            gain.step_back(2, now);
            gain.note(LONGEST_STEP, 100);
            let almost = now + Duration::from_secs(pause) - Duration::from_millis(1);
            assert_eq!(gain.verdict(almost), GainVerdict::Wait);
            now += Duration::from_secs(pause);
            assert_eq!(gain.verdict(now), GainVerdict::Go);
        }
        gain.settle(2, true);
        gain.step_back(2, now);
        gain.note(LONGEST_STEP, 100);
        assert_eq!(gain.verdict(now + PAUSE), GainVerdict::Go);
    }

    #[test]
    fn the_pause_is_over_when_the_threads_do_much_less_than_before() {
        let tick = Duration::from_millis(10);
        let vain = |before: u64| {
            let (mut gain, now) = (ThreadGain::new(4), Instant::now());
            gain.note(LONGEST_DOUBT, 5 * before);
            gain.step_back(2, now);
            (gain, now)
        };
        for rate in [10, 50, 100] {
            let (mut gain, now) = vain(rate);
            let tenth = Duration::from_millis(100);
            // The lock is as busy as before, for longer than that is remembered.
            for _ in 0..95 {
                gain.note(tenth, rate / 10);
                assert_eq!(gain.verdict(now), GainVerdict::Wait);
            }
            // Then both threads are held.
            let ticks = (1..20_000).find(|_| {
                gain.note(tick, 0);
                gain.verdict(now) == GainVerdict::Go
            });
            let most = 4.0 * MANY / rate as f64;
            assert!(
                ticks.is_some_and(|it| it as f64 * tick.as_secs_f64() < most),
                "{ticks:?}"
            );
        }
    }

    #[test]
    fn threads_that_are_all_held_are_no_reason_to_have_fewer() {
        let (mut gain, mut now) = (ThreadGain::new(2), Instant::now());
        assert_eq!(run(&mut gain, &mut now, 0.01, 99), GainVerdict::Go);
        for serving in [3, 4, 6, 9, 13] {
            gain.step(serving, now);
            now += LONGEST_STEP;
            gain.note(LONGEST_STEP, 0);
            assert_eq!(gain.verdict(now), GainVerdict::Go, "{serving}");
        }
        assert_eq!(gain.proven(), 2);
    }

    #[test]
    fn an_old_rate_is_no_measure_for_other_requests() {
        let (mut gain, mut now) = (ThreadGain::new(2), Instant::now());
        assert_eq!(run(&mut gain, &mut now, 0.001, 99), GainVerdict::Go);
        gain.step(4, now);
        now += STALE;
        // Slower ones have come meanwhile, and have their own.
        assert_eq!(run(&mut gain, &mut now, 0.1, 99), GainVerdict::Go);
        gain.step(8, now);
        assert_eq!(run(&mut gain, &mut now, 0.1, 99), GainVerdict::Go);
    }
}
