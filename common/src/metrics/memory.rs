//! [`MetricMemory`]: the words of all metrics, one mapping that the master makes before it forks.
//!
//! ```text
//!   | server: catalog | folded | side 0: slot 0 .. slot 511 | side 1: slot 0 .. slot 511 |
//!     each slot on pages of its own: a child may write to those of its own slot only
//! ```
//!
//! The slots are numbered as on the scoreboard. During an upgrade both masters share this memory: each has the slots of
//! one side, and they have the catalog and the folded figures in common. So what either of them reads is the sum of
//! both, at any moment. When one has ended, the other folds what it has left.
//!
//! All accesses are relaxed, as each word stands for itself. The exceptions say so.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering, fence};

use nix::errno::Errno;

use super::catalog::{MetricCatalog, MetricPlaces, WordKind};
use super::catalog_lock::{CatalogLock, own_pid};
use super::check::{MetricError, check};
use super::definition::Metric;
use crate::scoreboard::MAX_SLOTS;
use crate::shared_memory::SharedMemory;

/// Words that a slot has, all metrics together.
const SLOT_WORDS: usize = 4 * PAGE;
/// Words per page.
const PAGE: usize = 4096 / size_of::<AtomicU64>();
/// Masters that may share the memory.
const SIDES: usize = 2;

/// The words of the server.
const SERVER_WORDS: usize = 16 * PAGE;
/// Names this layout: a program that has another one does not use this memory.
const LAYOUT: usize = 0;
const THIS_LAYOUT: u64 = u64::from_be_bytes(*b"metrics1");
/// How many bytes of text the catalog has.
const CATALOG_BYTES: usize = 1;
/// The master that changes the catalog; 0 is none.
const LOCK: usize = 2;
/// The master that each side belongs to.
const OWNER: usize = 4;
/// One more than the highest slot of each side that was ever claimed.
const USED_SLOTS: usize = 6;
/// Odd while the owner of that side moves figures, so that a reader does not count them twice.
const FOLDING: usize = 8;
const CATALOG: usize = 16;

const FOLDED: usize = SERVER_WORDS;
const SLOTS: usize = FOLDED + SLOT_WORDS;
const WORDS: usize = SLOTS + SIDES * MAX_SLOTS * SLOT_WORDS;

/// How often a reader looks again while figures are moved.
const LOOKS: usize = 1000;

/// The metrics of one server. Clones and forked copies are the same memory.
#[derive(Clone)]
pub struct MetricMemory {
    pub(super) words: SharedMemory,
    /// Whose slots this master's children have.
    side: usize,
}

impl MetricMemory {
    /// New memory for a master, and the descriptor by which the next one inherits it, if there can be one.
    pub fn new() -> io::Result<(Self, Option<OwnedFd>)> {
        let (words, file) = SharedMemory::inheritable(WORDS)?;
        words[LAYOUT].store(THIS_LAYOUT, Ordering::Relaxed);
        Ok((Self::of(words, 0), file))
    }

    /// The memory of the master that has started this one. Fails if the other program has laid it out in another way.
    pub fn inherited(file: impl AsFd, old_master: i32) -> io::Result<Self> {
        let words = SharedMemory::inherited(file, WORDS)?;
        if words[LAYOUT].load(Ordering::Relaxed) != THIS_LAYOUT {
            return Err(Errno::EINVAL.into());
        }
        let old = u64::try_from(old_master).unwrap_or_default();
        let side = usize::from(words[OWNER].load(Ordering::Relaxed) == old);
        Ok(Self::of(words, side))
    }

    fn of(words: SharedMemory, side: usize) -> Self {
        words[OWNER + side].store(own_pid(), Ordering::Relaxed);
        Self { words, side }
    }

