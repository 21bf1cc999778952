//! What the cache keeps, what it drops, and how often it asks the store.

use std::cell::RefCell;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use oxicorn_common::Settings;

use super::EntryKind::{List, Thing};
use super::*;
use crate::cache::{FreshBody, UNIT};
use crate::model::{NewTask, TaskType, UserRef};
use crate::problem::Problem;
use crate::store::{Now, Store, testing};

const TTL: Duration = Duration::from_secs(60);

fn open(settings: &Settings) -> MemoryCache {
    MemoryCache::new(&testing::context(settings)).expect("a cache")
}

fn made(bytes: usize, ttl: Duration) -> FreshBody {
    FreshBody {
        body: vec![b'x'; bytes].into(),
        ttl,
    }
}

fn add(store: &dyn Store) -> String {
    let new = NewTask {
        user_id: UserRef::from_stored("1"),
        task_type: TaskType::FileUpload,
        priority: Default::default(),
        parameters: Default::default(),
    };
    let task = store.create_task(&new, Now::Store).expect("a task");
    format!("task:{}", task.task_id)
}

#[test]
fn a_change_by_anyone_is_seen_at_once_and_spoils_only_its_key() {
    let (_folder, settings) = testing::settings();
    let store = testing::open(&settings);
    let elsewhere = testing::open(&settings);
    let cache = open(&settings);
    let (one, two) = (add(&*store), add(&*store));
    let made = made(1, TTL);
    let version = cache.look().expect("a look");
    for key in [&one, &two] {
        cache.keep(Thing, version, key, &made);
    }
    cache.keep(List, version, "?", &made);
    assert_eq!(cache.look().expect("a look"), version);
    assert!(cache.find(Thing, &one).is_some() && cache.find(List, "?").is_some());

    elsewhere.cancel_task(1000, Now::Store).expect("a change");
    let later = cache.look().expect("a look");
    assert_eq!(cache.find(Thing, &one), None);
    assert!(cache.find(Thing, &two).is_some());
    assert_eq!(cache.find(List, "?"), None);
    cache.keep(Thing, version, &one, &made);
    assert_eq!(cache.find(Thing, &one), None, "made before the change");
    cache.keep(Thing, later, &one, &made);
    assert!(cache.find(Thing, &one).is_some());
}

#[test]
fn what_is_read_while_other_keys_change_is_kept() {
    let (_folder, settings) = testing::settings();
    let _store = testing::open(&settings);
    let cache = open(&settings);
    let (made, others) = (made(1, TTL), |count: usize| {
        (0..count).map(|number| format!("user:{number}")).collect()
    });
    let keep_after = |changed: Vec<String>| {
        let version = cache.look().expect("a look");
        cache.settle(&changed);
        cache.keep(Thing, version, "task:1", &made);
        cache.find(Thing, "task:1").is_some()
    };
    assert!(keep_after(others(10)));
    assert!(!keep_after(vec!["user:1".into(), "task:1".into()]));
    assert!(keep_after(others(RECENT)));
    cache.settle(&["task:1".into()]);
    assert!(!keep_after(others(RECENT + 1)), "more than is remembered");
    let version = cache.look().expect("a look");
    cache.forget(&mut cache.follow(), Changes::Everything);
    cache.keep(Thing, version, "task:1", &made);
    assert!(cache.find(Thing, "task:1").is_none());
}

#[test]
fn long_bodies_take_the_room_of_many() {
    let (_folder, mut settings) = testing::settings();
    ServiceSettings::of_mut(&mut settings).cache_entries = 64;
    let _store = testing::open(&settings);
    let cache = open(&settings);
    let version = cache.look().expect("a look");
    let keep = |key: &str, bytes: usize| {
        cache.keep(Thing, version, key, &made(bytes, TTL));
        cache.keep(List, version, key, &made(bytes, TTL));
    };
    keep("too long", 100 * UNIT * UNITS_OF_A_LIST);
    assert!(cache.find(Thing, "too long").is_none() && cache.find(List, "too long").is_none());
    let key = |number: usize| format!("task:{number}");
    (0..1000).for_each(|number| keep(&key(number), 4 * UNIT));
    let kept = (0..1000).filter(|&number| cache.find(Thing, &key(number)).is_some());
    assert!((1..=64 / 5).contains(&kept.count()));
}

