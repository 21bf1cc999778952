//! The pool, beside what PostgreSQL knows of its sessions.

use std::thread;

use nix::sys::signal::Signal;

use super::super::postgres_moods::Hold;
use super::*;
use crate::harness::Database;

const IN_USE: &str = r#"oxicorn_pool_connections{state="in_use"}"#;
const WAITING: &str = "oxicorn_pool_waiting";
const TIMEOUTS: &str = "oxicorn_pool_timeouts_total";

/// Sessions of PostgreSQL for this database that meet the condition. Those that listen for the changes of other
/// processes are in no pool.
fn sessions(database: &Database, condition: &str) -> f64 {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND application_name <> 'psql'
         AND query NOT LIKE 'LISTEN%' AND {condition}",
        database.name()
    );
    number(&database.sql_elsewhere(&sql))
}

/// From then on, all statements of the service wait for this session to end.
fn lock(database: &Database) -> Hold {
    let hold = Hold::new(database, "BEGIN; LOCK TABLE tasks;");
    let locks = "SELECT count(*) FROM pg_locks WHERE granted AND mode = 'AccessExclusiveLock'
        AND relation = 'tasks'::regclass";
    eventually("the table is locked", || {
        (database.sql(locks) == "1").then_some(())
    });
    hold
}

#[test]
fn the_pool_is_what_pg_stat_activity_has() {
    let backends = postgres(CacheKind::Memory, EventsKind::Outbox);
    let database = backends.store.as_ref().expect("PostgreSQL");
    // Two workers with four connections and six threads each: twelve requests for eight connections.
    let builder = backends.service("metrics of the pool").threads(6);
    let builder = builder
        .env("POOL_TIMEOUT", "40")
        .args(&["--timeout", "120"]);
    let mut server = start_with_admin(builder.args(&["--task-cache-ttl", "0"]), 2);
    let open = || sessions(database, "true");
    let all = |it: &Exposition| it.sum("oxicorn_pool_connections");
    expect(&server, "all connections are counted", open, all);

    let hold = lock(database);
    thread::scope(|scope| {
        let server = &server;
        for _ in 0..16 {
            // Who comes to a worker without a free thread waits for a thread, and later for a connection.
            scope.spawn(|| {
                let answer = server.client().get(&format!("{BASE}/tasks?limit=1"));
                answer.map(|answer| answer.status)
            });
        }
        let blocked = || sessions(database, "wait_event_type = 'Lock'");
        eventually("all connections are in use", || {
            (blocked() >= 8.0).then_some(())
        });
        // The runner has been caught, too.
        let in_use = |it: &Exposition| it.value(IN_USE);
        expect(server, "those in use", blocked, in_use);
        expect(server, "all connections are counted", open, all);
        expect(server, "threads wait", || 4.0, |it| it.value(WAITING));
        // Its gauges go with a worker, and its threads are no longer there to wait.
        children(server, "worker")[0].signal(Signal::SIGKILL);
        expect(
            server,
            "one worker's threads wait",
            || true,
            |it| it.value(WAITING) <= 4.0 && it.value(WAITING) >= 2.0,
        );
        // PostgreSQL keeps the four sessions of the dead one as long as they wait for the lock.
        let of_the_living = || blocked() - 4.0;
        expect(server, "those in use", of_the_living, in_use);
        drop(hold);
    });
    expect(
        &server,
        "nobody waits",
        || [0.0; 3],
        |it| it.values([WAITING, IN_USE, TIMEOUTS]),
    );
    expect(&server, "all connections are counted", open, all);
    server.tolerate("was killed by SIGKILL");
}

#[test]
fn who_gets_no_connection_in_time_is_counted_once() {
    let backends = postgres(CacheKind::Memory, EventsKind::Outbox);
    let database = backends.store.as_ref().expect("PostgreSQL");
    let builder = backends.service("metrics of time-outs").threads(6);
    let builder = builder.env("POOL_TIMEOUT", "1").args(&["--runners", "0"]);
    let builder = builder
        .args(&["--task-cache-ttl", "0", "--timeout", "120"])
        .admin();
    let mut server = builder.start_with_unknown_workers();
    eventually("it serves", || {
        (call(&server, "GET", "/tasks", None).0 == 200).then_some(())
    });
    let hold = lock(database);
    let mut refused = 0.0;
    thread::scope(|scope| {
        let blocked = || sessions(database, "wait_event_type = 'Lock'");
        for _ in 0..4 {
            scope.spawn(|| call(&server, "GET", "/tasks", None));
        }
        eventually("all connections are in use", || {
            (blocked() == 4.0).then_some(())
        });
        for _ in 0..3 {
            assert_eq!(call(&server, "GET", "/tasks", None).0, 503);
            refused += 1.0;
        }
        assert_eq!(server.exposition().value(TIMEOUTS), refused);
        drop(hold);
    });
    let old = children(&server, "worker");
    old[0].signal(Signal::SIGKILL);
    server.tolerate("was killed by SIGKILL");
    eventually("another worker", || {
        (children(&server, "worker") != old).then_some(())
    });
    expect(
        &server,
        "time-outs outlive the worker",
        || refused,
        |it| it.value(TIMEOUTS),
    );
    server.signal(Signal::SIGHUP);
    server.log().wait_for("Generation 2 serves");
    expect(
        &server,
        "time-outs outlive the reload",
        || refused,
        |it| it.value(TIMEOUTS),
    );
}
