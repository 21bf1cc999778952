//! The scoreboard: shared memory in which the master and every child keep the figures that others may need.
//!
//! One mapping, made by the master before it forks. It has two sides, because two masters share it during an upgrade:
//! each writes to its own, and what was counted is the sum of both, whoever adds it up, and whichever of the two ends
//! first, in whatever way.
//!
//! ```text
//!   | side 0: master's page | claims | folded | slot 0: child, event loop, threads | slot 1 | .. | slot 511 | side 1 |
//!             `------ the master's ---------'   `- each on pages of its own: a child may write to those of its own
//!                                                  slot only
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
mod refusal_reason;
mod response_class;
mod restart_reason;
mod scaling_cause;
mod scaling_page;
mod server_state;
mod side;
mod slot;
mod slot_load;
mod text_cell;
mod thread_stats;
mod totals;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{Ordering, fence};
use std::thread;

use nix::errno::Errno;

use crate::clock::monotonic_millis;
use crate::shared_memory::SharedMemory;
use folded::Released;
use side::{BoardSide, DESERTED, SIDE_WORDS};

pub use claim::{Claim, Claimant, SlotKind};
pub use counters::{BUCKETS, DURATION_BOUNDS, Timed, bucket_of, bucket_upper_bound};
pub use limits::{MAX_SLOTS, MAX_THREADS};
pub use master_page::{MasterPage, ReloadRecord};
pub use refusal_reason::RefusalReason;
pub use restart_reason::RestartReason;
pub use scaling_cause::ScalingCause;
pub use scaling_page::{ScalingPage, ScalingRecord};
pub use server_state::ServerState;
pub use side::FIRST_SLOT;
pub use slot::{ConnectionStates, QueueFigures, SLOT_WORDS, Slot, SlotState};
pub use slot_load::SlotLoad;
pub use thread_stats::{RequestText, RequestTimes, ResponseFigures, ThreadStats};
pub use totals::Totals;

/// Masters that may share the memory.
const SIDES: usize = 2;

/// How often a reader begins again. Children would have to die faster than figures can be added up.
const ATTEMPTS: usize = 1000;

/// The scoreboard of one server. Clones and forked copies are the same memory.
#[derive(Clone)]
pub struct Scoreboard {
    memory: SharedMemory,
    /// Of this master and its children.
    side: usize,
}

impl Scoreboard {
    /// One that no other master shares.
    pub fn new() -> io::Result<Self> {
        Ok(Self::of(SharedMemory::new(SIDES * SIDE_WORDS)?, 0))
    }

    /// A new one for a master, and the descriptor by which the next one inherits it, if there can be one.
    pub fn inheritable() -> io::Result<(Self, Option<OwnedFd>)> {
        let (memory, file) = SharedMemory::inheritable(SIDES * SIDE_WORDS)?;
        let board = Self::of(memory, 0);
        board.own().master().set_layout();
        Ok((board, file))
    }

    /// That of the master that has started this one, which has said that `side` is free. Fails if the other program has
    /// laid it out in another way.
    pub fn inherited(file: impl AsFd, side: usize) -> io::Result<Self> {
        let board = Self::of(SharedMemory::inherited(file, SIDES * SIDE_WORDS)?, side);
        if side >= SIDES || !board.other().master().has_this_layout() {
            return Err(Errno::EINVAL.into());
        }
        board.own().master().set_layout();
        Ok(board)
    }

    fn of(memory: SharedMemory, side: usize) -> Self {
        // Megabytes of figures help nobody who looks for the cause of a crash.
        memory.leave_out_of_core_files();
        Self { memory, side }
    }

    /// The side that a new master gets.
    pub fn next_side(&self) -> usize {
        1 - self.side
    }

