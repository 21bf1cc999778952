//! [`WarmMold`]: whether the serving generation has a mold that was a worker.

use super::child::ChildId;

/// A mold whose workers fail to boot this often in a row is given up.
const MOST_FAILURES: u32 = 2;
/// No other mold is made after this many have died.
const MOST_DEATHS: u32 = 3;

/// Of one generation: another one begins anew.
#[derive(Debug, Default)]
pub(super) struct WarmMold {
    generation: u32,
    state: MoldState,
    /// Children from this one on are forked from it.
    first: ChildId,
    failures: u32,
    deaths: u32,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum MoldState {
    #[default]
    Missing,
    There,
    /// None is wanted any more.
    Refused,
}

impl WarmMold {
    /// Of `generation`, which may be another one than before.
    pub(super) fn of(&mut self, generation: u32) -> &mut Self {
        if self.generation != generation {
            *self = Self {
                generation,
                ..Self::default()
            };
        }
        self
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.state == MoldState::Missing
    }

    /// A worker has become it; the next child will be `first`.
    pub(super) fn begin(&mut self, first: ChildId) {
        (self.state, self.first, self.failures) = (MoldState::There, first, 0);
    }

    pub(super) fn refuse(&mut self) {
        self.state = MoldState::Refused;
    }

    /// It has ended. Returns whether another may follow.
    pub(super) fn end(&mut self) -> bool {
        self.deaths += 1;
        if self.state == MoldState::There {
            self.state = match self.deaths < MOST_DEATHS {
                true => MoldState::Missing,
                false => MoldState::Refused,
            };
        }
        self.is_wanted()
    }

    /// A worker has ended: it has failed to boot, or has lived. Returns whether the mold is of no use.
    pub(super) fn note_end(&mut self, id: ChildId, failed: bool) -> bool {
        if self.state != MoldState::There || id < self.first {
            return false;
        }
        self.failures = if failed { self.failures + 1 } else { 0 };
        self.failures >= MOST_FAILURES
    }
}
