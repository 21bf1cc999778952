//! PostgreSQL behind pgbouncer.

use serde_json::json;

use super::*;
use crate::harness::{Bouncer, CacheKind, EventsKind, Services, StoreKind};

const UNPREPARED: &str = "statements are sent unprepared";
const DEAF: &str = "keep nothing in memory";

fn over(bouncer: &Bouncer, backends: &Backends, name: &str) -> Builder {
    let url = bouncer.url(backends.store.as_ref().expect("PostgreSQL"));
    backends.service(name).env("DATABASE_URL", &url).threads(4)
}

fn backends() -> Backends {
    let (store, cache, events) = (StoreKind::Postgres, CacheKind::Memory, EventsKind::Outbox);
    Backends::on(Services::shared(), store, cache, events)
}

/// Many clients make all calls: each is answered, whichever session the pooler gives to a statement.
fn work(server: &Server) {
    std::thread::scope(|scope| {
        for number in 0..6 {
            scope.spawn(move || {
                let mut client = server.client();
                let mut ask = |method: &str, path: &str, body: Option<Value>| {
                    let (status, answer) = call_on(&mut client, method, path, body);
                    assert!(
                        status < 300 || status == 400,
                        "{method} {path}: {status} {answer}"
                    );
                    answer
                };
                for round in 0..25 {
                    let name = format!("u{number}x{round}");
                    let user = json!({"username": name, "email": format!("{name}@example.org")});
                    let user = ask("POST", "/users", Some(user))["user"]["userId"].clone();
                    let session = ask("POST", "/sessions", Some(json!({"userId": user})));
                    let session = session["session"]["sessionId"].as_str().expect("an id");
                    ask("GET", &format!("/sessions/{session}"), None);
                    let body = json!({"userId": user, "parameters": {"numbers": [round]}});
                    let task = ask("POST", "/tasks", Some(body))["task"]["taskId"].clone();
                    ask("GET", &format!("/tasks/{task}"), None);
                    ask("GET", "/tasks?limit=3&status=completed", None);
                    ask("PUT", &format!("/tasks/{task}/cancel"), None);
                    ask("DELETE", &format!("/users/{user}"), None);
                }
            });
        }
    });
}

#[test]
fn a_pooler_of_transactions_is_done_without_prepared_statements_and_without_staleness() {
    let backends = backends();
    let bouncer = Bouncer::start(Services::shared(), "transaction");
    let server = start(over(&bouncer, &backends, "transactions"), 2);
    let id = create(
        &server,
        json!({"userId": 1, "parameters": {"numbers": [1]}}),
    );
    wait_for_status(&server, id, "completed");
    work(&server);
    server.log().wait_for(UNPREPARED);
    let line = server.log().wait_for(DEAF);
    assert!(
        line.contains("redis_url") && line.contains("[WARNING]"),
        "{line}"
    );
    assert_eq!(server.log().count(DEAF), 1);

    // Another worker returns a change at once: without notifications, workers cache nothing.
    let mut clients: Vec<Client> = (0..6).map(|_| server.client()).collect();
    let user = json!({"username": "ben", "email": "ben@example.org"});
    let (_, answer) = call(&server, "POST", "/users", Some(user));
    let path = format!("/users/{}", answer["user"]["userId"]);
    for round in 0..20 {
        let name = format!("Ben the {round}th");
        let writer = round % clients.len();
        let body = Some(json!({"fullName": name}));
        assert_eq!(call_on(&mut clients[writer], "PUT", &path, body).0, 200);
        for client in &mut clients {
            let (_, answer) = call_on(client, "GET", &path, None);
            assert_eq!(answer["user"]["fullName"], name.as_str(), "round {round}");
        }
    }
}

#[test]
fn a_pooler_of_sessions_is_as_good_as_none() {
    let backends = backends();
    let bouncer = Bouncer::start(Services::shared(), "session");
    let builder = over(&bouncer, &backends, "sessions").env("POOL_SIZE", "1");
    let builder = builder.env("MAX_OVERFLOW", "0").args(&["--runners", "0"]);
    let server = builder.workers(1).start();
    for _ in 0..20 {
        let id = create(&server, json!({"userId": 1}));
        task(&server, id);
    }
    assert_eq!(server.log().count(UNPREPARED), 0, "{}", server.log().text());
    assert_eq!(server.log().count(DEAF), 0, "{}", server.log().text());
}

/// The pooler then ends the connection of the client, with a code of its own (08P01) and the severity FATAL.
#[test]
fn sessions_that_the_pooler_loses_are_begun_again() {
    let backends = backends();
    let database = backends.store.as_ref().expect("PostgreSQL");
    for mode in ["transaction", "session"] {
        let bouncer = Bouncer::start(Services::shared(), mode);
        let builder = over(&bouncer, &backends, "lost").args(&["--runners", "0"]);
        let mut server = builder.args(&["--task-cache-ttl", "0"]).workers(1).start();
        // A change whose connection is lost during the commit.
        server.tolerate("500 OUTCOME_UNKNOWN");
        server.tolerate("PostgreSQL at");
        let over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let (mut client, mut answered) = (server.client(), 0);
                        while !over.load(std::sync::atomic::Ordering::Relaxed) {
                            let path = format!("{BASE}/tasks");
                            let answer = client.get(&format!("{path}?limit=1")).expect("an answer");
                            assert!([200, 503].contains(&answer.status), "{mode}: {answer:?}");
                            let body = br#"{"userId": 1}"#;
                            let answer = client.request("POST", &path, JSON, body);
                            let answer = answer.expect("an answer");
                            let known = [201, 503].contains(&answer.status)
                                || parse(&answer)["error"] == "OUTCOME_UNKNOWN";
                            assert!(known, "{mode}: {answer:?}");
                            answered += u32::from(answer.status == 201);
                        }
                        answered
                    })
                })
                .collect();
            for _ in 0..10 {
                let before = database.sql("SELECT count(*) FROM tasks");
                let name = database.name();
                database.sql_elsewhere(&format!(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{name}'"
                ));
                eventually("work goes on", || {
                    (database.sql("SELECT count(*) FROM tasks") != before).then_some(())
                });
            }
            over.store(true, std::sync::atomic::Ordering::Relaxed);
            for client in clients {
                assert!(client.join().expect("no panic") > 0);
            }
        });
        assert_eq!(
            server.log().count("INTERNAL_ERROR"),
            0,
            "{}",
            server.log().text()
        );
    }
}
