//! `worker_max_age`: a worker that has served for that long is replaced.

use std::time::{Duration, Instant};

use oxicorn_common::scoreboard::RestartReason;

use super::Supervisor;
use super::child::{Child, ChildId, ChildKind};

/// When a worker with this id that is ready `now` is to be replaced: up to a tenth of `max_age` earlier, so that workers
/// which were started together are not.
pub(super) fn retirement(id: ChildId, max_age: Duration, now: Instant) -> Option<Instant> {
    if max_age.is_zero() {
        return None;
    }
    // splitmix64, which makes neighbours differ: the supervisor itself uses no chance.
    let mut bits = id.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    let thousandths = u32::try_from((bits ^ (bits >> 31)) % 1000).unwrap_or(0);
    Some(now + max_age - max_age * thousandths / 10_000)
}

impl Supervisor {
    /// A child is ready: from now on it ages, if it is a worker.
    pub(super) fn begin_aging(&mut self, id: ChildId, now: Instant) {
        let child = self.children.get_mut(&id);
        if let Some(child) = child.filter(|child| child.kind == ChildKind::Web) {
            child.retires_at = retirement(id, child.max_age, now);
        }
    }

    /// Those that are old enough ask to be replaced.
    pub(super) fn check_ages(&mut self, now: Instant) {
        for child in self.children.values_mut().filter(|child| ages(child)) {
            if child.retires_at.is_some_and(|at| at <= now) {
                child.wants_replacement = Some(RestartReason::Age);
            }
        }
    }

    /// When [`Supervisor::check_ages`] is due.
    pub(super) fn aging_deadline(&self) -> Option<Instant> {
        let aging = self.children.values().filter(|child| ages(child));
        aging.filter_map(|child| child.retires_at).min()
    }
}

fn ages(child: &Child) -> bool {
    child.kind == ChildKind::Web && child.is_ready() && child.wants_replacement.is_none()
}
