//! Text in shared memory, which one process writes and others read: a sequence lock (seqlock).
//!
//! ```text
//!   | sequence | lengths | part | part | ..        each part has room for a fixed number of octets
//! ```
//!
//! The sequence is odd while the writer is at work, and another one afterwards. A reader that sees it odd or changed
//! reads again, a few times at most: then there is no text. Lengths and octets are whatever was written, by anyone, so
//! a reader cuts the lengths to the room and takes octets that are no UTF-8 for U+FFFD.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// How often a reader tries. A writer needs a few nanoseconds, unless it was stopped in the middle.
const ATTEMPTS: usize = 64;

const SEQUENCE: usize = 0;
const LENGTHS: usize = 1;
const DATA: usize = 2;
/// Bits of one length within the word of lengths; so a cell has at most four parts.
const LENGTH_BITS: usize = 16;
const LENGTH_MASK: u64 = (1 << LENGTH_BITS) - 1;
const WORD: usize = size_of::<u64>();

/// The words of one text whose `N` parts have room for `rooms` words each.
#[derive(Debug, Clone, Copy)]
pub(super) struct TextCell<'a, const N: usize> {
    words: &'a [AtomicU64],
    rooms: [usize; N],
}

/// Words of a cell whose parts have room for `rooms` words each.
pub(super) const fn text_words<const N: usize>(rooms: [usize; N]) -> usize {
    let (mut words, mut index) = (DATA, 0);
    while index < N {
        words += rooms[index];
        index += 1;
    }
    words
}

impl<'a, const N: usize> TextCell<'a, N> {
    /// `words` are at least [`text_words`].
    pub(super) fn new(words: &'a [AtomicU64], rooms: [usize; N]) -> Self {
        Self { words, rooms }
    }

    /// The number of the text that the cell has: a new one each time.
    pub(super) fn sequence(self) -> u64 {
        self.words[SEQUENCE].load(Ordering::Relaxed)
    }

    /// Replaces the text, each part cut to its room; returns its number. Only for the one writer.
    pub(super) fn write(self, parts: [&[u8]; N]) -> u64 {
        // An odd number is left behind by a writer that was killed.
        let begun = self.sequence() | 1;
        self.words[SEQUENCE].store(begun, Ordering::Relaxed);
        // A reader that sees one of the words below also sees the odd number.
        fence(Ordering::Release);
        let (mut rest, mut lengths) = (&self.words[DATA..], 0);
        for (index, (part, room)) in parts.into_iter().zip(self.rooms).enumerate() {
            let part = &part[..part.len().min(room * WORD)];
            lengths |= (part.len() as u64) << (index * LENGTH_BITS);
            let (words, others) = rest.split_at(room);
            for (word, octets) in words.iter().zip(part.chunks(WORD)) {
                let mut value = [0; WORD];
                value[..octets.len()].copy_from_slice(octets);
                word.store(u64::from_ne_bytes(value), Ordering::Relaxed);
            }
            rest = others;
        }
        self.words[LENGTHS].store(lengths, Ordering::Relaxed);
        let number = begun.wrapping_add(1);
        self.words[SEQUENCE].store(number, Ordering::Release);
        number
    }

    /// The parts of a text that was not being changed meanwhile; `None` if there is none.
    pub(super) fn read(self) -> Option<[Vec<u8>; N]> {
        for _ in 0..ATTEMPTS {
            let before = self.words[SEQUENCE].load(Ordering::Acquire);
            if before.is_multiple_of(2) {
                let parts = self.copy();
                fence(Ordering::Acquire);
                if self.sequence() == before {
                    return Some(parts);
                }
            }
            spin_loop();
        }
        None
    }

    fn copy(self) -> [Vec<u8>; N] {
        let lengths = self.words[LENGTHS].load(Ordering::Relaxed);
        let mut start = DATA;
        std::array::from_fn(|index| {
            let room = self.rooms[index];
            let length = (lengths >> (index * LENGTH_BITS)) & LENGTH_MASK;
            let length = (length as usize).min(room * WORD);
            let words = &self.words[start..start + length.div_ceil(WORD)];
            start += room;
            let octets = words
                .iter()
                .flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes());
            octets.take(length).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use super::*;

    const ROOMS: [usize; 2] = [1, 4];

    fn words() -> Vec<AtomicU64> {
        (0..text_words(ROOMS)).map(|_| AtomicU64::new(0)).collect()
    }

    #[test]
    fn a_text_is_cut_to_its_room_and_replaced_whole() {
        let words = words();
        let cell = TextCell::new(&words, ROOMS);
        assert_eq!(cell.read(), Some([vec![], vec![]]));
        let first = cell.write([b"DELETED!!", &[b'x'; 50]]);
        let read = cell.read().expect("a text");
        assert_eq!(read, [b"DELETED!".to_vec(), vec![b'x'; 32]]);
        let second = cell.write([b"GET", b"/a"]);
        assert_eq!(cell.read(), Some([b"GET".to_vec(), b"/a".to_vec()]));
        assert!(second > first && cell.sequence() == second);
    }

    #[test]
    fn nonsense_is_bounded_and_a_change_that_never_ends_is_no_text() {
        let words = words();
        let cell = TextCell::new(&words, ROOMS);
        for word in &words[LENGTHS..] {
            word.store(u64::MAX, Ordering::Relaxed);
        }
        assert_eq!(cell.read(), Some([vec![255; 8], vec![255; 32]]));
        words[SEQUENCE].store(7, Ordering::Relaxed);
        assert_eq!(cell.read(), None);
        cell.write([b"GET", b"/"]);
        assert_eq!(cell.read(), Some([b"GET".to_vec(), b"/".to_vec()]));
    }

    #[test]
    fn a_reader_never_sees_parts_of_two_texts() {
        let (words, over) = (words(), AtomicBool::new(false));
        let cell = TextCell::new(&words, ROOMS);
        cell.write([&[b'0'; 8], &[b'0'; 32]]);
        thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0..200_000_u32 {
                    let octet = b'0' + (round % 10) as u8;
                    cell.write([&[octet; 8], &[octet; 32]]);
                }
                over.store(true, Ordering::Relaxed);
            });
            let mut texts = 0;
            while !over.load(Ordering::Relaxed) {
                if let Some([short, long]) = cell.read() {
                    let first = short[0];
                    assert!(short.iter().chain(&long).all(|&octet| octet == first));
                    texts += 1;
                }
            }
            // It is the writer's last text that has to be readable, however rarely the reader ran.
            assert!(texts > 0 || cell.read().is_some());
        });
    }
}
