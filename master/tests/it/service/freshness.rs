//! The writer of a change never reads an old value, and others do not for long.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::harness::{TIMEOUT, eventually_within};

/// Every worker lists at once what another has committed.
pub(super) fn no_list_is_stale(backends: &Backends) {
    let server = start(patient(backends.service("lists")), 4);
    let mut clients: Vec<Client> = (0..8).map(|_| server.client()).collect();
    let mut newest = None;
    for round in 0..100 {
        let writer = round % clients.len();
        let body = json!({"userId": round, "parameters": {"numbers": [1]}}).to_string();
        let answer = clients[writer]
            .request("POST", &format!("{BASE}/tasks"), JSON, body.as_bytes())
            .expect("an answer");
        newest = parse(&answer)["task"]["taskId"].as_i64().max(newest);
        for client in &mut clients {
            let list = parse(
                &client
                    .get(&format!("{BASE}/tasks?limit=1"))
                    .expect("an answer"),
            );
            assert_eq!(list["tasks"][0]["taskId"].as_i64(), newest, "{list}");
        }
    }
}

/// Clients of several workers read a user until all have it in a cache, then one changes it.
pub(super) fn no_thing_is_stale(backends: &Backends) {
    let server = start(patient(backends.service("things").threads(4)), 4);
    let mut clients: Vec<Client> = (0..6).map(|_| server.client()).collect();
    let user = json!({"username": "ben", "email": "ben@example.org"});
    let (status, answer) = call(&server, "POST", "/users", Some(user));
    assert_eq!(status, 201, "{answer}");
    let path = format!("/users/{}", answer["user"]["userId"]);
    for round in 0..30 {
        let name = format!("Ben the {round}th");
        let writer = round % clients.len();
        let body = Some(json!({"fullName": name}));
        let (status, answer) = call_on(&mut clients[writer], "PUT", &path, body);
        assert_eq!(status, 200, "{answer}");
        let mut read = |reader: usize| {
            let (status, answer) = call_on(&mut clients[reader], "GET", &path, None);
            assert_eq!(status, 200, "{answer}");
            answer["user"]["fullName"] == name.as_str()
        };
        assert!(read(writer), "what the writer wrote in round {round}");
        for reader in 0..6 {
            if hears_at_once(backends) {
                assert!(read(reader), "{reader} after {writer} in round {round}");
            } else {
                let what = format!("{reader} sees what {writer} wrote in round {round}");
                eventually_within(TIMEOUT, &what, || read(reader).then_some(()));
            }
        }
    }
}

/// A deletion or cancellation is visible to its writer at once, however many workers have cached the object.
pub(super) fn no_end_is_overlooked(backends: &Backends) {
    // No runner: the tasks stay where they are.
    let builder = patient(backends.service("ends").threads(4));
    let server = builder.args(&["--runners", "0"]).workers(3).start();
    let mut clients: Vec<Client> = (0..6).map(|_| server.client()).collect();
    let user = json!({"username": "cleo", "email": "cleo@example.org"});
    let (_, answer) = call(&server, "POST", "/users", Some(user));
    let user = answer["user"]["userId"].clone();
    for round in 0..12 {
        let task = format!("/tasks/{}", create(&server, json!({"userId": user})));
        let (_, answer) = call(&server, "POST", "/sessions", Some(json!({"userId": user})));
        let session = answer["session"]["sessionId"].as_str().expect("an id");
        let session = format!("/sessions/{session}");
        for client in &mut clients {
            assert_eq!(call_on(client, "GET", &task, None).0, 200);
            assert_eq!(call_on(client, "GET", &session, None).0, 200);
        }
        let writer = &mut clients[round % 6];
        assert_eq!(
            call_on(writer, "PUT", &format!("{task}/cancel"), None).0,
            200
        );
        assert_eq!(
            call_on(writer, "GET", &task, None).1["task"]["status"],
            "cancelled"
        );
        assert_eq!(call_on(writer, "DELETE", &session, None).0, 204);
        assert_eq!(call_on(writer, "GET", &session, None).0, 404);
        let timeout = if hears_at_once(backends) {
            Duration::ZERO
        } else {
            TIMEOUT
        };
        for client in &mut clients {
            eventually_within(timeout, "all see the end", || {
                let (_, answer) = call_on(client, "GET", &task, None);
                let cancelled = answer["task"]["status"] == "cancelled";
                (cancelled && call_on(client, "GET", &session, None).0 == 404).then_some(())
            });
        }
    }
}

/// Caches in the workers learn of changes in PostgreSQL by a notification; those in SQLite can be seen in the file, and
/// Redis is the same for all.
fn hears_at_once(backends: &Backends) -> bool {
    backends.store.is_none() || backends.cache.is_some()
}
