//! The scoreboard: shared memory in which the master and every child keep the figures that others may need.
//!
//! One mapping, made by the master before it forks. It has two sides: one for each master of an upgrade.
//!
//! ```text
//!   | master's page | claims | folded | slot 0: child, event loop, thread 0 .. thread 255 | slot 1 | .. | slot 511 |
//!     `------- the master's ------'     `- each on pages of its own: a child may write to those of its own slot only
//! ```
//!
//! A claim says which child a slot belongs to. A slot belongs to one child at a time, and a thread's part of it to one
//! request thread of that child. So every counter has a single writer and needs no lock. Pages that nobody touches take
//! no memory; therefore nothing here reads the words of threads that do not exist.
//!
//! It holds counters, times, and short texts to show to people: no pointer, and no decision of the supervisor. A child
//! that writes nonsense into its slot spoils its own figures, and one that writes elsewhere crashes
//! ([`Scoreboard::confine`]). Code in a child can lift that protection, so the master acts on nothing that it
//! reads here before the child has confirmed it over its own pipe.
//!
//! All accesses are relaxed, because each figure stands for itself: nobody concludes from one word what
//! another one holds. The exceptions say so.

mod claim;
mod counters;
mod folded;
mod limits;
mod master_page;
mod response_class;
mod restart_reason;
mod server_state;
mod slot;
mod text_cell;
mod thread_stats;
mod totals;

use std::io;
use std::sync::atomic::Ordering;

use crate::clock::monotonic_millis;
use crate::shared_memory::SharedMemory;
use claim::CLAIM_WORDS;
use folded::{FOLDED_WORDS, Folded};
use limits::PAGE;

pub use claim::{Claim, Claimant, SlotKind};
pub use counters::{BUCKETS, DURATION_BOUNDS, Timed, bucket_of, bucket_upper_bound};
pub use limits::{MAX_SLOTS, MAX_THREADS};
pub use master_page::{MasterPage, ReloadRecord};
pub use restart_reason::RestartReason;
pub use server_state::ServerState;
pub use slot::{ConnectionStates, SLOT_WORDS, Slot, SlotState};
pub use thread_stats::{RequestText, RequestTimes, ResponseFigures, ThreadStats};
pub use totals::Totals;

// The first page belongs to the master; the rest of its words are those of [`MasterPage`].
/// 1 while all workers of the server drain: nobody takes over connections.
const DESERTED: usize = 0;
/// One more than the highest slot that was ever claimed.
const USED_SLOTS: usize = 1;
/// The state of [`Folded`].
const FOLD_STATE: usize = 2;

const CLAIMS: usize = PAGE;
const FOLDED: usize = CLAIMS + MAX_SLOTS * CLAIM_WORDS;
/// The words in front of the first slot.
pub const FIRST_SLOT: usize = (FOLDED + FOLDED_WORDS).next_multiple_of(PAGE);
const SIDE: usize = FIRST_SLOT + MAX_SLOTS * SLOT_WORDS;

/// The scoreboard of one server. Clones and forked copies are the same memory.
#[derive(Debug, Clone)]
pub struct Scoreboard(SharedMemory);

impl Scoreboard {
    pub fn new() -> io::Result<Self> {
        SharedMemory::new(SIDE).map(Self)
    }

