//! How many workers there should be, as numbers: what the settings say, and what operators and the load have made of it.

use super::plan::Plan;

/// Both survive a reload, unless a setting that they come from has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WorkerCount {
    pub(super) wanted: usize,
    /// What operators have set. Without automatic scaling it is the number that is wanted.
    pub(super) floor: usize,
}

impl WorkerCount {
    /// At the start of the server.
    pub(super) fn of(plan: &Plan) -> Self {
        Self {
            wanted: plan.workers,
            floor: plan.scaling.map_or(plan.workers, |bounds| bounds.least),
        }
    }

    /// At the start of a new master. The old one says how many workers the load needs; without automatic scaling, and
    /// for the floor, the settings count.
    pub(super) fn after_upgrade(plan: &Plan, needed: Option<usize>) -> Self {
        let count = Self::of(plan);
        match (needed, plan.scaling) {
            (Some(needed), Some(bounds)) => Self {
                wanted: needed.clamp(bounds.least, bounds.most),
                ..count
            },
            _ => count,
        }
    }

    /// After a reload; `None` if no setting that matters has changed.
    pub(super) fn after(self, before: &Plan, plan: &Plan) -> Option<Self> {
        if (before.workers, before.scaling) == (plan.workers, plan.scaling) {
            return None;
        }
        let mut count = Self::of(plan);
        if let (Some(_), Some(bounds)) = (before.scaling, plan.scaling) {
            // The load is what it was.
            let wanted = match before.workers == plan.workers {
                true => self.wanted,
                false => self.wanted.max(plan.workers),
            };
            count.wanted = wanted.clamp(bounds.least, bounds.most);
        }
        Some(count)
    }
}
