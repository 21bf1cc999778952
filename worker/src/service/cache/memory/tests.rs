//! What is kept, and what is forgotten.

use super::*;
use crate::service::cache::UNIT;
use crate::service::model::{NewTask, TaskType, Timestamp, UserRef};
use crate::service::store::{Store, testing};

const TTL: Duration = Duration::from_secs(60);

fn open(settings: &Settings) -> Memory {
    Memory::new(&testing::context(settings)).expect("a cache")
}

fn add(store: &dyn Store) -> String {
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
    let store = testing::open(&settings);
    let elsewhere = testing::open(&settings);
    let cache = open(&settings);
    let (one, two) = (add(&*store), add(&*store));
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
    let _store = testing::open(&settings);
    let cache = open(&settings);
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
        let _store = testing::open(&settings);
        let cache = open(&settings);
        let moment = cache.look().expect("a look");
        cache.keep(moment, "task:1", &body, ttl);
        cache.keep_list(moment, "", &body, ttl);
        assert!(cache.find("task:1").is_none() && cache.find_list("").is_none());
    }
}
