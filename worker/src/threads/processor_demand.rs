//! How much of the processors this process wants: what it uses, and for how long its request threads were ready to run
//! and had none.

use std::fs;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Since the process began. On a kernel without figures of its scheduler it is only what was used.
pub(super) fn of(threads: impl Iterator<Item = libc::pid_t>) -> Duration {
    let used = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID);
    let used = used.map_or(Duration::ZERO, Duration::from);
    threads.map(delay).fold(used, Duration::saturating_add)
}

/// How long a thread has waited for a processor (`/proc/PID/schedstat`, Documentation/scheduler/sched-stats.rst).
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
    use std::time::Instant;

    use super::*;

    #[test]
    fn who_computes_wants_a_processor() {
        let own = || std::iter::once(nix::unistd::gettid().as_raw());
        let (before, begun) = (of(own()), Instant::now());
        while begun.elapsed() < Duration::from_millis(50) {
            std::hint::black_box(0);
        }
        let wanted = of(own()) - before;
        // Other threads of this process count, too.
        assert!(wanted >= Duration::from_millis(40), "{wanted:?}");
    }

    #[test]
    fn the_second_figure_is_the_delay() {
        assert_eq!(delay_in("331588 47000 1\n"), Some(47000));
        assert_eq!(delay_in("0"), None);
    }
}
