//! What a worker remembers of the store: whole response bodies, by key. Bounded in bytes, and never
//! stale: before each use the worker asks the store whether anything has changed (see
//! `store::changes`).
//!
//! ```text
//!   moment = cache.look()       follow the changes of all processes, forget what they spoil
//!   cache.find(key)             a body, if it is there and its time is not over
//!   cache.keep(moment, key, ..) unless something has changed since that moment
//! ```

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use oxicorn_common::Settings;
use quick_cache::Weighter;
use quick_cache::sync::Cache as Bounded;

use super::store::{Changes, StoreError, Tracker};

/// Lists of tasks that are kept. They are longer than other bodies, and any change of a task
/// spoils all of them.
const LISTS: usize = 64;

/// Bytes that count as one entry: a longer body counts as several, so that no client can fill the
/// memory with a few thousand long ones.
const UNIT: usize = 1024;
/// Entries that a list of usual length counts as.
const UNITS_OF_A_LIST: usize = 64;

/// A response body, shared by the cache and the responses under way.
pub(crate) type Shared = Arc<[u8]>;

/// A state of the store; bodies made from a later one are not mixed up with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(u64);

#[derive(Debug, Clone)]
struct Kept {
    body: Shared,
    until: Instant,
    /// The state that a list was made in.
    lists: u64,
}

#[derive(Debug)]
pub(crate) struct Cache {
    tracker: Mutex<Tracker>,
    /// Counts looks that found something.
    moment: AtomicU64,
    /// Counts those that found a task among it.
    lists_since: AtomicU64,
    entries: Bounded<String, Kept, ByLength>,
    lists: Bounded<String, Kept, ByLength>,
}

#[derive(Debug, Clone)]
struct ByLength;

impl Weighter<String, Kept> for ByLength {
    /// At least 1: what weighs nothing is never evicted.
    fn weight(&self, key: &String, kept: &Kept) -> u64 {
        ((key.len() + kept.body.len()) / UNIT + 1) as u64
    }
}

impl Cache {
    pub(crate) fn new(settings: &Settings) -> anyhow::Result<Self> {
        let (entries, lists) = (settings.cache_entries, LISTS.min(settings.cache_entries));
        let units = (lists * UNITS_OF_A_LIST) as u64;
        Ok(Self {
            tracker: Mutex::new(Tracker::new(settings)?),
            moment: AtomicU64::new(0),
            lists_since: AtomicU64::new(0),
            entries: Bounded::with_weighter(entries, entries as u64, ByLength),
            lists: Bounded::with_weighter(lists, units, ByLength),
        })
    }

