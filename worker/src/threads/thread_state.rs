//! Reads from /proc whether another thread of this process is blocked or runnable (proc_pid_stat(5)).

use std::fs;

/// False while the thread runs or waits for a processor. If the kernel does not report it, true.
pub(crate) fn is_waiting(thread: libc::pid_t) -> bool {
    let stat = fs::read_to_string(format!("/proc/self/task/{thread}/stat"));
    stat.ok().and_then(|stat| state(&stat)) != Some('R')
}

/// The state follows the name, which is in parentheses and may contain parentheses itself.
fn state(stat: &str) -> Option<char> {
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.chars().next()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn who_runs_does_not_wait_and_who_waits_does() {
        assert!(!is_waiting(nix::unistd::gettid().as_raw()));
        let (tell, told) = channel();
        let (end, ended) = channel::<()>();
        let other = std::thread::spawn(move || {
            tell.send(nix::unistd::gettid().as_raw())
                .expect("the test waits");
            ended.recv().expect_err("nothing is sent");
        });
        let thread = told.recv().expect("a thread");
        let deadline = Instant::now() + Duration::from_secs(5);
        while !is_waiting(thread) {
            assert!(Instant::now() < deadline, "it waits for the channel");
        }
        drop(end);
        other.join().expect("no panic");
        assert_eq!(state("1 (a) b) R 2"), Some('R'));
    }
}
