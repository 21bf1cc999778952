//! The cache, beside what Redis counts.

use nix::sys::signal::Signal;
use serde_json::json;

use super::*;
use crate::harness::OwnRedis;

pub(super) const HITS: &str = "oxicorn_cache_hits_total";
pub(super) const MISSES: &str = "oxicorn_cache_misses_total";
pub(super) const ERRORS: &str = "oxicorn_cache_errors_total";

/// What `INFO` of Redis says of reads: hits and misses of keys, without the checks of the server, which list a set.
fn keyspace(redis: &OwnRedis) -> [f64; 2] {
    let info = redis.ask(&["INFO", "everything"]);
    let field = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name));
        let value = line.and_then(|rest| rest.split([',', '\r']).next());
        value.map_or(0.0, number)
    };
    let lists = field("cmdstat_zrange:calls=");
    [field("keyspace_hits:") - lists, field("keyspace_misses:")]
}

#[test]
fn hits_and_misses_are_those_of_redis() {
    let builder = service("metrics of Redis");
    let mut redis = OwnRedis::start(builder.dir());
    // No copies, so that each read is one of Redis. Nothing expires.
    let builder = builder.env("REDIS_URL", &redis.url());
    let builder = builder.args(&["--near-cache-ttl", "0", "--redis-timeout", "10"]);
    let builder = builder.args(&["--task-cache-ttl", "3600", "--runners", "1"]);
    let mut server = start_with_admin(builder, 2);
    let up = [
        r#"oxicorn_cache_processes{state="up"}"#,
        r#"oxicorn_cache_processes{state="down"}"#,
    ];
    expect(&server, "all use Redis", || [3.0, 0.0], |it| it.values(up));

    let ids: Vec<i64> = (0..10)
        .map(|_| {
            create(
                &server,
                json!({"userId": 1, "parameters": {"numbers": [1]}}),
            )
        })
        .collect();
    eventually("all are done", || {
        let list = call(&server, "GET", "/tasks?status=completed", None).1;
        (list["pagination"]["total"] == 10).then_some(())
    });
    // Of each change, Redis has been told that it is over.
    eventually("nothing is kept or marked", || {
        redis.ask(&["KEYS", "task:*"]).is_empty().then_some(())
    });
    let before = (keyspace(&redis), server.exposition().values([HITS, MISSES]));
    for _ in 0..20 {
        for id in &ids {
            task(&server, *id);
        }
    }
    let after = (keyspace(&redis), server.exposition().values([HITS, MISSES]));
    let [hits, misses] = [0, 1].map(|at| after.1[at] - before.1[at]);
    assert_eq!([hits, misses], [190.0, 10.0]);
    // A miss looks twice, and fills what it has reserved.
    let theirs = [0, 1].map(|at| after.0[at] - before.0[at]);
    assert_eq!(theirs, [hits + misses, 2.0 * misses]);
    assert_eq!(server.exposition().value(ERRORS), 0.0);

    redis.kill();
    server.tolerate("Redis at");
    for id in &ids {
        task(&server, *id);
    }
    let found = server.exposition().values([HITS, MISSES, ERRORS]);
    assert_eq!(found, [after.1[0], after.1[1], 10.0]);
    // The others have it from their own checks.
    expect(
        &server,
        "nobody uses Redis",
        || [0.0, 3.0],
        |it| it.values(up),
    );
    redis.start_again();
    expect(&server, "all use Redis", || [3.0, 0.0], |it| it.values(up));
    for worker in children(&server, "worker") {
        worker.signal(Signal::SIGKILL);
    }
    server.tolerate("was killed by SIGKILL");
    expect(&server, "all use Redis", || [3.0, 0.0], |it| it.values(up));
    assert_eq!(server.exposition().values([HITS, MISSES, ERRORS]), found);
}

#[test]
fn a_copy_in_the_worker_is_a_hit_that_redis_does_not_see() {
    let builder = service("metrics of copies");
    let redis = OwnRedis::start(builder.dir());
    let builder = builder.env("REDIS_URL", &redis.url());
    let builder = builder.args(&["--near-cache-ttl", "3600", "--redis-timeout", "10"]);
    let server = start_with_admin(builder, 1);
    let id = create(&server, json!({"userId": 1, "taskType": "file_upload"}));
    wait_for_status(&server, id, "failed");
    let hits = |it: &Exposition| it.value(HITS);
    eventually("it is answered from a copy", || {
        let (before, ours) = (keyspace(&redis), hits(&server.exposition()));
        for _ in 0..10 {
            task(&server, id);
        }
        let same = keyspace(&redis) == before;
        (same && hits(&server.exposition()) == ours + 10.0).then_some(())
    });
}
