//! Measures the proportional set size of all children, on a thread of its own.
//!
//! That takes too long for a request, and for more than a few times a minute. A process of another user is not measured
//! (proc_pid_smaps(5)), nor is one that has changed its user after its start.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use oxicorn_common::Scoreboard;
use oxicorn_common::process_memory::pss_of;
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
