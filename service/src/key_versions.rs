//! Shared version counters that invalidate copies: each worker keeps copies of what Redis holds, and uses one
//! only while the version of its key stays.
//!
//! ```text
//!   keep a copy:   version = of_key(key), then read; the copy carries the version
//!   use a copy:    only while of_key(key) is the same, and the versions are current
//!   a change:      changed(key)
//! ```
//!
//! Changes that other servers make come in through one process, which listens for all: see
//! [`KeyVersions::become_listener`]. If no process has listened lately, no copy may be used.

use std::sync::atomic::{AtomicU64, Ordering};

use oxicorn_common::clock::monotonic_millis;
use oxicorn_common::{SharedMemory, WorkerContext};

use super::shared_words::KEY_VERSIONS;

/// After the counters: counts the times that any key may have changed.
const ERA: usize = KEY_VERSIONS.end - 3;
/// Milliseconds of the monotonic clock: all changes before then have been heard. 0 is never.
const HEARD: usize = KEY_VERSIONS.end - 2;
/// The number of the process that listens.
const LISTENER: usize = KEY_VERSIONS.end - 1;

/// The state of a key. Equal versions: no change was reported in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyVersion {
    era: u64,
    count: u64,
}

/// The versions of one server. Clones and forked copies are the same words.
#[derive(Debug, Clone)]
pub(crate) struct KeyVersions(SharedMemory);

impl KeyVersions {
    pub(crate) fn of(context: &WorkerContext) -> Self {
        Self(context.shared_memory.clone())
    }

    pub(crate) fn of_key(&self, key: &str) -> KeyVersion {
        KeyVersion {
            era: self.0[ERA].load(Ordering::Acquire),
            count: self.counter(key).load(Ordering::Acquire),
        }
    }

    /// Invalidates the copies of `key`.
    pub(crate) fn changed(&self, key: &str) {
        self.counter(key).fetch_add(1, Ordering::AcqRel);
    }

    /// Invalidates all copies.
    pub(crate) fn all_changed(&self) {
        self.0[ERA].fetch_add(1, Ordering::AcqRel);
    }

    /// Whether all changes of other servers until `lease_millis` ago have been heard.
    pub(crate) fn are_current(&self, lease_millis: u64) -> bool {
        let heard = self.0[HEARD].load(Ordering::Acquire);
        monotonic_millis().saturating_sub(heard) < lease_millis
    }

    /// Makes `process` the listener, if no process has listened for `lease_millis`.
    pub(crate) fn become_listener(&self, process: u64, lease_millis: u64) -> bool {
        let before = self.0[LISTENER].load(Ordering::Acquire);
        !self.are_current(lease_millis)
            && self.0[LISTENER]
                .compare_exchange(before, process, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
    }

    /// Notes that `process` has heard all changes before `at` of [`monotonic_millis`]. False if another process listens
    /// now.
    pub(crate) fn heard(&self, process: u64, at: u64) -> bool {
        let listens = self.0[LISTENER].load(Ordering::Acquire) == process;
        if listens {
            self.0[HEARD].store(at, Ordering::Release);
        }
        listens
    }

    /// Notes that `process` does not listen any more.
    pub(crate) fn stop_listening(&self, process: u64) {
        if self.0[LISTENER].load(Ordering::Acquire) == process {
            self.0[HEARD].store(0, Ordering::Release);
        }
    }

    /// Keys that share a counter invalidate each other's copies, which costs one read of Redis.
    fn counter(&self, key: &str) -> &AtomicU64 {
        let counters = &self.0[KEY_VERSIONS.start..ERA];
        // FNV-1a: the same in every process.
        let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325, mix);
        &counters[(hash ^ (hash >> 32)) as usize % counters.len()]
    }
}

#[cfg(test)]
impl KeyVersions {
    /// The versions of a new server.
    pub(crate) fn new() -> Self {
        Self(SharedMemory::new(super::shared_words::WORDS).expect("memory"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_spoils_what_was_read_before_it() {
        let versions = KeyVersions::new();
        let elsewhere = versions.clone();
        let version = versions.of_key("task:1");
        assert_eq!(elsewhere.of_key("task:1"), version);
        elsewhere.changed("task:1");
        assert_ne!(versions.of_key("task:1"), version);
        let version = versions.of_key("task:2");
        versions.all_changed();
        assert_ne!(versions.of_key("task:2"), version);
    }

    #[test]
    fn one_listens_and_another_takes_over_when_it_is_silent() {
        const LEASE: u64 = 60_000;
        let versions = KeyVersions::new();
        let lease = LEASE.min(monotonic_millis());
        assert!(!versions.are_current(lease));
        assert!(versions.become_listener(1, lease));
        assert!(versions.heard(1, monotonic_millis()) && versions.are_current(lease));
        assert!(!versions.become_listener(2, lease), "the first one listens");
        versions.stop_listening(1);
        assert!(!versions.are_current(lease) && versions.become_listener(2, lease));
        assert!(
            !versions.heard(1, monotonic_millis()),
            "it has lost its turn"
        );
        assert!(!versions.are_current(lease));
    }
}
