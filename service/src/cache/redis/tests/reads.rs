//! What readers find in Redis, and what they leave there.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use redis::cmd;

use super::super::testing::Ground;
use super::super::*;
use crate::problem::Problem;

#[test]
fn a_hundred_threads_ask_the_store_once() {
    let mut ground = Ground::new();
    ServiceSettings::of_mut(&mut ground.settings).redis_timeout =
        std::time::Duration::from_secs(10);
    let process = ground.process();
    let id = ground.add_task();
    let (asked, together) = (AtomicUsize::new(0), Barrier::new(100));
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                together.wait();
                let status = process.status_by(id, || {
                    asked.fetch_add(1, Ordering::Relaxed);
                });
                assert_eq!(status, "pending");
            });
        }
    });
    assert_eq!(asked.into_inner(), 1);
}

#[test]
fn one_process_finds_what_another_has_read() {
    let ground = Ground::new();
    let (one, two) = (ground.process(), ground.process());
    let id = ground.add_task();
    assert!(!one.remembers(id));
    assert!(one.remembers(id) && two.remembers(id));
}

#[test]
fn times_to_live_are_shortened_at_random() {
    let mut ground = Ground::new();
    ServiceSettings::of_mut(&mut ground.settings).cache_ttl_jitter = 50;
    let process = ground.process();
    let times: Vec<i64> = (0..50)
        .map(|_| {
            let id = ground.add_task();
            process.status(id);
            ground.server.ask(cmd("PTTL").arg(ground.place(id)))
        })
        .collect();
    // Of 60 s; a slow machine may have spent some.
    assert!(
        times.iter().all(|it| (20_000..=60_000).contains(it)),
        "{times:?}"
    );
    let spread = times.iter().max().zip(times.iter().min());
    assert!(
        spread.is_some_and(|(most, least)| most - least > 10_000),
        "{times:?}"
    );
}

#[test]
fn what_does_not_exist_or_cannot_be_read_is_not_remembered() {
    let ground = Ground::new();
    let process = ground.process();
    let nothing = process.cache.read_through("task:1", &mut || Ok(None));
    assert!(nothing.expect("no error").is_none());
    let failed = process
        .cache
        .read_through("task:1", &mut || Err(Problem::Busy));
    assert!(failed.is_err());
    let left: i64 = ground.server.ask(cmd("EXISTS").arg(ground.name("task:1")));
    assert_eq!(left, 0, "not even a reservation");
    let made = || FreshBody {
        body: b"{}".to_vec().into(),
        ttl: std::time::Duration::ZERO,
    };
    let none = process
        .cache
        .read_through("task:1", &mut || Ok(Some(made())));
    assert_eq!(none.expect("no error").as_deref(), Some(&b"{}"[..]));
    let left: i64 = ground.server.ask(cmd("EXISTS").arg(ground.name("task:1")));
    assert_eq!(left, 0, "no time to live");
}

#[test]
fn a_key_of_somebody_else_is_left_alone() {
    let ground = Ground::new();
    let process = ground.process();
    let id = ground.add_task();
    let _: i64 = ground
        .server
        .ask(cmd("RPUSH").arg(ground.place(id)).arg("x"));
    assert!(!process.remembers(id) && !process.remembers(id));
    assert!(process.cache.is_up());
    let kind: String = ground.server.ask(cmd("TYPE").arg(ground.place(id)));
    assert_eq!(kind, "list");
}