#[test]
fn no_entries_and_no_time_are_no_cache() {
    for (entries, ttl) in [(0, TTL), (100, Duration::ZERO)] {
        let (_folder, mut settings) = testing::settings();
        ServiceSettings::of_mut(&mut settings).cache_entries = entries;
        let _store = testing::open(&settings);
        let cache = open(&settings);
        let version = cache.look().expect("a look");
        cache.keep(Thing, version, "task:1", &made(1, ttl));
        cache.keep(List, version, "", &made(1, ttl));
        assert!(cache.find(Thing, "task:1").is_none() && cache.find(List, "").is_none());
    }
}

/// Has that many threads read `key` together, and returns how often they asked the store. The first to ask waits until
/// all others wait for it, or ask too.
fn ask_together(cache: &MemoryCache, kind: EntryKind, key: &str, ask: &(dyn Fn() + Sync)) -> usize {
    const THREADS: usize = 16;
    let asked = AtomicUsize::new(0);
    let flight = match kind {
        Thing => key.to_owned(),
        List => format!("?{key}"),
    };
    let read = || {
        cache.read(kind, key, &mut || {
            asked.fetch_add(1, Ordering::SeqCst);
            let deadline = Instant::now() + Duration::from_secs(20);
            let joined = || {
                cache
                    .single_flight
                    .as_ref()
                    .map_or(0, |it| it.joined(&flight))
            };
            while asked.load(Ordering::SeqCst) + joined() < THREADS {
                assert!(Instant::now() < deadline, "{} wait", joined());
                std::thread::yield_now();
            }
            ask();
            Ok(Some(made(1, TTL)))
        })
    };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| assert!(read().expect("no error").is_some()));
        }
    });
    asked.into_inner()
}

#[test]
fn one_cold_key_costs_one_question() {
    let (_folder, settings) = testing::settings();
    let (store, cache) = (testing::open(&settings), open(&settings));
    let key = add(&*store);
    let id = key.trim_start_matches("task:").parse().expect("an id");
    let ask = || assert!(store.task(id).expect("no error").is_some());
    assert_eq!(ask_together(&cache, Thing, &key, &ask), 1);
    let list = || drop(store.tasks(&Default::default(), 50, 0).expect("no error"));
    assert_eq!(ask_together(&cache, List, "limit=50", &list), 1);
}

#[test]
fn who_waited_for_an_answer_from_before_a_change_asks_again() {
    let (_folder, settings) = testing::settings();
    let (store, elsewhere) = (testing::open(&settings), testing::open(&settings));
    let cache = open(&settings);
    let key = add(&*store);
    let id = key.trim_start_matches("task:").parse().expect("an id");
    let status = |then: &dyn Fn()| {
        let found = cache.read_through(&key, &mut || {
            let task = store.task(id)?.ok_or(Problem::NotFound("such task"))?;
            then();
            let body = task.summary.status.as_str().as_bytes().into();
            Ok(Some(FreshBody { body, ttl: TTL }))
        });
        found.expect("no error").expect("a task")
    };
    std::thread::scope(|scope| {
        let late = RefCell::new(None);
        status(&|| {
            // This thread leads and has read; now comes the change, and then a thread that waits.
            let cancelled = elsewhere.cancel_task(id, Now::Store);
            assert!(cancelled.expect("no error").is_some());
            late.replace(Some(scope.spawn(|| status(&|| {}))));
            let deadline = Instant::now() + Duration::from_secs(20);
            let single_flight = cache.single_flight.as_ref().expect("a cache");
            while single_flight.joined(&key) == 0 {
                assert!(Instant::now() < deadline, "nobody waits");
                std::thread::yield_now();
            }
        });
        let late = late.take().expect("a thread");
        assert_eq!(&*late.join().expect("no panic"), b"cancelled");
    });
}
