//! Reads the load from the scoreboard.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use oxicorn_common::scoreboard::{SlotKind, SlotLoad};

use super::load_sample::LoadSample;
use crate::child_context::SharedResources;

#[derive(Debug, Default)]
pub(super) struct LoadMeter {
    /// What each worker had counted by the last sample, by its age. One that has ended takes along what came after it.
    before: BTreeMap<u64, SlotLoad>,
    last: Option<Instant>,
}

impl LoadMeter {
    pub(super) fn sample(&mut self, shared: &SharedResources, now: Instant) -> LoadSample {
        let mut sample = LoadSample {
            at: now,
            lasted: self
                .last
                .map_or(Duration::ZERO, |last| now.saturating_duration_since(last)),
            workers: 0,
            threads: 0,
            reserve: 0,
            busy: 0,
            queued: usize::try_from(shared.handoff.queued()).unwrap_or(usize::MAX),
            responses: 0,
            waited: Duration::ZERO,
        };
        let mut loads = BTreeMap::new();
        for (_, claim, slot) in shared.scoreboard.claimed() {
            if claim.kind() != Some(SlotKind::Worker) || !slot.is_ready() {
                continue;
            }
            let load = SlotLoad::read(slot);
            sample.workers += 1;
            sample.threads += load.threads;
            sample.reserve += load.reserve;
            sample.busy += load.busy;
            sample.queued = sample.queued.saturating_add(load.queued);
            let before = self.before.get(&claim.age()).copied().unwrap_or_default();
            sample.responses += load.responses.saturating_sub(before.responses);
            sample.waited +=
                Duration::from_micros(load.waited_micros.saturating_sub(before.waited_micros));
            loads.insert(claim.age(), load);
        }
        (self.before, self.last) = (loads, Some(now));
        sample
    }

    /// What comes next is compared with nothing.
    pub(super) fn restart(&mut self) {
        *self = Self::default();
    }
}
