//! Copies of what Redis holds, in this process: a hit sends no command. A copy is used while the [`KeyVersions`] of its
//! key are as they were before Redis was asked, and for `near_cache_ttl` at most.
//!
//! A change in this server increments the version before it commits. Changes elsewhere arrive through the
//! [`super::invalidation_listener`] within a moment; while it hears nothing, no copy is used.

use std::time::{Duration, Instant};

use quick_cache::Weighter;
use quick_cache::sync::Cache as Bounded;

use super::invalidation_listener::LEASE_MILLIS;
use crate::cache::{SharedBody, units};
use crate::key_versions::{KeyVersion, KeyVersions};
use crate::settings::ServiceSettings;

#[derive(Debug)]
pub(super) struct NearCache {
    copies: Bounded<String, Copy, CopyWeight>,
    pub(super) versions: KeyVersions,
    most: Duration,
}

#[derive(Debug, Clone)]
struct Copy {
    body: SharedBody,
    version: KeyVersion,
    until: Instant,
}

#[derive(Debug, Clone)]
struct CopyWeight;

impl Weighter<String, Copy> for CopyWeight {
    fn weight(&self, key: &String, copy: &Copy) -> u64 {
        units(key, &copy.body)
    }
}

impl NearCache {
    pub(super) fn new(settings: &ServiceSettings, versions: KeyVersions) -> Self {
        let entries = settings.cache_entries;
        Self {
            copies: Bounded::with_weighter(entries, entries as u64, CopyWeight),
            versions,
            most: settings.near_cache_ttl,
        }
    }

    /// Whether copies are kept at all.
    pub(super) fn is_on(&self) -> bool {
        !self.most.is_zero()
    }

    pub(super) fn find(&self, key: &str) -> Option<SharedBody> {
        if !self.is_on() || !self.versions.are_current(LEASE_MILLIS) {
            return None;
        }
        let copy = self.copies.get(key)?;
        let good = copy.version == self.versions.of_key(key) && copy.until > Instant::now();
        good.then_some(copy.body)
    }

    /// Must be called before the command is sent to Redis.
    pub(super) fn version(&self, key: &str) -> KeyVersion {
        self.versions.of_key(key)
    }

    /// Keeps a body from Redis. Not that of a session: it expires to the second, and only Redis knows when.
    pub(super) fn keep(&self, key: &str, version: KeyVersion, body: &SharedBody) {
        let kept = self.is_on() && !key.starts_with("session:");
        if kept && self.versions.are_current(LEASE_MILLIS) {
            let copy = Copy {
                body: SharedBody::clone(body),
                version,
                until: Instant::now() + self.most,
            };
            self.copies.insert(key.to_owned(), copy);
        }
    }

    /// Invalidates the copies of keys that are about to change, or have changed.
    pub(super) fn spoil(&self, keys: &[String]) {
        keys.iter().for_each(|key| self.versions.changed(key));
    }
}
