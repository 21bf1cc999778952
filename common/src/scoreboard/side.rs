//! One side of the scoreboard: what one master and its children write.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::claim::{CLAIM_WORDS, Claim, SlotKind};
use super::folded::{FOLDED_WORDS, Folded};
use super::limits::{MAX_SLOTS, MAX_THREADS, PAGE};
use super::master_page::MasterPage;
use super::slot::{SLOT_WORDS, Slot};
use super::totals::Totals;

// The first page belongs to the master; the rest of its words are those of [`MasterPage`].
/// 1 while all workers of the server drain: nobody takes over connections.
pub(super) const DESERTED: usize = 0;
/// One more than the highest slot that was ever claimed.
const USED_SLOTS: usize = 1;
/// The state of [`Folded`].
const FOLD_STATE: usize = 2;

const CLAIMS: usize = PAGE;
const FOLDED: usize = CLAIMS + MAX_SLOTS * CLAIM_WORDS;
/// The words in front of the first slot.
pub const FIRST_SLOT: usize = (FOLDED + FOLDED_WORDS).next_multiple_of(PAGE);
/// Words of a side.
pub(super) const SIDE_WORDS: usize = FIRST_SLOT + MAX_SLOTS * SLOT_WORDS;

#[derive(Debug, Clone, Copy)]
pub(super) struct BoardSide<'a>(&'a [AtomicU64]);

impl<'a> BoardSide<'a> {
    /// `words` are [`SIDE_WORDS`].
    pub(super) fn new(words: &'a [AtomicU64]) -> Self {
        Self(words)
    }

    pub(super) fn word(self, index: usize) -> &'a AtomicU64 {
        &self.0[index]
    }

    pub(super) fn master(self) -> MasterPage<'a> {
        MasterPage::new(self.0.first_chunk().expect("a page"))
    }

    pub(super) fn folded(self) -> Folded<'a> {
        let words = self.0[FOLDED..].first_chunk();
        Folded::new(&self.0[FOLD_STATE], words.expect("room for them"))
    }

    pub(super) fn slot(self, index: usize) -> Slot<'a> {
        self.slot_of(index, self.claim_of(index).threads())
    }

    /// The slot of a child with that many request threads.
    pub(super) fn slot_of(self, index: usize, threads: usize) -> Slot<'a> {
        let words = self.0[FIRST_SLOT + index * SLOT_WORDS..].first_chunk();
        let words = words.expect("an index below MAX_SLOTS");
        Slot::new(words, threads.min(MAX_THREADS))
    }

    pub(super) fn claim_of(self, index: usize) -> Claim<'a> {
        let words = self.0[CLAIMS + index * CLAIM_WORDS..].first_chunk();
        Claim::new(words.expect("an index below MAX_SLOTS"))
    }

    /// All slots that are claimed, in order.
    pub(super) fn claimed(self) -> impl Iterator<Item = (usize, Claim<'a>, Slot<'a>)> {
        let all = (0..self.used_slots()).map(move |index| (index, self.claim_of(index)));
        all.filter(|(_, claim)| claim.kind().is_some())
            .map(move |(index, claim)| (index, claim, self.slot(index)))
    }

    pub(super) fn note_used(self, index: usize) {
        self.0[USED_SLOTS].fetch_max(index as u64 + 1, Ordering::Relaxed);
    }

    pub(super) fn used_slots(self) -> usize {
        (self.0[USED_SLOTS].load(Ordering::Relaxed) as usize).min(MAX_SLOTS)
    }

    /// Adds what the workers have counted, except the one in slot `released`. Returns it for each child.
    pub(super) fn add_workers(
        self,
        released: Option<usize>,
        totals: &mut Totals,
    ) -> BTreeMap<usize, Totals> {
        let mut children = BTreeMap::new();
        for (index, claim, slot) in self.claimed() {
            let mut child = Totals::default();
            child.add_child(slot);
            if claim.kind() == Some(SlotKind::Worker) && released != Some(index) {
                totals.merge(&child);
            }
            children.insert(index, child);
        }
        children
    }

    /// Forgets everything.
    pub(super) fn reset(self) {
        for (index, _, slot) in self.claimed() {
            slot.reset();
            self.claim_of(index).clear();
        }
        for part in [0..PAGE, FOLDED..FOLDED + FOLDED_WORDS] {
            let words = &self.0[part];
            words
                .iter()
                .for_each(|word| word.store(0, Ordering::Relaxed));
        }
    }
}
