//! [`BucketTable`]: the token buckets of one rule, in memory that all workers share.
//!
//! A bucket is one word: the time at which it will be full again, and a few bits of the hash of its key (GCRA, the
//! generic cell rate algorithm, has no other state). A request moves that time on by one interval, and passes if it then
//! lies no further ahead than a whole burst. An update is one compare-and-swap. So a process that is killed at any moment
//! leaves either the old word or the new one, and nothing has to be cleaned up: a bucket that is full is an empty place.
//!
//! ```text
//!   key --SipHash with a secret--> set of 8 words (one cache line), tag of 16 bits
//!
//!   word   | full again at, in microseconds since the table was made | tag |
//!            48 bits                                                    16
//! ```
//!
//! A key has a place in one set only. It takes the place of the smallest word there: an empty one, then one whose bucket
//! has been full for longest, and in a set of live buckets the fullest. In the last case it takes over the time that stands there.
//! So no key ever gets more than its rule permits, however many addresses an attacker has: words only grow, and a key that
//! has lost its place finds no smaller one when it comes back. When the table is overcrowded, a newcomer may get less.
//!
//! Two processes that bring the same key at the same time cannot give it two places. Each reads every word of the set once and then
//! replaces the smallest. Words grow, so if both succeeded, each would have read a word of the other's choice that is smaller than
//! its own.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::rule::{LimitKey, RateLimitRule};
use crate::SharedMemory;

/// Words of a set: one cache line.
const WAYS: usize = 8;
const TAG_BITS: u32 = 16;
/// Of a second.
const NANOS: u64 = 1_000_000_000;

#[derive(Debug, Clone)]
pub struct BucketTable {
    words: SharedMemory,
    hasher: RandomState,
    /// Instants of one machine are comparable across processes that have not executed another program since.
    origin: Instant,
    /// Words that a key may be in.
    ways: usize,
    /// The number of the last set; there are a power of two.
    last_set: u64,
    tag_bits: u32,
    /// Nanoseconds per unit of time.
    tick: u64,
    interval: u64,
    burst: u64,
}

/// Where a key belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketKey {
    first: usize,
    tag: u64,
}

/// Whether a request may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitVerdict {
    /// So many more may pass at once. If none, the next one may after `wait`, which is zero otherwise.
    Passed { left: u64, wait: Duration },
    /// The next one may pass after this time.
    Refused { wait: Duration },
}

impl BucketTable {
    pub fn new(rule: &RateLimitRule) -> io::Result<Self> {
        // All requests together have one word of nanoseconds, which needs no tag.
        let (words, ways, tag_bits, tick) = match rule.by {
            LimitKey::Server => (1, 1, 0, 1),
            LimitKey::Client | LimitKey::Header(_) => {
                let words = rule.keys.max(WAYS).next_power_of_two();
                (words, WAYS, TAG_BITS, 1_000)
            }
        };
        let interval = rule.interval().as_nanos().div_ceil(u128::from(tick));
        Ok(Self {
            words: SharedMemory::new(words)?,
            hasher: RandomState::new(),
            origin: Instant::now(),
            ways,
            last_set: (words / ways) as u64 - 1,
            tag_bits,
            tick,
            interval: u64::try_from(interval).unwrap_or(u64::MAX).max(1),
            burst: rule.burst,
        })
    }

    /// The place of a key.
    pub fn key(&self, octets: &[u8]) -> BucketKey {
        let hash = self.hasher.hash_one(octets);
        let most = (1 << self.tag_bits) - 1;
        BucketKey {
            first: (hash & self.last_set) as usize * self.ways,
            // Not 0, which stands for an empty place.
            tag: match most {
                0 => 0,
                most => (hash >> (64 - self.tag_bits)).min(most - 1) + 1,
            },
        }
    }

