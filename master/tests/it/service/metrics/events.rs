//! Tasks and events, beside the tables and the topic.

use nix::sys::signal::Signal;
use serde_json::json;

use super::cache::{ERRORS, HITS, MISSES};
use super::*;
use crate::harness::{Generation, eventually_step_by_step};

const OUTBOX: &str = "oxicorn_outbox_length";
const AGE: &str = "oxicorn_outbox_age_seconds";
const ACKS: &str = "oxicorn_kafka_acks_total";
const FAILED: &str = "oxicorn_kafka_errors_total";

/// The embedded default: SQLite, and a cache in each worker.
#[test]
fn without_any_server_the_figures_are_those_of_the_database() {
    let builder = service("metrics of SQLite").args(&["--task-cache-ttl", "3600"]);
    let mut server = start_with_admin(builder, 1);
    let done: Vec<i64> = (0..3)
        .map(|_| {
            create(
                &server,
                json!({"userId": 1, "parameters": {"numbers": [1]}}),
            )
        })
        .collect();
    let failed = create(
        &server,
        json!({"userId": 1, "taskType": "image_processing"}),
    );
    for id in &done {
        wait_for_status(&server, *id, "completed");
    }
    wait_for_status(&server, failed, "failed");
    let before = server.exposition().values([HITS, MISSES, ERRORS]);
    for id in &done {
        task(&server, *id);
        task(&server, *id);
    }
    let after = server.exposition().values([HITS, MISSES, ERRORS]);
    // The last one to be waited for was read in its last state, and maybe the others too.
    let (hits, misses) = (after[0] - before[0], after[1] - before[1]);
    assert_eq!((hits + misses, after[2]), (6.0, 0.0));
    assert!(misses <= 3.0, "{misses}");

    let states = ["pending", "processing", "completed", "failed", "cancelled"];
    let of_state = states.map(|state| format!(r#"oxicorn_tasks{{state="{state}"}}"#));
    let uncached = Backends::default().uncached("without a cache", &server);
    let uncached = uncached.workers(1).start();
    let totals = || {
        states.map(|state| {
            let list = call(&uncached, "GET", &format!("/tasks?status={state}"), None).1;
            list["pagination"]["total"].as_f64().expect("a number")
        })
    };
    assert_eq!(totals(), [0.0, 0.0, 3.0, 1.0, 0.0]);
    expect(&server, "the tasks of each state", totals, |it| {
        of_state.each_ref().map(|name| it.value(name))
    });
    // Each task was created and has ended, and there is no Kafka.
    expect(&server, "the outbox", || 8.0, |it| it.value(OUTBOX));
    let of_type = |it: &Exposition, name: &str| {
        it.value(&format!(
            r#"oxicorn_task_duration_seconds_count{{type="{name}"}}"#
        ))
    };
    assert_eq!(of_type(&server.exposition(), "data_processing"), 3.0);
    assert_eq!(of_type(&server.exposition(), "image_processing"), 1.0);
    // Its file is open in the pools of the worker and of the runner.
    let open = server.exposition().sum("oxicorn_pool_connections");
    assert!(open >= 2.0, "{open}");

    // Another runner looks when this one is gone.
    for runner in children(&server, "runner") {
        runner.signal(Signal::SIGKILL);
    }
    server.tolerate("was killed by SIGKILL");
    create(
        &server,
        json!({"userId": 1, "taskType": "image_processing"}),
    );
    expect(&server, "the outbox", || 10.0, |it| it.value(OUTBOX));
    assert_eq!(of_type(&server.exposition(), "data_processing"), 3.0);
}

#[test]
fn acknowledged_events_are_those_of_the_topic() {
    for generation in [Generation::Kafka39, Generation::Kafka4] {
        let backends = postgres(CacheKind::Memory, EventsKind::Kafka(generation));
        let database = backends.store.as_ref().expect("PostgreSQL");
        let topic = backends.events.as_ref().expect("a topic");
        let server = start_with_admin(backends.service("metrics of Kafka"), 1);
        for _ in 0..20 {
            let body = json!({"userId": 1, "parameters": {"numbers": [1, 2]}});
            wait_for_status(&server, create(&server, body), "completed");
        }
        eventually("all events are published", || {
            (database.sql("SELECT count(*) FROM events") == "0").then_some(())
        });
        let listener = topic.listen();
        let heard = || listener.messages().len() as f64;
        eventually_step_by_step("all events are in the topic", || match heard() {
            40.0.. => Ok(()),
            heard => Err(heard),
        });
        expect(&server, "acknowledged events", heard, |it| it.value(ACKS));
        expect(
            &server,
            "the outbox",
            || [0.0, 0.0],
            |it| it.values([OUTBOX, AGE]),
        );
        let attempts = number(&database.sql("SELECT sum(attempts) FROM tasks"));
        let seconds = number(&database.sql("SELECT sum(processing_time) FROM tasks"));
        let work = r#"oxicorn_task_duration_seconds_count{type="data_processing"}"#;
        let time = r#"oxicorn_task_duration_seconds_sum{type="data_processing"}"#;
        let found = server.exposition().values([work, time]);
        assert_eq!(found[0], attempts);
        assert!(
            (found[1] - seconds).abs() < 1e-6,
            "{} and {seconds}",
            found[1]
        );
    }
}

/// Two runners, of which one looks. No broker listens, so events wait.
#[test]
fn while_kafka_is_down_the_outbox_is_what_the_table_has() {
    let backends = postgres(CacheKind::Memory, EventsKind::Outbox);
    let database = backends.store.as_ref().expect("PostgreSQL");
    let builder = backends.service("metrics of the outbox");
    let builder = builder
        .env("KAFKA_BROKERS", "127.0.0.1:1")
        .args(&["--runners", "2"]);
    let builder = builder.args(&["--workers", "1"]).admin();
    let mut server = builder.start_with_unknown_workers();
    server.tolerate("Kafka at");
    server.tolerate("was killed by SIGKILL");
    let work = || {
        let body = json!({"userId": 1, "parameters": {"numbers": [1, 2]}});
        wait_for_status(&server, create(&server, body), "completed");
    };
    work();
    work();
    let length = || number(&database.sql("SELECT count(*) FROM events"));
    expect(&server, "the outbox", length, |it| it.value(OUTBOX));
    assert_eq!(length(), 4.0);
    eventually("attempts fail", || {
        (server.exposition().value(FAILED) > 1.0).then_some(())
    });
    assert_eq!(server.exposition().value(ACKS), 0.0);
    // As if the first had waited for an hour.
    database.sql(
        "UPDATE events SET created_at = created_at - 3600000
         WHERE event_id = (SELECT min(event_id) FROM events)",
    );
    eventually("the age of the oldest", || {
        (server.exposition().value(AGE) >= 3600.0).then_some(())
    });
    assert!(server.exposition().value(AGE) < 7200.0);
    let failed = server.exposition().value(FAILED);
    for runner in children(&server, "runner") {
        runner.signal(Signal::SIGKILL);
    }
    work();
    expect(&server, "the outbox", length, |it| it.value(OUTBOX));
    assert_eq!(length(), 6.0);
    assert!(server.exposition().value(FAILED) >= failed);
}
