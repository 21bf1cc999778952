//! Copies in the process are used while they are valid, and no longer.

use std::time::Duration;

use redis::cmd;

use super::super::testing::{Ground, Process, key, until};
use super::super::*;
use crate::store::Now;

/// Several workers of one server over one Redis, with copies.
fn ground() -> Ground {
    let mut ground = Ground::new();
    ServiceSettings::of_mut(&mut ground.settings).near_cache_ttl = Duration::from_secs(600);
    ground
}

/// How often Redis was asked for a key while `step` ran.
fn questions(ground: &Ground, step: impl FnOnce()) -> u64 {
    let count = || {
        let stats: String = ground.server.ask(cmd("INFO").arg("commandstats"));
        let line = stats.lines().find(|it| it.starts_with("cmdstat_get:"));
        let calls = line.and_then(|it| it.split(['=', ',']).nth(1));
        calls.map_or(0, |it| it.parse::<u64>().expect("a number"))
    };
    let before = count();
    step();
    count() - before
}

/// Reads until the body comes from a copy.
fn wait_copied(ground: &Ground, process: &Process, id: i64) {
    until("there is a copy", || {
        questions(ground, || {
            process.status(id);
        }) == 0
    });
}

#[test]
fn a_copy_saves_the_question() {
    let ground = ground();
    let process = ground.process();
    let id = ground.add_task();
    wait_copied(&ground, &process, id);
    let asked = questions(&ground, || {
        (0..100).for_each(|_| assert_eq!(process.status(id), "pending"));
    });
    assert_eq!(asked, 0);
}

#[test]
fn a_change_of_one_worker_is_seen_by_another_at_once() {
    let ground = ground();
    let (one, two) = (ground.process(), ground.process());
    for _ in 0..20 {
        let id = ground.add_task();
        wait_copied(&ground, &two, id);
        one.cancel(id);
        assert_eq!(two.status(id), "cancelled");
        assert_eq!(one.status(id), "cancelled");
    }
}

/// Redis reports it as well, but no process listens here, as in the first moment of a server.
#[test]
fn a_change_of_one_worker_needs_no_ear_to_be_seen_by_another() {
    let ground = ground();
    ground.deafen();
    let (one, two) = (ground.process(), ground.process());
    let (id, other) = (ground.add_task(), ground.add_task());
    for id in [id, other] {
        wait_copied(&ground, &one, id);
        wait_copied(&ground, &two, id);
    }
    one.cancel(id);
    assert_eq!(two.status(id), "cancelled");
    assert_eq!(one.status(id), "cancelled");
    // Before the commit: after it, a reader could still have used the copy.
    assert!(two.cache.near.find(&key(other)).is_some());
    assert!(one.cache.announce(&[key(other)]));
    assert!(two.cache.near.find(&key(other)).is_none());
    one.cache.settle(&[key(other)]);
}

#[test]
fn a_change_of_another_server_is_heard() {
    let mut ground = ground();
    let here = ground.process();
    ground.be_another_server();
    let elsewhere = ground.process();
    for _ in 0..5 {
        let id = ground.add_task();
        wait_copied(&ground, &here, id);
        elsewhere.cancel(id);
        until("it is heard", || here.status(id) == "cancelled");
    }
    // Also after anything else that removes a key: all of them, or one.
    let id = ground.add_task();
    for step in [cmd("FLUSHALL"), cmd("DEL").arg(ground.place(id)).clone()] {
        wait_copied(&ground, &here, id);
        let () = ground.server.ask(&step);
        until("Redis is asked again", || {
            questions(&ground, || {
                here.status(id);
            }) > 0
        });
    }
}

#[test]
fn nobody_uses_a_copy_while_redis_is_silent() {
    let ground = ground();
    let process = ground.process();
    let id = ground.add_task();
    wait_copied(&ground, &process, id);
    ground.server.pause();
    until("copies are given up", || {
        process.cache.near.find(&key(id)).is_none()
    });
    // As if another server had done it while Redis was silent.
    ground.bare.cancel_task(id, Now::Store).expect("no error");
    assert_eq!(process.status(id), "cancelled");
    ground.server.resume();
    until("copies are used again", || {
        process
            .cache
            .near
            .versions
            .are_current(invalidation_listener::LEASE_MILLIS)
    });
}

#[test]
fn another_process_listens_when_the_first_is_gone() {
    let ground = ground();
    let first = ground.process();
    until("somebody listens", || {
        first
            .cache
            .near
            .versions
            .are_current(invalidation_listener::LEASE_MILLIS)
    });
    let second = ground.process();
    drop(first);
    let id = ground.add_task();
    wait_copied(&ground, &second, id);
}

#[test]
fn a_session_is_not_copied() {
    let ground = ground();
    let process = ground.process();
    until("somebody listens", || {
        process
            .cache
            .near
            .versions
            .are_current(invalidation_listener::LEASE_MILLIS)
    });
    let near = &process.cache.near;
    let body = SharedBody::from(&b"{}"[..]);
    near.keep("session:1", near.version("session:1"), &body);
    near.keep("user:1", near.version("user:1"), &body);
    assert!(near.find("session:1").is_none() && near.find("user:1").is_some());
    near.spoil(&["user:1".to_owned()]);
    assert!(near.find("user:1").is_none());
}