    /// Counts a request, if it may pass.
    pub fn take(&self, key: BucketKey, now: Instant) -> LimitVerdict {
        let now = self.ticks_at(now);
        loop {
            let (place, word) = self.find(key);
            let (verdict, next) = self.judge(word, now);
            let changed = match verdict {
                LimitVerdict::Refused { .. } => true,
                LimitVerdict::Passed { .. } => self.replace(place, word, next, key.tag),
            };
            if changed {
                return verdict;
            }
        }
    }

    /// What [`BucketTable::take`] would say. Changes nothing.
    pub fn look(&self, key: BucketKey, now: Instant) -> LimitVerdict {
        let (_, word) = self.find(key);
        self.judge(word, self.ticks_at(now)).0
    }

    /// How many requests of the key may pass at once, and if none may, after which time one may.
    pub fn standing(&self, key: BucketKey, now: Instant) -> (u64, Duration) {
        match self.look(key, now) {
            LimitVerdict::Passed { left, .. } => (left + 1, Duration::ZERO),
            LimitVerdict::Refused { wait } => (0, wait),
        }
    }

    /// No request of the key passes before `wait` is over: another host has let too many through.
    pub fn hold(&self, key: BucketKey, now: Instant, wait: Duration) {
        let now = self.ticks_at(now);
        let wait = self.ticks_of(wait);
        let until = now.saturating_add(wait) + self.tolerance() - self.interval;
        loop {
            let (place, word) = self.find(key);
            if word >> self.tag_bits >= until || self.replace(place, word, until, key.tag) {
                return;
            }
        }
    }

    /// The verdict over a request for a bucket that is `word`, and the time at which it is full again afterwards.
    fn judge(&self, word: u64, now: u64) -> (LimitVerdict, u64) {
        let next = (word >> self.tag_bits).max(now) + self.interval;
        let (ahead, most) = (next - now, self.tolerance());
        let verdict = match most.checked_sub(ahead) {
            None => LimitVerdict::Refused {
                wait: self.span_of(ahead - most),
            },
            Some(room) if room < self.interval => LimitVerdict::Passed {
                left: 0,
                wait: self.span_of(self.interval - room),
            },
            Some(room) => LimitVerdict::Passed {
                left: room / self.interval,
                wait: Duration::ZERO,
            },
        };
        (verdict, next)
    }

    /// The word of the key, or the one that it may take; and what it is.
    fn find(&self, key: BucketKey) -> (&AtomicU64, u64) {
        let set = &self.words[key.first..key.first + self.ways];
        let mask = (1 << self.tag_bits) - 1;
        let mut least = (&set[0], u64::MAX);
        // Relaxed: each word stands for itself.
        for place in set {
            let word = place.load(Ordering::Relaxed);
            if word & mask == key.tag {
                return (place, word);
            }
            if word < least.1 {
                least = (place, word);
            }
        }
        least
    }

    fn replace(&self, place: &AtomicU64, old: u64, time: u64, tag: u64) -> bool {
        let word = time << self.tag_bits | tag;
        place
            .compare_exchange(old, word, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    /// How far ahead the time may lie at which a bucket is full.
    fn tolerance(&self) -> u64 {
        self.interval.saturating_mul(self.burst)
    }

    /// The present moment in units of the table; they last for eight years, or for 500.
    fn ticks_at(&self, now: Instant) -> u64 {
        self.ticks_of(now.saturating_duration_since(self.origin))
    }

    /// A division of 128 bits would take longer than all the rest of an update.
    fn ticks_of(&self, span: Duration) -> u64 {
        let whole = span.as_secs().checked_mul(NANOS / self.tick);
        let part = u64::from(span.subsec_nanos()) / self.tick;
        let ticks = whole.and_then(|it| it.checked_add(part));
        ticks.unwrap_or(u64::MAX >> 1)
    }

    fn span_of(&self, ticks: u64) -> Duration {
        Duration::from_nanos(ticks.saturating_mul(self.tick))
    }
}

#[cfg(test)]
mod tests;