    /// The master's words of the server as a whole.
    pub fn master(&self) -> MasterPage<'_> {
        self.own().master()
    }

    /// Slot `index`, which is less than [`MAX_SLOTS`].
    pub fn slot(&self, index: usize) -> Slot<'_> {
        self.own().slot(index)
    }

    /// The same, of a child that is known to have that many request threads.
    pub fn slot_of(&self, index: usize, threads: usize) -> Slot<'_> {
        let start = self.side * SIDE_WORDS + FIRST_SLOT + index * SLOT_WORDS;
        let words = self.memory[start..].first_chunk();
        Slot::new(words.expect("an index below MAX_SLOTS"), threads)
    }

    /// The claim on slot `index`, which is less than [`MAX_SLOTS`].
    pub fn claim_of(&self, index: usize) -> Claim<'_> {
        self.own().claim_of(index)
    }

    /// All slots that are claimed, in order.
    pub fn claimed(&self) -> impl Iterator<Item = (usize, Claim<'_>, Slot<'_>)> {
        self.own().claimed()
    }

    /// Says whether all workers of the server are about to drain. To be called by the master before it tells
    /// them to: a worker that drains has to see it, therefore the ordering.
    pub fn set_deserted(&self, deserted: bool) {
        let word = self.own().word(DESERTED);
        word.store(deserted.into(), Ordering::SeqCst);
    }

    /// Whether all workers drain, so that no sibling will take over a connection.
    pub fn is_deserted(&self) -> bool {
        self.own().word(DESERTED).load(Ordering::Acquire) != 0
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
        self.own().folded().count_restart(reason);
    }

    /// A reload is over: it has succeeded, or has failed for the reason given. For the master.
    pub fn count_reload(&self, generation: u32, failure: Option<&str>) {
        self.master().add_reload(generation, failure);
        self.own().folded().count_reload(failure.is_none());
    }

    /// Automatic scaling has decided on another number of workers, or was refused one. For the master.
    pub fn count_scaling(&self, cause: ScalingCause, from: usize, to: usize) {
        self.master().scaling().set_last(cause, from, to);
        self.own().folded().count_scaling(cause);
    }

    /// Prepares slot `index` for a child about to be forked.
    pub fn claim(&self, index: usize, claimant: Claimant) {
        let side = self.own();
        let slot = side.slot_of(index, claimant.threads);
        // The last child of a master that was killed may have written after its figures were folded.
        slot.reset();
        slot.set_state(SlotState::Booting);
        side.claim_of(index).set(claimant, monotonic_millis());
        side.note_used(index);
    }

    /// The child that has claimed slot `index` exists.
    pub fn set_pid(&self, index: usize, pid: i32) {
        self.claim_of(index).set_pid(pid);
    }

    /// The child of slot `index` is to become a mold. For the master, before it tells the child to drain.
    pub fn choose_mold(&self, index: usize) {
        self.claim_of(index).choose_mold();
        // A child that is told by a signal has to see it.
        fence(Ordering::SeqCst);
    }

    /// Makes everything but slot `index` read-only for this process, a child.
    pub fn confine(&self, index: usize) -> io::Result<()> {
        let start = self.side * SIDE_WORDS + FIRST_SLOT + index * SLOT_WORDS;
        self.memory.protect_all_but(start..start + SLOT_WORDS)
    }

    /// Adds the figures of a dead child to the running totals, if it was a worker, and frees its slot, so that no total
    /// ever goes backwards. For the master, when it has reaped the child.
    pub fn fold(&self, index: usize) {
        let (claim, slot) = (self.claim_of(index), self.slot(index));
        let mut dead = Totals::default();
        if claim.kind() == Some(SlotKind::Worker) {
            dead.add_child(slot);
        }
        let folded = self.own().folded();
        folded.absorb(Released::Slot(index), &dead, || {
            slot.reset();
            claim.clear();
        });
    }

    /// Adds all figures of the other master, which is gone with all of its children, so that its side is free for a new
    /// one. For the master.
    pub fn fold_other_side(&self) {
        let other = self.other();
        let state = other.folded().state();
        let mut dead = other.folded().sums(state);
        let released = match state.released() {
            Released::Slot(index) => Some(index),
            _ => None,
        };
        other.add_workers(released, &mut dead);
        let folded = self.own().folded();
        folded.absorb(Released::OtherSide, &dead, || other.reset());
    }

    /// Everything that workers have counted since the first master started, the living and the dead.
    pub fn totals(&self) -> Totals {
        self.totals_and_children().0
    }

    /// The same, and what each child of this master has counted, by its slot.
    pub fn totals_and_children(&self) -> (Totals, BTreeMap<usize, Totals>) {
        let folded = [0, 1].map(|side| self.side(side).folded());
        let mut attempt = 0;
        loop {
            let before = folded.map(|it| it.state());
            let (mut totals, mut children) = (Totals::default(), BTreeMap::new());
            for side in [0, 1] {
                // Only one of the two can say so: the other one is dead.
                if before[1 - side].released() == Released::OtherSide {
                    continue;
                }
                let released = match before[side].released() {
                    Released::Slot(index) => Some(index),
                    _ => None,
                };
                totals.merge(&folded[side].sums(before[side]));
                let by_slot = self.side(side).add_workers(released, &mut totals);
                if side == self.side {
                    children = by_slot;
                }
            }
            fence(Ordering::Acquire);
            attempt += 1;
            if folded.map(|it| it.state()) == before || attempt == ATTEMPTS {
                return (totals, children);
            }
            thread::yield_now();
        }
    }

    fn own(&self) -> BoardSide<'_> {
        self.side(self.side)
    }

    fn other(&self) -> BoardSide<'_> {
        self.side(1 - self.side)
    }

    fn side(&self, side: usize) -> BoardSide<'_> {
        BoardSide::new(&self.memory[side * SIDE_WORDS..][..SIDE_WORDS])
    }
}

impl fmt::Debug for Scoreboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scoreboard(side {})", self.side)
    }
}

#[cfg(test)]
mod tests;
