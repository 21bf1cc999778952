//! A cache in this process. Bounded in bytes, and as fresh as its tracker: before each use it
//! follows the changes of all processes. Threads that miss one key together ask the store once.
//!
//! ```text
//!   moment = look()         follow the changes of all processes, forget what they spoil
//!   find(key)               a body, if it is there and its time is not over
//!   keep(moment, key, ..)   unless the key has changed since that moment, or might have
//! ```

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use oxicorn_common::{Settings, WorkerContext};
use quick_cache::Weighter;
use quick_cache::sync::Cache as Bounded;

use super::flights::Flights;
use super::{Cache, Found, Made, Make, Shared, shortened, units};
use crate::store::{self, Changes, Invalidate, StoreError, Tracker};

/// Lists of tasks that are kept. They are longer than other bodies, and any change of a task
/// spoils all of them.
const LISTS: usize = 64;

/// Entries that a list of usual length counts as.
const UNITS_OF_A_LIST: usize = 64;

/// Changes that are remembered, for who reads the store while they happen. A read that takes longer
/// than so many changes is not kept.
const RECENT: usize = 1024;

/// A state of the store; bodies made from a later one are not mixed up with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(u64);

#[derive(Debug, Clone)]
struct Kept {
    body: Shared,
    until: Instant,
    /// The state that a list was made in.
    lists: u64,
}

/// What all processes change, and what they have changed lately.
#[derive(Debug)]
struct Followed {
    tracker: Box<dyn Tracker>,
    recent: VecDeque<(Moment, String)>,
    /// All changes after this moment are among the recent ones.
    complete_since: Moment,
}

impl Followed {
    fn remember(&mut self, moment: Moment, keys: Vec<String>) {
        self.recent
            .extend(keys.into_iter().map(|key| (moment, key)));
        while self.recent.len() > RECENT
            && let Some((forgotten, _)) = self.recent.pop_front()
        {
            self.complete_since = forgotten;
        }
    }

    /// Whether it is known that the key is as it was.
    fn is_unchanged(&self, key: &str, since: Moment) -> bool {
        let later = self.recent.iter().rev();
        let mut later = later.take_while(|(moment, _)| *moment > since);
        since >= self.complete_since && !later.any(|(_, changed)| changed == key)
    }
}

#[derive(Debug)]
pub(super) struct Memory {
    followed: Mutex<Followed>,
    keeps_lists: bool,
    /// Counts looks that found something.
    moment: AtomicU64,
    /// Counts those that found a task among it.
    lists_since: AtomicU64,
    entries: Bounded<String, Kept, ByLength>,
    lists: Bounded<String, Kept, ByLength>,
    /// Absent where nothing is kept: nobody would find what another has made.
    flights: Option<Flights>,
    jitter_per_cent: u32,
}

/// What is kept of one thing, and what is kept of a list.
#[derive(Debug, Clone, Copy)]
enum Shelf {
    Things,
    Lists,
}

#[derive(Debug, Clone)]
struct ByLength;

impl Weighter<String, Kept> for ByLength {
    fn weight(&self, key: &String, kept: &Kept) -> u64 {
        units(key, &kept.body)
    }
}

impl Memory {
    pub(super) fn new(context: &WorkerContext) -> anyhow::Result<Self> {
        Ok(Self::over(store::tracker(context)?, &context.settings))
    }

    fn over(tracker: Box<dyn Tracker>, settings: &Settings) -> Self {
        let (entries, lists) = (settings.cache_entries, LISTS.min(settings.cache_entries));
        let units = (lists * UNITS_OF_A_LIST) as u64;
        Self {
            keeps_lists: tracker.sees_lists(),
            followed: Mutex::new(Followed {
                tracker,
                recent: VecDeque::new(),
                complete_since: Moment(0),
            }),
            moment: AtomicU64::new(0),
            lists_since: AtomicU64::new(0),
            entries: Bounded::with_weighter(entries, entries as u64, ByLength),
            lists: Bounded::with_weighter(lists, units, ByLength),
            flights: (entries > 0).then(Flights::default),
            jitter_per_cent: settings.cache_ttl_jitter,
        }
    }

