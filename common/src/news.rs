//! What the processes of one server tell each other of things that they keep copies of: shared
//! memory, so that a copy is known to be old the moment that any of them says so.
//!
//! ```text
//!   keep a copy:   stamp(key), then read; the copy carries the stamp
//!   use a copy:    only while stamp(key) is still the same, and news are current
//!   a change:      changed(key)
//! ```
//!
//! Changes that other servers make come in through one process, which listens for all: see
//! [`News::take_ear`]. While nobody has listened lately, no copy may be used.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::monotonic_millis;
use crate::shared_memory::SharedMemory;

/// Keys that share a counter spoil each other's copies, which costs a question, no more.
const COUNTERS: usize = 16_384;

// After the counters:
/// Counts the times that nobody can say what has changed.
const ERA: usize = COUNTERS;
/// Milliseconds of the monotonic clock: what changed before then has been heard. 0 is never.
const HEARD: usize = COUNTERS + 1;
/// Who listens.
const EAR: usize = COUNTERS + 2;
const WORDS: usize = COUNTERS + 3;

/// The state of a key. Equal stamps: nothing was said of it in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    era: u64,
    count: u64,
}

/// The news of one server; clones and forked copies share them.
#[derive(Clone)]
pub struct News(SharedMemory);

impl News {
    pub fn new() -> io::Result<Self> {
        SharedMemory::new(WORDS).map(Self)
    }

    pub fn stamp(&self, key: &str) -> Stamp {
        Stamp {
            era: self.0[ERA].load(Ordering::Acquire),
            count: self.counter(key).load(Ordering::Acquire),
        }
    }

    /// Says that copies of `key` are old.
    pub fn changed(&self, key: &str) {
        self.counter(key).fetch_add(1, Ordering::AcqRel);
    }

    /// Says that all copies are.
    pub fn all_changed(&self) {
        self.0[ERA].fetch_add(1, Ordering::AcqRel);
    }

    /// Whether what other servers have changed up to `lease_millis` ago has been heard.
    pub fn are_current(&self, lease_millis: u64) -> bool {
        monotonic_millis().saturating_sub(self.0[HEARD].load(Ordering::Acquire)) < lease_millis
    }

    /// Makes `who` the one who listens, where nobody has listened for `lease_millis`.
    pub fn take_ear(&self, who: u64, lease_millis: u64) -> bool {
        let before = self.0[EAR].load(Ordering::Acquire);
        !self.are_current(lease_millis)
            && self.0[EAR]
                .compare_exchange(before, who, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
    }

    /// Notes that `who` has heard all that changed before `at` of [`monotonic_millis`]. False when
    /// another listens now.
    pub fn heard(&self, who: u64, at: u64) -> bool {
        let listens = self.0[EAR].load(Ordering::Acquire) == who;
        if listens {
            self.0[HEARD].store(at, Ordering::Release);
        }
        listens
    }

    /// Notes that `who` hears nothing any more.
    pub fn deaf(&self, who: u64) {
        if self.0[EAR].load(Ordering::Acquire) == who {
            self.0[HEARD].store(0, Ordering::Release);
        }
    }

    fn counter(&self, key: &str) -> &AtomicU64 {
        // FNV-1a: the same in every process.
        let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325, mix);
        &self.0[(hash ^ (hash >> 32)) as usize % COUNTERS]
    }
}

impl fmt::Debug for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("News").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_spoils_what_was_read_before_it() {
        let news = News::new().expect("memory");
        let elsewhere = news.clone();
        let stamp = news.stamp("task:1");
        assert_eq!(elsewhere.stamp("task:1"), stamp);
        elsewhere.changed("task:1");
        assert_ne!(news.stamp("task:1"), stamp);
        let stamp = news.stamp("task:2");
        news.all_changed();
        assert_ne!(news.stamp("task:2"), stamp);
    }

    #[test]
    fn one_listens_and_another_takes_over_when_it_is_silent() {
        const LEASE: u64 = 60_000;
        let news = News::new().expect("memory");
        assert!(!news.are_current(LEASE.min(monotonic_millis())));
        let lease = LEASE.min(monotonic_millis());
        assert!(news.take_ear(1, lease));
        assert!(news.heard(1, monotonic_millis()) && news.are_current(lease));
        assert!(!news.take_ear(2, lease), "the first one still listens");
        news.deaf(1);
        assert!(!news.are_current(lease) && news.take_ear(2, lease));
        assert!(!news.heard(1, monotonic_millis()), "it has lost its turn");
        assert!(!news.are_current(lease));
    }
}
