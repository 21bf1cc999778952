//! The other workers of this server, which serve the same sockets, as the scoreboard shows them.

use oxicorn_common::Scoreboard;
use oxicorn_common::clock::monotonic_millis;
use oxicorn_common::scoreboard::{Slot, ThreadStats};

use crate::shedding::{CombinedLoad, WorkerLoad};

/// A worker beats at least once per second; without a beat for this many milliseconds it is stopped or stuck.
const LONGEST_SILENCE: u64 = 3000;

#[derive(Debug)]
pub(crate) struct Siblings {
    scoreboard: Scoreboard,
    /// The slot of this worker.
    own: usize,
    /// This process shares its clients with nobody.
    alone: bool,
}

impl Siblings {
    pub(crate) fn new(scoreboard: Scoreboard, own: usize) -> Self {
        Self {
            scoreboard,
            own,
            alone: false,
        }
    }

    /// From now on there are none.
    pub(crate) fn leave(&mut self) {
        self.alone = true;
    }

    /// Whether siblings continue when this worker ends, which is not so when the whole server stops.
    pub(crate) fn go_on(&self) -> bool {
        !self.alone && !self.scoreboard.is_deserted()
    }

    /// Whether there is a sibling that continues.
    pub(crate) fn any(&self) -> bool {
        self.go_on() && self.ready().next().is_some()
    }

    /// Whether a sibling has an idle thread.
    pub(crate) fn any_idle(&self) -> bool {
        self.ready().any(|slot| has_idle_thread(&slot))
    }

    /// The clients of the sibling with fewest, among those with an idle thread.
    pub(crate) fn fewest_clients(&self) -> Option<usize> {
        let idle = self.ready().filter(has_idle_thread);
        idle.map(Slot::connections).min()
    }

    /// The most threads that have been worth it in one of them.
    pub(crate) fn proven_threads(&self) -> Option<usize> {
        self.ready().map(Slot::proven_threads).max()
    }

    /// Whether a sibling would accept a connection for which there is no room here: its event loop turns, and it has
    /// a free descriptor and fewer than `most` connections.
    pub(crate) fn any_with_room(&self, most: usize) -> bool {
        let now = monotonic_millis();
        self.ready().any(|slot| {
            let silent_for = now.saturating_sub(slot.heartbeat());
            slot.connections() < most && !slot.lacks_descriptors() && silent_for < LONGEST_SILENCE
        })
    }

    /// How busy they are together, at `now` in milliseconds of the monotonic clock. Those that do not turn do not count.
    pub(crate) fn load(&self, now: u64) -> CombinedLoad {
        let turning = self
            .ready()
            .filter(|slot| now.saturating_sub(slot.heartbeat()) < LONGEST_SILENCE);
        turning.fold(CombinedLoad::default(), |sum, slot| {
            let waiting = slot.queue_figures().waiting as usize;
            sum.with(&WorkerLoad::of(slot, waiting, now))
        })
    }

    fn ready(&self) -> impl Iterator<Item = Slot<'_>> {
        let kind = self.scoreboard.claim_of(self.own).kind();
        let claimed = self.scoreboard.claimed();
        claimed.filter_map(move |(index, claim, slot)| {
            (!self.alone && index != self.own && slot.is_ready() && claim.kind() == kind)
                .then_some(slot)
        })
    }
}

fn has_idle_thread(slot: &Slot<'_>) -> bool {
    slot.on_duty().any(ThreadStats::is_idle)
}