    /// The master's words of the server as a whole.
    pub fn master(&self) -> MasterPage<'_> {
        MasterPage::new(self.0.first_chunk().expect("a page"))
    }

    /// The slots that have been claimed so far, whether they are free again or not, in order.
    pub fn slots(&self) -> impl Iterator<Item = Slot<'_>> {
        (0..self.used_slots()).map(|index| self.slot(index))
    }

    /// Slot `index`, which is less than [`MAX_SLOTS`].
    pub fn slot(&self, index: usize) -> Slot<'_> {
        let words = self.0[FIRST_SLOT + index * SLOT_WORDS..].first_chunk();
        let words = words.expect("an index below MAX_SLOTS");
        Slot::new(words, self.claim_of(index).threads())
    }

    /// The claim on slot `index`, which is less than [`MAX_SLOTS`].
    pub fn claim_of(&self, index: usize) -> Claim<'_> {
        let words = self.0[CLAIMS + index * CLAIM_WORDS..].first_chunk();
        Claim::new(words.expect("an index below MAX_SLOTS"))
    }

    /// All slots that are claimed, in order.
    pub fn claimed(&self) -> impl Iterator<Item = (usize, Claim<'_>, Slot<'_>)> {
        let all = (0..self.used_slots()).map(|index| (index, self.claim_of(index)));
        all.filter(|(_, claim)| claim.kind().is_some())
            .map(|(index, claim)| (index, claim, self.slot(index)))
    }

    /// Says whether all workers of the server are about to drain. To be called by the master before it tells
    /// them to: a worker that drains has to see it, therefore the ordering.
    pub fn set_deserted(&self, deserted: bool) {
        self.0[DESERTED].store(deserted.into(), Ordering::SeqCst);
    }

    /// Whether all workers drain, so that no sibling will take over a connection.
    pub fn is_deserted(&self) -> bool {
        self.0[DESERTED].load(Ordering::Acquire) != 0
    }

    /// For the master.
    pub fn set_server_state(&self, state: ServerState) {
        self.master().set_state(state);
    }

    pub fn server_state(&self) -> ServerState {
        self.master().state()
    }

    /// A worker was replaced. For the master.
    pub fn count_restart(&self, reason: RestartReason) {
        self.folded().count_restart(reason);
    }

    /// A reload is over: it has succeeded, or has failed for the reason given. For the master.
    pub fn count_reload(&self, generation: u32, failure: Option<&str>) {
        self.master().add_reload(generation, failure);
        self.folded().count_reload(failure.is_none());
    }

    /// Prepares slot `index` for a child about to be forked.
    pub fn claim(&self, index: usize, claimant: Claimant) {
        self.claim_of(index).set(claimant, monotonic_millis());
        self.slot(index).set_state(SlotState::Booting);
        self.0[USED_SLOTS].fetch_max(index as u64 + 1, Ordering::Relaxed);
    }

    /// The child that has claimed slot `index` exists.
    pub fn set_pid(&self, index: usize, pid: i32) {
        self.claim_of(index).set_pid(pid);
    }

    /// Makes everything but slot `index` read-only for this process, a child.
    pub fn confine(&self, index: usize) -> io::Result<()> {
        let start = FIRST_SLOT + index * SLOT_WORDS;
        self.0.protect_all_but(start..start + SLOT_WORDS)
    }

    /// Adds the figures of a dead child to the running totals, if it was a worker, and frees its slot, so that no total
    /// ever goes backwards. For the master, when it has reaped the child.
    pub fn fold(&self, index: usize) {
        let (claim, slot) = (self.claim_of(index), self.slot(index));
        let worker = (claim.kind() == Some(SlotKind::Worker)).then_some(slot);
        self.folded().absorb(index, worker, || {
            slot.reset();
            claim.clear();
        });
    }

    /// Everything that workers have counted since the master started, the living and the dead.
    pub fn totals(&self) -> Totals {
        self.folded().read(|released, totals| {
            let workers = self.claimed().filter(|(index, claim, _)| {
                claim.kind() == Some(SlotKind::Worker) && released != Some(*index)
            });
            for (_, _, slot) in workers {
                totals.add_child(slot);
            }
        })
    }

    /// What the child in slot `index` has counted.
    pub fn totals_of(&self, index: usize) -> Totals {
        let mut totals = Totals::default();
        totals.add_child(self.slot(index));
        totals
    }

    fn used_slots(&self) -> usize {
        (self.0[USED_SLOTS].load(Ordering::Relaxed) as usize).min(MAX_SLOTS)
    }

    fn folded(&self) -> Folded<'_> {
        let words = self.0[FOLDED..].first_chunk();
        Folded::new(&self.0[FOLD_STATE], words.expect("room for them"))
    }
}

#[cfg(test)]
mod tests;
