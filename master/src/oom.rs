//! Detects kills by the kernel's out-of-memory killer, from the `oom_kill` counter of the memory cgroup.
//!
//! A process that was killed for lack of memory looks like one that was sent SIGKILL. The kernel counts before it
//! kills, so a counter that has grown by the time of the reaping tells them apart. Without a cgroup the counter of
//! the whole machine is used.

use std::fs;
use std::path::{Path, PathBuf};

use oxicorn_common::cgroup;

#[derive(Debug)]
pub(crate) struct OomWatch {
    counter: Option<PathBuf>,
    /// The kills that were attributed to a death, or happened before the start.
    seen: u64,
}

impl OomWatch {
    pub(crate) fn new() -> Self {
        let counter = cgroup::files("memory", "memory.events", "memory.oom_control")
            .into_iter()
            .chain([PathBuf::from("/proc/vmstat")])
            .find(|path| read_counter(path).is_some());
        let seen = counter.as_deref().and_then(read_counter).unwrap_or(0);
        Self { counter, seen }
    }

    /// Whether there was a kill that no earlier call has reported.
    pub(crate) fn take(&mut self) -> bool {
        let count = self.counter.as_deref().and_then(read_counter);
        let grown = count.is_some_and(|count| count > self.seen);
        self.seen += u64::from(grown);
        grown
    }

    /// Forgets kills of other processes.
    pub(crate) fn skip(&mut self) {
        if let Some(count) = self.counter.as_deref().and_then(read_counter) {
            self.seen = count;
        }
    }
}

fn read_counter(path: &Path) -> Option<u64> {
    parse_counter(&fs::read_to_string(path).ok()?)
}

fn parse_counter(text: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_is_read_from_each_format() {
        assert_eq!(parse_counter("low 0\noom 1\noom_kill 3\n"), Some(3));
        assert_eq!(
            parse_counter("oom_kill_disable 0\nunder_oom 0\noom_kill 0\n"),
            Some(0)
        );
        assert_eq!(parse_counter("oom_kill_disable 0\n"), None);
    }

    #[test]
    fn each_kill_explains_one_death() {
        let directory = std::env::temp_dir().join(format!("oxicorn-oom-{}", std::process::id()));
        fs::write(&directory, "oom_kill 2\n").expect("a file");
        let mut watch = OomWatch {
            counter: Some(directory.clone()),
            seen: 0,
        };
        assert!(watch.take() && watch.take() && !watch.take());
        fs::write(&directory, "oom_kill 5\n").expect("a file");
        watch.skip();
        assert!(!watch.take());
        fs::remove_file(&directory).expect("removed");
    }
}
