//! The task service with its cache in a real Redis, which stops, hangs and comes back.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use super::*;
use crate::harness::OwnRedis;

const DOWN: &str = "does not answer";
const UP: &str = "answers again";

/// The value of a key, of any store.
fn body(redis: &OwnRedis, key: &str) -> String {
    let found = redis.ask(&["KEYS", &format!("{key}:*")]);
    let name = found.lines().next();
    name.map_or(String::new(), |name| redis.ask(&["GET", name]))
}

/// Two workers and a runner over one Redis.
fn begin(name: &str) -> (OwnRedis, Server) {
    let builder = service(name);
    let redis = OwnRedis::start(builder.dir());
    // A machine under load is not what these tests are about.
    let builder = builder.env("REDIS_URL", &redis.url());
    let builder = builder.args(&["--redis-timeout", "0.1"]);
    (redis, start(builder, 2))
}

/// Waits until a read puts its task into Redis: then that worker uses Redis.
fn wait_until_used(redis: &OwnRedis, server: &Server, id: i64) {
    let key = format!("task:{id}");
    eventually("the task is in Redis", || {
        task(server, id);
        body(redis, &key).starts_with('{').then_some(())
    });
}

/// Creates and cancels tasks, and reads each one after each step, for at least that long.
fn work_for(server: &Server, time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {
        let id = create(server, json!({"userId": 1, "taskType": "file_upload"}));
        task(server, id);
        let (status, _) = call(server, "PUT", &format!("/tasks/{id}/cancel"), None);
        // The runner may have been faster.
        let last = if status == 200 { "cancelled" } else { "failed" };
        // A process that cannot reach Redis writes the keys to the store. Another may read Redis until it finds them
        // there.
        eventually("the change is seen", || {
            (task(server, id)["status"] == last).then_some(())
        });
    }
}

#[test]
fn an_outage_is_told_once_when_it_begins_and_once_when_it_ends() {
    let (mut redis, server) = begin("redis outage");
    let id = create(
        &server,
        json!({"userId": 1, "parameters": {"numbers": [1]}}),
    );
    wait_for_status(&server, id, "completed");
    wait_until_used(&redis, &server, id);
    assert_eq!(server.log().count(DOWN), 0, "{}", server.log().text());

    redis.kill();
    work_for(&server, Duration::from_secs(1));
    let line = server.log().wait_for(DOWN);
    assert!(
        line.contains("[WARNING]") && line.contains("going on without it"),
        "{line}"
    );
    redis.start_again();
    server.log().wait_for(UP);
    wait_until_used(&redis, &server, id);

    redis.signal(Signal::SIGSTOP);
    // It hangs during all of the work: no request waits for it.
    work_for(&server, Duration::from_secs(1));
    server.log().wait_for_nth(DOWN, 2);
    redis.signal(Signal::SIGCONT);
    server.log().wait_for_nth(UP, 2);
    wait_until_used(&redis, &server, id);

    work_for(&server, Duration::from_millis(500));
    let told = (server.log().count(DOWN), server.log().count(UP));
    assert_eq!(told, (2, 2), "{}", server.log().text());
}

#[test]
fn a_redis_that_is_down_at_the_start_is_used_when_it_comes() {
    let builder = service("redis late");
    let mut redis = OwnRedis::start(builder.dir());
    redis.kill();
    let builder = builder.env("REDIS_URL", &redis.url());
    let server = start(builder, 2);
    let id = create(
        &server,
        json!({"userId": 1, "parameters": {"numbers": [1]}}),
    );
    wait_for_status(&server, id, "completed");
    server.log().wait_for(DOWN);
    redis.start_again();
    server.log().wait_for(UP);
    wait_until_used(&redis, &server, id);
    assert_eq!(task(&server, id)["status"], "completed");
}

#[test]
fn a_url_that_cannot_be_used_is_refused_by_name() {
    let ended = service("redis url")
        .env("REDIS_URL", "redis://me:secret@host:99999")
        .run();
    assert_eq!(ended.code, Some(4), "{}", ended.log);
    assert!(ended.log.contains("redis_url"), "{}", ended.log);
    assert!(!ended.log.contains("secret"), "{}", ended.log);
}

/// Two servers over one database and one Redis. One has copies of what the other changes, and learns of it only through
/// Redis.
#[test]
fn a_change_on_one_server_is_seen_on_another() {
    let (redis, here) = begin("redis here");
    let there = service("redis there")
        .env("REDIS_URL", &redis.url())
        .env(
            "DATABASE_URL",
            &format!("sqlite:{}/tasks.db", here.dir().display()),
        )
        .args(&["--near-cache-ttl", "600"]);
    let there = start(there, 1);
    let user = json!({"username": "dora", "email": "dora@example.org"});
    let (_, answer) = call(&here, "POST", "/users", Some(user));
    let path = format!("/users/{}", answer["user"]["userId"]);
    let name = || call(&there, "GET", &path, None).1["user"]["fullName"].clone();
    for round in 0..3 {
        eventually("it is answered from a copy", || {
            let before = redis.calls("get");
            name();
            (redis.calls("get") == before).then_some(())
        });
        let written = format!("Dora the {round}th");
        let (status, _) = call(&here, "PUT", &path, Some(json!({"fullName": written})));
        assert_eq!(status, 200);
        eventually("the other server shows it", || {
            (name() == written.as_str()).then_some(())
        });
    }
}
