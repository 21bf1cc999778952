//! Processor time and memory of a process, as proc_pid_stat(5) tells quickly.

use crate::sys;

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct ProcessUsage {
    /// Of all its threads, the ended ones included.
    pub(super) cpu_seconds: f64,
    pub(super) rss_bytes: u64,
}

impl ProcessUsage {
    /// `None` if there is no such process, or it may not be seen (`hidepid`).
    pub(super) fn of(pid: i32) -> Option<Self> {
        if pid <= 0 {
            return None;
        }
        Self::parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(stat: &str) -> Option<Self> {
        // The name of the process is in parentheses, and may have some itself.
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        // Fields are counted from 1, and the one behind the name is the third.
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        let (user, system, pages) = (number(14)?, number(15)?, number(24)?);
        Some(Self {
            cpu_seconds: user.saturating_add(system) as f64 / sys::clock_ticks() as f64,
            rss_bytes: pages.saturating_mul(sys::page_size()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_used_something_and_none_has_used_nothing() {
        let pid = std::process::id().cast_signed();
        let usage = ProcessUsage::of(pid).expect("this process");
        assert!(usage.rss_bytes > 100_000 && usage.cpu_seconds >= 0.0);
        assert!(ProcessUsage::of(0).is_none() && ProcessUsage::of(-1).is_none());
    }

    #[test]
    fn a_name_with_parentheses_confuses_nobody() {
        let stat = "7 (a) 1 (b)) S 1 7 7 0 -1 4194560 9 0 0 0 250 50 0 0 20 0 1 0 5 9 3 1 1";
        let usage = ProcessUsage::parse(stat).expect("a line");
        assert_eq!(usage.cpu_seconds, 300.0 / sys::clock_ticks() as f64);
        assert_eq!(usage.rss_bytes, 3 * sys::page_size());
        assert!(ProcessUsage::parse("7 (a) S 1").is_none());
    }
}