    /// Forgets what has changed, and says which state of the store is known now.
    fn look(&self) -> Result<Moment, StoreError> {
        let mut followed = self.follow();
        let changes = followed.tracker.follow()?;
        Ok(self.forget(&mut followed, changes))
    }

    fn follow(&self) -> MutexGuard<'_, Followed> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, followed: &mut Followed, changes: Changes) -> Moment {
        if changes == Changes::Nothing {
            return Moment(self.moment.load(Ordering::Relaxed));
        }
        // Only who follows comes here, so nobody else counts meanwhile.
        let moment = Moment(self.moment.fetch_add(1, Ordering::Relaxed) + 1);
        match changes {
            Changes::Nothing => {}
            Changes::Everything => {
                self.entries.clear();
                self.lists_since.fetch_add(1, Ordering::Relaxed);
                followed.recent.clear();
                followed.complete_since = moment;
            }
            Changes::Keys(keys) => {
                for key in &keys {
                    self.entries.remove(key);
                }
                if keys.iter().any(|key| key.starts_with("task:")) {
                    self.lists_since.fetch_add(1, Ordering::Relaxed);
                }
                followed.remember(moment, keys);
            }
        }
        moment
    }

    fn shelf(&self, shelf: Shelf) -> &Bounded<String, Kept, ByLength> {
        match shelf {
            Shelf::Things => &self.entries,
            Shelf::Lists => &self.lists,
        }
    }

    fn find(&self, shelf: Shelf, key: &str) -> Option<Shared> {
        let kept = self.shelf(shelf).get(key)?;
        let fresh = match shelf {
            Shelf::Things => true,
            Shelf::Lists => kept.lists == self.lists_since.load(Ordering::Relaxed),
        };
        (fresh && kept.until > Instant::now()).then_some(kept.body)
    }

    /// What is there, or else what is made of the store.
    fn read(&self, shelf: Shelf, key: &str, make: &mut Make<'_>) -> Found {
        self.look()?;
        if let Some(body) = self.find(shelf, key) {
            return Ok(Some(body));
        }
        let Some(flights) = &self.flights else {
            return Ok(make()?.map(|made| made.body));
        };
        // No key of a thing begins so.
        let flight = match shelf {
            Shelf::Things => Cow::Borrowed(key),
            Shelf::Lists => Cow::Owned(format!("?{key}")),
        };
        // Another thread may have landed, now or just before we led. What it has made will not do as
        // such: it may have read before this request began.
        let _lead = flights.lead(&flight);
        let moment = self.look()?;
        if let Some(body) = self.find(shelf, key) {
            return Ok(Some(body));
        }
        let Some(made) = make()? else {
            return Ok(None);
        };
        self.keep(shelf, moment, key, &made);
        Ok(Some(made.body))
    }

    /// Remembers what was made from the store as it was at `moment`.
    fn keep(&self, shelf: Shelf, moment: Moment, key: &str, made: &Made) {
        let followed = self.follow();
        // What was seen since may have spoiled this very key before it was here to be forgotten; and any
        // change of a task spoils a list.
        let is_unchanged = match shelf {
            Shelf::Things => followed.is_unchanged(key, moment),
            Shelf::Lists => self.moment.load(Ordering::Relaxed) == moment.0,
        };
        if made.ttl.is_zero() || !is_unchanged {
            return;
        }
        let kept = Kept {
            body: Arc::clone(&made.body),
            until: Instant::now() + shortened(made.ttl, self.jitter_per_cent),
            lists: self.lists_since.load(Ordering::Relaxed),
        };
        self.shelf(shelf).insert(key.to_owned(), kept);
    }
}

impl Invalidate for Memory {
    /// Nobody keeps what was read before the change: by then it is among the recent ones.
    fn announce(&self, _keys: &[String]) -> bool {
        true
    }

    fn settle(&self, keys: &[String]) {
        self.forget(&mut self.follow(), Changes::Keys(keys.to_vec()));
    }
}

impl Cache for Memory {
    fn read_through(&self, key: &str, make: &mut Make<'_>) -> Found {
        self.read(Shelf::Things, key, make)
    }

    fn read_list(&self, query: &str, make: &mut Make<'_>) -> Found {
        if !self.keeps_lists {
            return Ok(make()?.map(|made| made.body));
        }
        self.read(Shelf::Lists, query, make)
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
