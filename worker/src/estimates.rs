//! How long the application took lately, by kind of request: a guess whether it will block.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::connection::Connection;

/// Kinds of request that are told apart; those that share a place share an estimate.
const KINDS: usize = 64;
/// From here on a wake-up costs less than the wait that it saves another request.
const BLOCKS_FROM_MICROS: u32 = 300;
/// From here on it pays even where no other request waits yet: one may come meanwhile.
const BLOCKS_LONG_FROM_MICROS: u32 = 800;

/// A sample counts for no more than this: a thread that lost the processor once was slow once, and
/// its kind of request does not block.
const MOST_MICROS: u32 = 1_000;

/// Moving averages in microseconds.
#[derive(Debug)]
pub(crate) struct Estimates([AtomicU32; KINDS]);

impl Default for Estimates {
    fn default() -> Self {
        Self([const { AtomicU32::new(0) }; KINDS])
    }
}

impl Estimates {
    /// The place of a request's kind: its method and its path up to the last slash, so that
    /// `/users/1` and `/users/2` are of one kind.
    pub(crate) fn slot_for(&self, connection: &Connection) -> usize {
        let Some(buffers) = &connection.buffers else {
            return 0;
        };
        let head = &buffers.intake.head;
        let target = head.target().as_bytes();
        let path = target
            .iter()
            .position(|&byte| byte == b'?')
            .map_or(target, |at| &target[..at]);
        let kind = path
            .iter()
            .rposition(|&byte| byte == b'/')
            .map_or(path, |at| &path[..at]);
        // FNV-1a: short keys, and nothing depends on a client not finding collisions.
        let mix = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        let hash = head
            .method()
            .as_bytes()
            .iter()
            .chain(kind)
            .fold(0x811c_9dc5, mix);
        (hash ^ (hash >> 16)) as usize % KINDS
    }

    /// Whether a request of this kind should have somebody else lead meanwhile.
    pub(crate) fn blocks(&self, slot: usize, others_wait: bool) -> bool {
        let from = match others_wait {
            true => BLOCKS_FROM_MICROS,
            false => BLOCKS_LONG_FROM_MICROS,
        };
        self.0[slot].load(Ordering::Relaxed) >= from
    }

    /// Takes one more sample in, with a weight of an eighth.
    pub(crate) fn learn(&self, slot: usize, took: Duration) {
        let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        let sample = micros.min(MOST_MICROS);
        let average = self.0[slot].load(Ordering::Relaxed);
        self.0[slot].store(average - average / 8 + sample / 8, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_learns_both_ways() {
        let estimates = Estimates::default();
        assert!(!estimates.blocks(3, true));
        (0..20).for_each(|_| estimates.learn(3, Duration::from_millis(5)));
        assert!(estimates.blocks(3, false) && !estimates.blocks(4, true));
        (0..60).for_each(|_| estimates.learn(3, Duration::from_micros(500)));
        assert!(estimates.blocks(3, true) && !estimates.blocks(3, false));
        (0..60).for_each(|_| estimates.learn(3, Duration::from_micros(10)));
        assert!(!estimates.blocks(3, true));
    }
}
