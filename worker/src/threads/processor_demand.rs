//! How much of the processors this process wants: what it uses, and for how long its request threads were ready to run
//! and had none.

use std::fs;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use super::thread_state;

/// As it is at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ProcessorDemand {
    /// What was used since the process began.
    pub(super) used: Duration,
    /// For how long threads have been delayed. Zero on a kernel without figures of its scheduler.
    pub(super) delayed: Duration,
    /// A request thread runs or is delayed right now.
    pub(super) is_runnable: bool,
}

impl ProcessorDemand {
    pub(super) fn of(threads: impl Iterator<Item = libc::pid_t>) -> Self {
        let used = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID);
        let now = Self {
            used: used.map_or(Duration::ZERO, Duration::from),
            ..Self::default()
        };
        threads.fold(now, |sum, thread| Self {
            delayed: sum.delayed + delay(thread),
            is_runnable: sum.is_runnable || !thread_state::is_waiting(thread),
            ..sum
        })
    }

    /// All that was wanted.
    pub(super) fn time(&self) -> Duration {
        self.used + self.delayed
    }
}

/// How long a thread has waited for a processor (`/proc/PID/schedstat`, Documentation/scheduler/sched-stats.rst). Without the
/// delay that still lasts, or that a quota of the control group has caused.
fn delay(thread: libc::pid_t) -> Duration {
    let figures = fs::read_to_string(format!("/proc/self/task/{thread}/schedstat"));
    let nanos = figures.ok().and_then(|it| delay_in(&it)).unwrap_or(0);
    Duration::from_nanos(nanos)
}

/// Time on a processor, time in the queue for one, and turns.
fn delay_in(figures: &str) -> Option<u64> {
    figures.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_computes_wants_a_processor() {
        let own = || std::iter::once(nix::unistd::gettid().as_raw());
        let begun = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock");
        let computed = || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock") - begun;
        let before = ProcessorDemand::of(own());
        while Duration::from(computed()) < Duration::from_millis(50) {}
        let after = ProcessorDemand::of(own());
        assert!(after.is_runnable, "it runs");
        // Other threads of this process count, too.
        let wanted = after.time() - before.time();
        assert!(wanted >= Duration::from_millis(49), "{wanted:?}");
    }

    #[test]
    fn the_second_figure_is_the_delay() {
        assert_eq!(delay_in("331588 47000 1\n"), Some(47000));
        assert_eq!(delay_in("0"), None);
    }
}
