//! Collects the exit status of children that have ended, and finds out how they died.
//!
//! The master inherits orphans if it is pid 1 of a container, and as the subreaper of the processes that molds fork.
//! It reaps unknown ones silently.

use std::collections::BTreeSet;

use nix::sys::prctl;

use crate::oom::OomWatch;
use crate::supervisor::{Death, ExitKind};
use crate::{config_children, sys};

/// Reaps children, and attributes each out-of-memory kill to one death.
#[derive(Debug)]
pub(crate) struct Reaper {
    oom: OomWatch,
}

impl Reaper {
    pub(crate) fn new() -> Self {
        Self {
            oom: OomWatch::new(),
        }
    }

    /// Takes the status of each of the `known` and of the `orphans` that has ended. Never waits. Returns the deaths
    /// of the known ones.
    pub(crate) fn reap(&mut self, known: &BTreeSet<i32>, orphans: &[i32]) -> Vec<(i32, Death)> {
        let mut deaths = Vec::new();
        let unknown = orphans.iter().filter(|pid| !known.contains(pid));
        for pid in unknown.filter(|&&pid| sys::reap(pid).is_some()) {
            log::debug!("reaped foreign child {pid}");
        }
        for &pid in known {
            if let Some(kind) = sys::reap(pid) {
                let out_of_memory = is_sigkill(kind) && self.oom.take();
                let death = Death {
                    kind,
                    out_of_memory,
                };
                deaths.push((pid, death));
            }
        }
        if deaths.is_empty() {
            self.oom.skip();
        }
        deaths
    }
}

/// Children of this process that others have forked, and that have ended. The list must be made before the pipes of
/// molds are read: after that, every worker in the list is known.
pub(crate) fn ended_orphans() -> Vec<i32> {
    match std::process::id() == 1 || prctl::get_child_subreaper().unwrap_or(false) {
        true => config_children::ended_others(),
        false => Vec::new(),
    }
}

fn is_sigkill(kind: ExitKind) -> bool {
    matches!(kind, ExitKind::Signalled { signal, .. } if signal == libc::SIGKILL)
}