    /// Forgets what has changed, and says which state of the store is known now.
    pub(crate) fn look(&self) -> Result<Moment, StoreError> {
        let mut tracker = self.tracker.lock().unwrap_or_else(PoisonError::into_inner);
        match tracker.follow()? {
            Changes::Nothing => return Ok(Moment(self.moment.load(Ordering::Relaxed))),
            Changes::Everything => {
                self.entries.clear();
                self.lists_since.fetch_add(1, Ordering::Relaxed);
            }
            Changes::Keys(keys) => {
                for key in &keys {
                    self.entries.remove(key);
                }
                if keys.iter().any(|key| key.starts_with("task:")) {
                    self.lists_since.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        Ok(Moment(self.moment.fetch_add(1, Ordering::Relaxed) + 1))
    }

    pub(crate) fn find(&self, key: &str) -> Option<Shared> {
        let kept = self.entries.get(key)?;
        (kept.until > Instant::now()).then_some(kept.body)
    }

    /// Remembers what was made from the store as it was at `moment`.
    pub(crate) fn keep(&self, moment: Moment, key: &str, body: &Shared, ttl: Duration) {
        self.keep_in(&self.entries, moment, key, body, ttl);
    }

    pub(crate) fn find_list(&self, key: &str) -> Option<Shared> {
        let kept = self.lists.get(key)?;
        let fresh = kept.lists == self.lists_since.load(Ordering::Relaxed);
        (fresh && kept.until > Instant::now()).then_some(kept.body)
    }

    pub(crate) fn keep_list(&self, moment: Moment, key: &str, body: &Shared, ttl: Duration) {
        self.keep_in(&self.lists, moment, key, body, ttl);
    }

    fn keep_in(
        &self,
        entries: &Bounded<String, Kept, ByLength>,
        moment: Moment,
        key: &str,
        body: &Shared,
        ttl: Duration,
    ) {
        let _tracker = self.tracker.lock().unwrap_or_else(PoisonError::into_inner);
        // What was seen since may have spoiled this very key before it was here to be forgotten.
        if ttl.is_zero() || self.moment.load(Ordering::Relaxed) != moment.0 {
            return;
        }
        let kept = Kept {
            body: Arc::clone(body),
            until: Instant::now() + ttl,
            lists: self.lists_since.load(Ordering::Relaxed),
        };
        entries.insert(key.to_owned(), kept);
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::{NewTask, TaskType, Timestamp, UserRef};
    use super::super::store::{Store, testing};
    use super::*;

    const TTL: Duration = Duration::from_secs(60);

    fn add(store: &Store) -> String {
        let new = NewTask {
            user_id: UserRef::from_stored("1"),
            task_type: TaskType::FileUpload,
            priority: Default::default(),
            parameters: Default::default(),
        };
        let task = store.create_task(&new, Timestamp::now()).expect("a task");
        format!("task:{}", task.task_id)
    }

    #[test]
    fn a_change_by_anyone_is_seen_at_once_and_spoils_only_its_key() {
        let (_folder, settings) = testing::settings();
        let store = Store::open(&settings).expect("a store");
        let elsewhere = Store::open(&settings).expect("another");
        let cache = Cache::new(&settings).expect("a cache");
        let (one, two) = (add(&store), add(&store));
        let body: Shared = Arc::from(&b"x"[..]);
        let moment = cache.look().expect("a look");
        for key in [&one, &two] {
            cache.keep(moment, key, &body, TTL);
        }
        cache.keep_list(moment, "?", &body, TTL);
        assert_eq!(cache.look().expect("a look"), moment);
        assert!(cache.find(&one).is_some() && cache.find_list("?").is_some());

        elsewhere
            .cancel_task(1000, Timestamp::now())
            .expect("a change");
        let later = cache.look().expect("a look");
        assert_eq!(cache.find(&one), None);
        assert!(cache.find(&two).is_some());
        assert_eq!(cache.find_list("?"), None);
        cache.keep(moment, &one, &body, TTL);
        assert_eq!(cache.find(&one), None, "made before the change");
        cache.keep(later, &one, &body, TTL);
        assert!(cache.find(&one).is_some());
    }

    #[test]
    fn long_bodies_take_the_room_of_many() {
        let (_folder, mut settings) = testing::settings();
        settings.cache_entries = 64;
        let _store = Store::open(&settings).expect("a store");
        let cache = Cache::new(&settings).expect("a cache");
        let moment = cache.look().expect("a look");
        let keep = |key: &str, bytes: usize| {
            let body: Shared = vec![b'x'; bytes].into();
            cache.keep(moment, key, &body, TTL);
            cache.keep_list(moment, key, &body, TTL);
        };
        keep("too long", 100 * UNIT * UNITS_OF_A_LIST);
        assert!(cache.find("too long").is_none() && cache.find_list("too long").is_none());
        let key = |number: usize| format!("task:{number}");
        (0..1000).for_each(|number| keep(&key(number), 4 * UNIT));
        let kept = (0..1000).filter(|&number| cache.find(&key(number)).is_some());
        assert!((1..=64 / 5).contains(&kept.count()));
    }

    #[test]
    fn no_entries_and_no_time_are_no_cache() {
        let body: Shared = Arc::from(&b"x"[..]);
        for (entries, ttl) in [(0, TTL), (100, Duration::ZERO)] {
            let (_folder, mut settings) = testing::settings();
            settings.cache_entries = entries;
            let _store = Store::open(&settings).expect("a store");
            let cache = Cache::new(&settings).expect("a cache");
            let moment = cache.look().expect("a look");
            cache.keep(moment, "task:1", &body, ttl);
            cache.keep_list(moment, "", &body, ttl);
            assert!(cache.find("task:1").is_none() && cache.find_list("").is_none());
        }
    }
}
