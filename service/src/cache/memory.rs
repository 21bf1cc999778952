//! The cache of one process, bounded in bytes. Before each use it applies the changes of all processes, so it is
//! as fresh as its [`Tracker`]. If several threads miss the same key, one asks the store.
//!
//! ```text
//!   version = look()         apply the changes of all processes: drop what they invalidate
//!   find(key)                a body, if it is there and has not expired
//!   keep(version, key, ..)   unless the key has changed since that version, or may have
//! ```

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use oxicorn_common::WorkerContext;
use quick_cache::Weighter;
use quick_cache::sync::Cache as Bounded;

use super::single_flight::SingleFlight;
use super::{Cache, CacheResult, FreshBody, MakeBody, SharedBody, shortened, units};
use crate::metrics::CacheMetrics;
use crate::settings::ServiceSettings;
use crate::store::{self, Changes, Invalidate, StoreError, Tracker};

/// Lists of tasks that are kept. They are longer than other bodies, and any change of a task
/// invalidates all of them.
const LISTS: usize = 64;

/// Entries that a list of usual length counts as.
const UNITS_OF_A_LIST: usize = 64;

/// Recent changes that are remembered, for reads of the store that they overlap. The body of a read that spans more
/// changes is not kept.
const RECENT: usize = 1024;

/// A state of the store; bodies made from a later one are not mixed up with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct StoreVersion(u64);

#[derive(Debug, Clone)]
struct CacheEntry {
    body: SharedBody,
    until: Instant,
    /// The state that a list was made in.
    lists: u64,
}

/// Follows the changes of all processes, and remembers the recent ones.
#[derive(Debug)]
struct FollowedChanges {
    tracker: Box<dyn Tracker>,
    recent: VecDeque<(StoreVersion, String)>,
    /// All changes after this version are among the recent ones.
    complete_since: StoreVersion,
}

impl FollowedChanges {
    fn remember(&mut self, version: StoreVersion, keys: Vec<String>) {
        self.recent
            .extend(keys.into_iter().map(|key| (version, key)));
        while self.recent.len() > RECENT
            && let Some((forgotten, _)) = self.recent.pop_front()
        {
            self.complete_since = forgotten;
        }
    }

    /// Whether the key is known to be unchanged since that version.
    fn is_unchanged(&self, key: &str, since: StoreVersion) -> bool {
        let later = self.recent.iter().rev();
        let mut later = later.take_while(|(version, _)| *version > since);
        since >= self.complete_since && !later.any(|(_, changed)| changed == key)
    }
}

#[derive(Debug)]
pub(super) struct MemoryCache {
    followed: Mutex<FollowedChanges>,
    keeps_lists: bool,
    /// Counts the looks that found changes.
    version: AtomicU64,
    /// Counts the looks that found the change of a task.
    lists_since: AtomicU64,
    entries: Bounded<String, CacheEntry, EntryWeight>,
    lists: Bounded<String, CacheEntry, EntryWeight>,
    /// Absent if nothing is kept: no thread would find what another has made.
    single_flight: Option<SingleFlight>,
    jitter_per_cent: u32,
    metrics: CacheMetrics,
}

/// A body is that of one object or of a list.
#[derive(Debug, Clone, Copy)]
enum EntryKind {
    Thing,
    List,
}

#[derive(Debug, Clone)]
struct EntryWeight;

impl Weighter<String, CacheEntry> for EntryWeight {
    fn weight(&self, key: &String, kept: &CacheEntry) -> u64 {
        units(key, &kept.body)
    }
}

impl MemoryCache {
    pub(super) fn new(context: &WorkerContext) -> anyhow::Result<Self> {
        let settings = ServiceSettings::of(&context.settings);
        let metrics = CacheMetrics::of(&context.metrics)?;
        metrics.set_up(true);
        Ok(Self::over(store::tracker(context)?, settings, metrics))
    }

    fn over(tracker: Box<dyn Tracker>, settings: &ServiceSettings, metrics: CacheMetrics) -> Self {
        let (entries, lists) = (settings.cache_entries, LISTS.min(settings.cache_entries));
        let units = (lists * UNITS_OF_A_LIST) as u64;
        Self {
            keeps_lists: tracker.sees_lists(),
            followed: Mutex::new(FollowedChanges {
                tracker,
                recent: VecDeque::new(),
                complete_since: StoreVersion(0),
            }),
            version: AtomicU64::new(0),
            lists_since: AtomicU64::new(0),
            entries: Bounded::with_weighter(entries, entries as u64, EntryWeight),
            lists: Bounded::with_weighter(lists, units, EntryWeight),
            single_flight: (entries > 0).then(SingleFlight::default),
            jitter_per_cent: settings.cache_ttl_jitter,
            metrics,
        }
    }

