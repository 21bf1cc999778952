//! The task service end to end: `matrix` has the tests that hold for all backends, the other files those for some.

mod caching;
mod calls;
mod durability;
mod faults;
mod freshness;
mod identity;
mod input;
mod kafka_says;
mod matrix;
mod metrics;
mod offload;
mod outbox;
mod pool;
mod pooler;
mod postgres;
mod postgres_moods;
mod publishing;
mod redis;
mod redis_access;
mod sqlite;
mod work;
mod workers;

use serde_json::Value;

use crate::harness::{Answer, Backends, Builder, Client, Server, eventually};

pub(super) const BASE: &str = "/api/v1/eventstreammonitor";
pub(super) const JSON: &str = "Content-Type: application/json\r\n";

/// The service over its embedded store, without other backends.
pub(super) fn service(name: &str) -> Builder {
    Backends::default().service(name)
}

/// The service with a Redis that is never late, even on a slow machine: after late replies a process works without
/// Redis, and others may briefly read old values there.
pub(super) fn patient(builder: Builder) -> Builder {
    builder.args(&["--redis-timeout", "10"])
}

/// Web workers and the runner.
pub(super) fn start(builder: Builder, workers: usize) -> Server {
    let server = builder
        .args(&["--workers", &workers.to_string()])
        .start_with_unknown_workers();
    server.wait_for_children(workers + 1);
    server
}

pub(super) fn parse(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("no JSON: {answer:?}"))
}

pub(super) fn call(server: &Server, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    call_on(&mut server.client(), method, path, body)
}

/// As [`call`], on a kept connection, which stays at its worker while that is idle.
pub(super) fn call_on(
    client: &mut Client,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> (u16, Value) {
    let body = body.map(|it| it.to_string()).unwrap_or_default();
    let fields = if body.is_empty() { "" } else { JSON };
    let answer = client
        .request(method, &format!("{BASE}{path}"), fields, body.as_bytes())
        .unwrap_or_else(|error| panic!("{method} {path}: {error}"));
    let value = match answer.body.is_empty() {
        true => Value::Null,
        false => parse(&answer),
    };
    (answer.status, value)
}

pub(super) fn create(server: &Server, body: Value) -> i64 {
    let (status, answer) = call(server, "POST", "/tasks", Some(body));
    assert_eq!(status, 201, "{answer}");
    answer["task"]["taskId"].as_i64().expect("an id")
}

pub(super) fn task(server: &Server, id: i64) -> Value {
    let (status, answer) = call(server, "GET", &format!("/tasks/{id}"), None);
    assert_eq!(status, 200, "{answer}");
    answer["task"].clone()
}

pub(super) fn wait_for_status(server: &Server, id: i64, wanted: &str) -> Value {
    let mut last = Value::Null;
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually(&format!("task {id} is {wanted}"), || {
            last = task(server, id);
            (last["status"] == wanted).then(|| last.clone())
        })
    }));
    found.unwrap_or_else(|_| panic!("task {id} is not {wanted}: {last}"))
}
