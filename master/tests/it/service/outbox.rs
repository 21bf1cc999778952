//! Events that no server can send yet wait for a server with a broker.

use serde_json::json;

use super::*;
use crate::harness::{CacheKind, EventsKind, Services, StoreKind};

/// No broker listens there.
const NO_BROKER: &str = "127.0.0.1:1";

fn database() -> Backends {
    Backends::on(
        Services::shared(),
        StoreKind::Postgres,
        CacheKind::Memory,
        EventsKind::Outbox,
    )
}

fn work(server: &Server) {
    let body = json!({"userId": 1, "parameters": {"numbers": [1]}});
    let id = create(server, body);
    wait_for_status(server, id, "completed");
}

fn with_kafka(builder: Builder) -> Server {
    let server = builder.env("KAFKA_BROKERS", NO_BROKER);
    start(server, 1)
}

#[test]
fn a_restart_without_kafka_deletes_no_event() {
    let backends = database();
    let store = backends.store.as_ref().expect("PostgreSQL");
    let events = || store.sql("SELECT event_type, count(*) FROM events GROUP BY 1 ORDER BY 1");
    let server = with_kafka(backends.service("with kafka"));
    work(&server);
    drop(server);
    assert_eq!(events(), "task_completed|1\ntask_created|1");

    let server = start(backends.service("without"), 1);
    let line = server.log().wait_for("Outbox: ");
    for word in ["[WARNING]", "kafka_brokers", "2 events wait"] {
        assert!(line.contains(word), "no {word}: {line}");
    }
    // By then a runner has looked for old events, and new ones wait too.
    work(&server);
    assert_eq!(events(), "task_completed|2\ntask_created|2");
    store.sql("UPDATE events SET created_at = 0");
    drop(server);
    let server = start(backends.service("again"), 1);
    work(&server);
    assert_eq!(events(), "task_completed|3\ntask_created|3");
}

#[test]
fn a_server_without_kafka_beside_one_with_it_deletes_no_event() {
    let backends = database();
    let store = backends.store.as_ref().expect("PostgreSQL");
    let without = start(backends.service("without"), 1);
    work(&without);
    let with = with_kafka(backends.service("with kafka"));
    work(&without);
    work(&with);
    drop(without);
    let without = start(backends.service("without again"), 1);
    without.log().wait_for("6 events wait");
    work(&without);
    assert_eq!(store.sql("SELECT count(*) FROM events"), "8");
}

/// If no server has ever had a broker, old events are dropped, and that is logged.
#[test]
fn what_nobody_will_ever_send_is_dropped_when_it_is_old_and_told() {
    let backends = database();
    let store = backends.store.as_ref().expect("PostgreSQL");
    let server = start(backends.service("young"), 1);
    work(&server);
    assert_eq!(store.sql("SELECT count(*) FROM events"), "2");
    drop(server);
    store.sql("UPDATE events SET created_at = 0");
    let server = start(backends.service("old"), 1);
    let line = server.log().wait_for("Outbox: ");
    for word in ["2 events", "older than an hour", "dropped", "kafka_brokers"] {
        assert!(line.contains(word), "no {word}: {line}");
    }
    assert_eq!(store.sql("SELECT count(*) FROM events"), "0");
}