    /// Drops what has changed, and returns the state of the store that the cache now reflects.
    fn look(&self) -> Result<StoreVersion, StoreError> {
        let mut followed = self.follow();
        let changes = followed.tracker.follow();
        let changes = changes.inspect_err(|_| self.metrics.errors.inc())?;
        Ok(self.forget(&mut followed, changes))
    }

    fn follow(&self) -> MutexGuard<'_, FollowedChanges> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, followed: &mut FollowedChanges, changes: Changes) -> StoreVersion {
        if changes == Changes::Nothing {
            return StoreVersion(self.version.load(Ordering::Relaxed));
        }
        // The caller holds the lock of `followed`, so no other thread counts meanwhile.
        let version = StoreVersion(self.version.fetch_add(1, Ordering::Relaxed) + 1);
        match changes {
            Changes::Nothing => {}
            Changes::Everything => {
                self.entries.clear();
                self.lists_since.fetch_add(1, Ordering::Relaxed);
                followed.recent.clear();
                followed.complete_since = version;
            }
            Changes::Keys(keys) => {
                for key in &keys {
                    self.entries.remove(key);
                }
                if keys.iter().any(|key| key.starts_with("task:")) {
                    self.lists_since.fetch_add(1, Ordering::Relaxed);
                }
                followed.remember(version, keys);
            }
        }
        version
    }

    fn entries_of(&self, kind: EntryKind) -> &Bounded<String, CacheEntry, EntryWeight> {
        match kind {
            EntryKind::Thing => &self.entries,
            EntryKind::List => &self.lists,
        }
    }

    fn find(&self, kind: EntryKind, key: &str) -> Option<SharedBody> {
        let kept = self.entries_of(kind).get(key)?;
        let fresh = match kind {
            EntryKind::Thing => true,
            EntryKind::List => kept.lists == self.lists_since.load(Ordering::Relaxed),
        };
        (fresh && kept.until > Instant::now()).then_some(kept.body)
    }

    /// The kept body, or else one made from the store.
    fn read(&self, kind: EntryKind, key: &str, make: &mut MakeBody<'_>) -> CacheResult {
        self.look()?;
        if let Some(body) = self.find(kind, key) {
            self.metrics.hits.inc();
            return Ok(Some(body));
        }
        let Some(single_flight) = &self.single_flight else {
            self.metrics.misses.inc();
            return Ok(make()?.map(|made| made.body));
        };
        // No key of an object begins with `?`.
        let flight = match kind {
            EntryKind::Thing => Cow::Borrowed(key),
            EntryKind::List => Cow::Owned(format!("?{key}")),
        };
        // Another thread may have made the body, now or just before this one led. Its body has to pass the check again:
        // it may have been read before this request began.
        let _lead = single_flight.lead(&flight);
        let version = self.look()?;
        if let Some(body) = self.find(kind, key) {
            self.metrics.hits.inc();
            return Ok(Some(body));
        }
        self.metrics.misses.inc();
        let Some(made) = make()? else {
            return Ok(None);
        };
        self.keep(kind, version, key, &made);
        Ok(Some(made.body))
    }

    /// Remembers what was made from the store as it was at `version`.
    fn keep(&self, kind: EntryKind, version: StoreVersion, key: &str, made: &FreshBody) {
        let followed = self.follow();
        // A change seen since may have invalidated this key before its body was here to be dropped. Any change of a
        // task invalidates a list.
        let is_unchanged = match kind {
            EntryKind::Thing => followed.is_unchanged(key, version),
            EntryKind::List => self.version.load(Ordering::Relaxed) == version.0,
        };
        if made.ttl.is_zero() || !is_unchanged {
            return;
        }
        let kept = CacheEntry {
            body: Arc::clone(&made.body),
            until: Instant::now() + shortened(made.ttl, self.jitter_per_cent),
            lists: self.lists_since.load(Ordering::Relaxed),
        };
        self.entries_of(kind).insert(key.to_owned(), kept);
    }
}

impl Invalidate for MemoryCache {
    /// Nothing to do: a body read before the change is not kept, because the change is among the recent ones by then.
    fn announce(&self, _keys: &[String]) -> bool {
        true
    }

    fn settle(&self, keys: &[String]) {
        self.forget(&mut self.follow(), Changes::Keys(keys.to_vec()));
    }
}

impl Cache for MemoryCache {
    fn read_through(&self, key: &str, make: &mut MakeBody<'_>) -> CacheResult {
        self.read(EntryKind::Thing, key, make)
    }

    fn read_list(&self, query: &str, make: &mut MakeBody<'_>) -> CacheResult {
        if !self.keeps_lists {
            return Ok(make()?.map(|made| made.body));
        }
        self.read(EntryKind::List, query, make)
    }

    fn kind(&self) -> &'static str {
        "memory"
    }

    fn is_up(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
