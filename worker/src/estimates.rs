//! How long the application took lately, and how much of that it waited for something, by kind of
//! request: a guess whether it will block.
//!
//! Waiting and computing are told apart because they are worth different things to others: while a
//! thread waits for a database the processor is free, and the more requests wait for it together, the
//! more it does at once. While one computes, another that does only takes the processor from it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use crate::connection::Connection;

/// Kinds of request that are told apart; those that share a place share an estimate.
const KINDS: usize = 64;
/// From here on a wake-up costs less than the wait that it saves another request.
const BLOCKS_FROM_MICROS: u32 = 300;
/// From here on it pays even where no other request waits yet: one may come meanwhile.
const BLOCKS_LONG_FROM_MICROS: u32 = 800;
/// The same for time in which the thread had no processor. It is less than a commit takes on a fast
/// disk: one at a time they would stay as fast, and nothing would ever tell that they block.
const WAITS_FROM_MICROS: u32 = 120;
/// From here on the processor's time is looked at too, which costs two system calls a request.
const LOOK_FROM_MICROS: u32 = 80;

/// A sample counts for no more than this: a thread that lost the processor once was slow once, and
/// its kind of request does not block.
const MOST_MICROS: u32 = 1_000;

#[derive(Debug)]
pub(crate) struct Estimates([Estimate; KINDS]);

/// Moving averages in microseconds.
#[derive(Debug)]
struct Estimate {
    took: AtomicU32,
    waited: AtomicU32,
}

/// A request under way, at its beginning.
#[derive(Debug)]
pub(crate) struct Sample {
    slot: usize,
    started: Instant,
    /// What the thread had computed by then, where that is of interest.
    computed: Option<Duration>,
}

impl Default for Estimates {
    fn default() -> Self {
        let nothing = || Estimate {
            took: AtomicU32::new(0),
            waited: AtomicU32::new(0),
        };
        Self(std::array::from_fn(|_| nothing()))
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
        let estimate = &self.0[slot];
        estimate.took.load(Ordering::Relaxed) >= from
            || estimate.waited.load(Ordering::Relaxed) >= WAITS_FROM_MICROS
    }

    /// A request begins on this thread. Only one that is `alone` tells what it waits for by itself:
    /// threads that run Python wait for each other too, and more of them would wait longer.
    pub(crate) fn begin(&self, slot: usize, started: Instant, alone: bool) -> Sample {
        let took = self.0[slot].took.load(Ordering::Relaxed);
        // What takes longer blocks anyway.
        let in_doubt = alone && (LOOK_FROM_MICROS..BLOCKS_LONG_FROM_MICROS).contains(&took);
        Sample {
            slot,
            started,
            computed: in_doubt.then(computed).flatten(),
        }
    }

    /// It has ended, on the same thread.
    pub(crate) fn learn(&self, sample: &Sample, ended: Instant) {
        let took = ended.saturating_duration_since(sample.started);
        let since = |before| computed().map(|now| now.saturating_sub(before));
        let computed = sample.computed.and_then(since);
        self.0[sample.slot].learn(took, computed);
    }
}

impl Estimate {
    fn learn(&self, took: Duration, computed: Option<Duration>) {
        take_in(&self.took, took);
        match computed {
            Some(computed) => take_in(&self.waited, took.saturating_sub(computed)),
            None if self.took.load(Ordering::Relaxed) < LOOK_FROM_MICROS => {
                self.waited.store(0, Ordering::Relaxed);
            }
            None => {}
        }
    }
}

/// Takes one more sample in, with a weight of an eighth.
fn take_in(average: &AtomicU32, sample: Duration) {
    let micros = u32::try_from(sample.as_micros()).unwrap_or(u32::MAX);
    let sample = micros.min(MOST_MICROS);
    let before = average.load(Ordering::Relaxed);
    average.store(before - before / 8 + sample / 8, Ordering::Relaxed);
}

/// The time that this thread has had a processor.
fn computed() -> Option<Duration> {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .ok()
        .map(Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(estimates: &Estimates, slot: usize, times: usize, took: u64, computed: Option<u64>) {
        let computed = computed.map(Duration::from_micros);
        (0..times).for_each(|_| estimates.0[slot].learn(Duration::from_micros(took), computed));
    }

    #[test]
    fn it_learns_both_ways() {
        let estimates = Estimates::default();
        assert!(!estimates.blocks(3, true));
        learn(&estimates, 3, 20, 5000, Some(5000));
        assert!(estimates.blocks(3, false) && !estimates.blocks(4, true));
        learn(&estimates, 3, 60, 500, Some(500));
        assert!(estimates.blocks(3, true) && !estimates.blocks(3, false));
        learn(&estimates, 3, 60, 10, None);
        assert!(!estimates.blocks(3, true));
    }

    #[test]
    fn who_waits_blocks_sooner_than_who_computes() {
        let estimates = Estimates::default();
        learn(&estimates, 3, 60, 250, Some(250));
        assert!(!estimates.blocks(3, true));
        learn(&estimates, 3, 60, 250, Some(20));
        assert!(estimates.blocks(3, false));
        learn(&estimates, 3, 60, 10, None);
        assert!(!estimates.blocks(3, true));
    }

    #[test]
    fn a_thread_that_sleeps_does_not_compute() {
        let estimates = Estimates::default();
        while !estimates.blocks(3, false) {
            let sample = estimates.begin(3, Instant::now(), true);
            std::thread::sleep(Duration::from_micros(200));
            estimates.learn(&sample, Instant::now());
        }
        assert!(estimates.0[3].waited.load(Ordering::Relaxed) > 0);
    }
}
