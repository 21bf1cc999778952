//! The contents of Redis, as another client sees them.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::harness::{Keyspace, Server};

/// The bounds of the guide for lifetimes.
const LEAST: Duration = Duration::from_secs(5 * 60);
const MOST: Duration = Duration::from_secs(60 * 60);
/// The default lifetimes, and how much shorter an entry may live.
const TASK_TTL: Duration = Duration::from_secs(600);
const USER_TTL: Duration = Duration::from_secs(3600);
const JITTER_PERCENT: u64 = 10;
/// The time between writing a key and checking it.
const LATE: Duration = Duration::from_secs(20);

/// Every body is under its key, as JSON, for its lifetime; a write removes it.
pub(super) fn redis_holds_what_was_read(backends: &Backends) {
    let keyspace = backends.cache.as_ref().expect("Redis");
    let builder = backends.service("redis").args(&["--runners", "0"]);
    // A machine under load is not what this test is about.
    let builder = builder.args(&["--redis-timeout", "0.1"]);
    let server = builder.workers(2).start();
    let user = json!({"username": "dora", "email": "dora@example.org"});
    let (_, answer) = call(&server, "POST", "/users", Some(user));
    let user = answer["user"]["userId"].clone();
    let (_, answer) = call(&server, "POST", "/sessions", Some(json!({"userId": user})));
    let session = answer["session"]["sessionId"].as_str().expect("an id");
    let task = create(&server, json!({"userId": user}));
    for (path, key, ttl) in [
        (format!("/tasks/{task}"), format!("task:{task}"), TASK_TTL),
        (format!("/users/{user}"), format!("user:{user}"), USER_TTL),
        (
            format!("/sessions/{session}"),
            format!("session:{session}"),
            TASK_TTL,
        ),
    ] {
        assert_eq!(holds(keyspace, &key), None, "{key} before it was read");
        // A new worker may not use Redis yet.
        let read = eventually(&format!("{key} is what was read"), || {
            let (_, read) = call(&server, "GET", &path, None);
            (holds(keyspace, &key).as_ref() == Some(&read)).then_some(read)
        });
        assert_eq!(call(&server, "GET", &path, None).1, read);
        assert_time_left(keyspace, &key, ttl);
    }
    let cancel = format!("/tasks/{task}/cancel");
    assert_eq!(call(&server, "PUT", &cancel, None).0, 200);
    assert_eq!(
        holds(keyspace, &format!("task:{task}")),
        None,
        "after a write"
    );
    the_times_differ(&server, keyspace);
}

/// Entries that were made together do not expire together.
fn the_times_differ(server: &Server, keyspace: &Keyspace) {
    let ids: Vec<i64> = (0..30)
        .map(|it| create(server, json!({"userId": it})))
        .collect();
    for id in &ids {
        task(server, *id);
    }
    let times = ids
        .iter()
        .map(|id| time_left_ms(keyspace, &format!("task:{id}")));
    let times: Vec<i64> = times.collect();
    let least = times.iter().min().expect("some");
    let most = times.iter().max().expect("some");
    // Without jitter they differ only by the time that the requests took.
    assert!(most - least > 5_000, "{times:?}");
}

fn assert_time_left(keyspace: &Keyspace, key: &str, ttl: Duration) {
    let left = u64::try_from(time_left_ms(keyspace, key)).expect("a key with a time to live");
    let most = u64::try_from(ttl.as_millis()).expect("a time to live");
    let least = most * (100 - JITTER_PERCENT) / 100 - LATE.as_secs() * 1000;
    assert!((least..=most).contains(&left), "{key}: {left} of {most} ms");
    let shortest = ttl * (100 - JITTER_PERCENT as u32) / 100;
    assert!(
        shortest >= LEAST && ttl <= MOST,
        "{key}: {shortest:?} to {ttl:?}"
    );
}

fn time_left_ms(keyspace: &Keyspace, key: &str) -> i64 {
    keyspace.time_left_ms(&keyspace.find(key).expect("a key"))
}

/// The body under a key. A reservation or a mark there is no JSON.
pub(super) fn holds(keyspace: &Keyspace, key: &str) -> Option<Value> {
    serde_json::from_str(&keyspace.text(&keyspace.find(key)?)?).ok()
}

/// The bodies under these keys.
pub(super) fn held(keyspace: &Keyspace, keys: &[String]) -> Vec<(String, Value)> {
    let words: Vec<&str> = ["MGET"]
        .into_iter()
        .chain(keys.iter().map(String::as_str))
        .collect();
    let values = keyspace.ask(&words);
    let values = values.as_array().expect("as many values as keys");
    let answers = keys.iter().zip(values).filter_map(|(key, value)| {
        let answer = serde_json::from_str(value.as_str()?).ok()?;
        Some((key.clone(), answer))
    });
    answers.collect()
}