    /// Gives the metrics of a generation their words. Only an application that comes with the server may use the
    /// server's names. For the master.
    pub fn place(
        &self,
        metrics: &'static [Metric],
        is_built_in: bool,
    ) -> Result<MetricPlaces, MetricError> {
        check(metrics, is_built_in)?;
        let _lock = CatalogLock::take(&self.words[LOCK]);
        let mut catalog = self.catalog();
        let (before, text) = (catalog.words().len(), self.catalog_bytes());
        let (places, lines) = catalog.place(metrics);
        let words = (catalog.words().len() - before, SLOT_WORDS - before);
        let text_words = (lines.len() / 8, (TEXT_BYTES - text) / 8);
        for (needed, room) in [words, text_words] {
            if needed > room {
                return Err(MetricError::NoRoom { needed, room });
            }
        }
        let mut bytes = self.catalog_text();
        let whole = text / 8;
        bytes.extend(&lines);
        for (index, part) in bytes.chunks(8).enumerate().skip(whole) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.words[CATALOG + index].store(u64::from_ne_bytes(word), Ordering::Relaxed);
        }
        // Whoever sees the new length sees the text.
        self.words[CATALOG_BYTES].store(bytes.len() as u64, Ordering::Release);
        Ok(places)
    }

    /// Prepares slot `index` for a child about to be forked. For the master.
    pub fn claim(&self, index: usize) {
        self.words[USED_SLOTS + self.side].fetch_max(index as u64 + 1, Ordering::Relaxed);
    }

    /// Makes everything but slot `index` read-only for this process, a child.
    pub fn confine(&self, index: usize) -> io::Result<()> {
        let start = self.start_of(self.side, index);
        self.words.protect_all_but(start..start + SLOT_WORDS)
    }

    /// Adds what a dead child has counted to the figures of the dead, and frees its slot. For the master, when it has
    /// reaped the child.
    pub fn fold(&self, index: usize) {
        self.fold_slots(self.side, index..index + 1);
    }

    /// As [`MetricMemory::fold`], for all children of the other master, which is gone.
    pub fn fold_other(&self) {
        let other = 1 - self.side;
        let used = self.used_slots(other);
        self.fold_slots(other, 0..used);
        self.words[OWNER + other].store(0, Ordering::Relaxed);
    }

    fn fold_slots(&self, side: usize, indices: std::ops::Range<usize>) {
        let kinds = self.catalog().words();
        if kinds.is_empty() {
            return;
        }
        // A reader that sees a figure moved sees a number that is odd, or the next one: see `sums`. A master that was
        // killed has left it odd.
        let folding = &self.words[FOLDING + side];
        folding.fetch_or(1, Ordering::Relaxed);
        fence(Ordering::Release);
        for index in indices {
            let slot = self.start_of(side, index);
            for (offset, kind) in kinds.iter().enumerate() {
                let (word, folded) = (&self.words[slot + offset], &self.words[FOLDED + offset]);
                let value = word.load(Ordering::Relaxed);
                // First added, then taken away: a master that is killed here lets no figure fall.
                match kind {
                    WordKind::Count => {
                        folded.fetch_add(value, Ordering::Relaxed);
                        word.fetch_sub(value, Ordering::Relaxed);
                    }
                    WordKind::Sum => {
                        add_to(folded, f64::from_bits(value));
                        word.store(0, Ordering::Relaxed);
                    }
                    WordKind::Level | WordKind::Highest => word.store(0, Ordering::Relaxed),
                }
            }
        }
        folding.fetch_add(1, Ordering::Release);
    }

    /// The sum of each word over all children of all masters, with the figures of the dead. Words of kind
    /// [`WordKind::Count`] are whole numbers, the others bits.
    pub(super) fn sums(&self, kinds: &[WordKind]) -> Vec<u64> {
        for _ in 0..LOOKS {
            let before = self.folding(Ordering::Acquire);
            let sums = self.add_up(kinds);
            fence(Ordering::Acquire);
            let is_still = before.iter().all(|number| number.is_multiple_of(2));
            if is_still && self.folding(Ordering::Relaxed) == before {
                return sums;
            }
            std::thread::yield_now();
        }
        // A master was killed at that very moment: nothing moves any more.
        self.add_up(kinds)
    }

    fn folding(&self, ordering: Ordering) -> [u64; SIDES] {
        std::array::from_fn(|side| self.words[FOLDING + side].load(ordering))
    }

    fn add_up(&self, kinds: &[WordKind]) -> Vec<u64> {
        let load = |index: usize| self.words[index].load(Ordering::Relaxed);
        let sum_of = |(offset, kind): (usize, &WordKind)| match kind {
            WordKind::Level | WordKind::Highest => 0.0_f64.to_bits(),
            WordKind::Count | WordKind::Sum => load(FOLDED + offset),
        };
        let mut sums: Vec<u64> = kinds.iter().enumerate().map(sum_of).collect();
        for side in 0..SIDES {
            for index in 0..self.used_slots(side) {
                let slot = self.start_of(side, index);
                for (offset, (sum, kind)) in sums.iter_mut().zip(kinds).enumerate() {
                    let value = load(slot + offset);
                    *sum = match kind {
                        WordKind::Count => sum.wrapping_add(value),
                        WordKind::Highest => {
                            f64::from_bits(*sum).max(f64::from_bits(value)).to_bits()
                        }
                        WordKind::Sum | WordKind::Level => {
                            (f64::from_bits(*sum) + f64::from_bits(value)).to_bits()
                        }
                    };
                }
            }
        }
        sums
    }

    pub(super) fn catalog(&self) -> MetricCatalog {
        MetricCatalog::read(&self.catalog_text())
    }

    fn catalog_text(&self) -> Vec<u8> {
        let length = self.catalog_bytes();
        let words = &self.words[CATALOG..CATALOG + length.div_ceil(8)];
        let words = words.iter().map(|word| word.load(Ordering::Relaxed));
        let mut text: Vec<u8> = words.flat_map(u64::to_ne_bytes).collect();
        text.truncate(length);
        text
    }

    fn catalog_bytes(&self) -> usize {
        let length = self.words[CATALOG_BYTES].load(Ordering::Acquire);
        usize::try_from(length).map_or(0, |length| length.min(TEXT_BYTES))
    }

    fn used_slots(&self, side: usize) -> usize {
        let used = self.words[USED_SLOTS + side].load(Ordering::Relaxed);
        usize::try_from(used).map_or(0, |used| used.min(MAX_SLOTS))
    }

    /// The words of slot `index`, for the child that has it.
    pub(super) fn start_of_own(&self, index: usize) -> usize {
        self.start_of(self.side, index)
    }

    fn start_of(&self, side: usize, index: usize) -> usize {
        SLOTS + (side * MAX_SLOTS + index) * SLOT_WORDS
    }
}

const TEXT_BYTES: usize = (SERVER_WORDS - CATALOG) * size_of::<u64>();

/// Adds to a word that has the bits of a number. Does not wait for others that write to it.
pub(super) fn add_to(word: &AtomicU64, amount: f64) {
    let add = |bits| Some((f64::from_bits(bits) + amount).to_bits());
    let _ = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
}

impl fmt::Debug for MetricMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MetricMemory(side {})", self.side)
    }
}

#[cfg(test)]
mod tests;
