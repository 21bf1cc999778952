//! Measures the proportional set size of all children, on a thread of its own.
//!
//! The kernel walks all page tables of a process for that, which takes milliseconds for a large one: too long for a
//! request, and for more than a few times a minute. A process of another user is not measured (proc_pid_smaps(5)), nor is
//! one that has changed its user after its start.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use oxicorn_common::Scoreboard;
use oxicorn_common::status::ChildStatus;

const EVERY: Duration = Duration::from_secs(10);

/// The figures, by the age of the child: a pid may be used again.
type PssByAge = BTreeMap<u64, u64>;

/// What was measured last.
#[derive(Debug, Clone)]
pub(crate) struct MemoryMeter(Arc<Mutex<PssByAge>>);

impl MemoryMeter {
    /// Measures at once and from then on, until the process ends.
    pub(crate) fn start(scoreboard: Scoreboard) -> io::Result<Self> {
        let meter = Self(Arc::default());
        let measured = meter.clone();
        thread::Builder::new()
            .name("memory".to_owned())
            .spawn(move || {
                loop {
                    let children = scoreboard.claimed();
                    let figures = children.filter_map(|(_, claim, _)| {
                        claim.kind()?;
                        Some((claim.age(), pss_of(claim.pid())?))
                    });
                    let figures = figures.collect();
                    *measured.0.lock().unwrap_or_else(PoisonError::into_inner) = figures;
                    thread::sleep(EVERY);
                }
            })?;
        Ok(meter)
    }

    /// Completes a report.
    pub(crate) fn fill(&self, children: &mut [ChildStatus]) {
        let figures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for child in children {
            child.pss_bytes = figures.get(&child.age).copied();
        }
    }
}

fn pss_of(pid: i32) -> Option<u64> {
    if pid <= 0 {
        return None;
    }
    parse(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?)
}

fn parse(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kilobytes = line.trim().strip_suffix("kB")?.trim().parse::<u64>();
    Some(kilobytes.ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_some_memory() {
        let pss = pss_of(std::process::id().cast_signed()).expect("our own");
        assert!(pss > 50_000, "{pss}");
        assert_eq!(pss_of(0), None);
    }

    #[test]
    fn the_line_is_found() {
        let rollup = "00400000-7ffd rollup\nRss:  900 kB\nPss:       512 kB\nPss_Dirty: 4 kB\n";
        assert_eq!(parse(rollup), Some(512 * 1024));
        assert_eq!(parse("Rss: 900 kB\n"), None);
    }
}
