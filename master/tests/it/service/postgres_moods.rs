//! PostgreSQL is read-only, ends idle sessions, changes its columns, or has another encoding or clock.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::matrix::ready;
use super::*;
use crate::harness::{CacheKind, Database, EventsKind, Services, StoreKind};

fn over(services: &Services) -> Backends {
    let (store, cache, events) = (StoreKind::Postgres, CacheKind::Memory, EventsKind::Outbox);
    Backends::on(services, store, cache, events)
}

fn store(backends: &Backends) -> &Database {
    backends.store.as_ref().expect("PostgreSQL")
}

/// Without runners, which would log errors of their own.
fn web(backends: &Backends, name: &str) -> Builder {
    backends.service(name).args(&["--runners", "0"]).workers(2)
}

/// Applies to sessions that begin from now on.
fn set(database: &Database, parameter: &str) {
    let name = database.name();
    database.sql_elsewhere(&format!("ALTER DATABASE {name} SET {parameter}"));
    throw_out(database);
}

fn throw_out(database: &Database) {
    let name = database.name();
    database.sql_elsewhere(&format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{name}'"
    ));
}

#[test]
fn a_database_that_is_read_only_is_read_and_takes_no_changes() {
    let backends = over(Services::shared());
    let database = store(&backends);
    let mut server = web(&backends, "read-only").start();
    server.tolerate("PostgreSQL at");
    let id = create(&server, json!({"userId": 1}));
    set(database, "default_transaction_read_only = on");
    for round in 0..20 {
        let mut client = server.client();
        let path = format!("{BASE}/tasks");
        let answer = client
            .request("POST", &path, JSON, br#"{"userId": 1}"#)
            .expect("an answer");
        assert_eq!(answer.status, 503, "{round}: {answer:?}");
        assert_eq!(answer.field("Retry-After"), Some("5"));
        let (status, answer) = call(&server, "PUT", &format!("/tasks/{id}/cancel"), None);
        assert_eq!(status, 503, "{answer}");
        assert_eq!(call(&server, "GET", &format!("/tasks/{id}"), None).0, 200);
    }
    assert_eq!(ready(&server).0, 503);
    let line = server.log().wait_for("takes no changes");
    assert!(
        line.contains("read-only") && line.contains("PostgreSQL at 127.0.0.1:"),
        "{line}"
    );
    set(database, "default_transaction_read_only = off");
    eventually("changes are taken again", || {
        (call(&server, "POST", "/tasks", Some(json!({"userId": 1}))).0 == 201).then_some(())
    });
    assert_eq!(ready(&server).0, 200);
    server.log().wait_for("answers again");
    let log = server.log();
    assert_eq!(log.count("takes no changes"), 1, "{}", log.text());
}

#[test]
fn a_database_that_is_read_only_at_the_start_is_waited_for() {
    let backends = over(Services::shared());
    let database = store(&backends);
    // First without tables, which cannot be made, then with them.
    for round in 0..2 {
        set(database, "default_transaction_read_only = on");
        let mut server = web(&backends, "read-only start").start();
        server.tolerate("PostgreSQL at");
        let line = server.log().wait_for("PostgreSQL at");
        assert!(line.contains("read-only"), "{round}: {line}");
        assert_eq!(ready(&server).0, 503);
        let body = Some(json!({"userId": 1}));
        assert_eq!(call(&server, "POST", "/tasks", body.clone()).0, 503);
        set(database, "default_transaction_read_only = off");
        eventually("changes are taken", || {
            (call(&server, "POST", "/tasks", body.clone()).0 == 201).then_some(())
        });
        assert_eq!(ready(&server).0, 200);
    }
}

/// 57P05 has the severity FATAL, but its code does not say that the connection is lost.
#[test]
fn sessions_that_the_server_ends_are_begun_again() {
    let backends = over(Services::shared());
    let server = web(&backends, "idle sessions")
        .args(&["--task-cache-ttl", "0"])
        .start();
    let id = create(&server, json!({"userId": 1}));
    let database = store(&backends);
    set(database, "idle_session_timeout = '100ms'");
    let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
    let sessions = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND application_name = 'oxicorn'",
        database.name()
    );
    for round in 0..5 {
        for client in &mut clients {
            let (status, answer) = call_on(client, "GET", &format!("/tasks/{id}"), None);
            assert_eq!(status, 200, "{round}: {answer}");
            let (status, answer) = call_on(client, "POST", "/tasks", Some(json!({"userId": 1})));
            assert_eq!(status, 201, "{round}: {answer}");
        }
        eventually("idle sessions are ended", || {
            (database.sql_elsewhere(&sessions) == "0").then_some(())
        });
    }
}

/// Ends the clients, also when the test has failed.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn columns_may_change_their_types_under_load() {
    let backends = over(Services::shared());
    let database = store(&backends);
    let builder = backends
        .service("columns")
        .threads(4)
        .args(&["--task-cache-ttl", "0"]);
    let server = start(builder, 2);
    let over = AtomicBool::new(false);
    let work = || {
        let body = json!({"userId": 1, "priority": "critical", "parameters": {"numbers": [1]}});
        wait_for_status(&server, create(&server, body), "completed");
    };
    std::thread::scope(|scope| {
        let _end = End(&over);
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = server.client();
                    let mut asked = 0;
                    while !over.load(Ordering::Relaxed) {
                        let body = json!({"userId": 1, "parameters": {"csv": "a\n1\n"}});
                        let (status, answer) = call_on(&mut client, "POST", "/tasks", Some(body));
                        assert_eq!(status, 201, "{answer}");
                        let path = format!("/tasks/{}", answer["task"]["taskId"]);
                        let (status, answer) = call_on(&mut client, "GET", &path, None);
                        assert_eq!(status, 200, "{answer}");
                        let (status, answer) = call_on(&mut client, "GET", "/tasks?limit=2", None);
                        assert_eq!(status, 200, "{answer}");
                        asked += 1;
                    }
                    asked
                })
            })
            .collect();
        for change in [
            "tasks ALTER error_message TYPE varchar(4000)",
            "tasks ALTER progress TYPE integer",
            "tasks ALTER priority TYPE integer",
            "events ALTER payload TYPE varchar(100000)",
        ] {
            // By then each statement is prepared.
            for _ in 0..5 {
                work();
            }
            database.sql(&format!("ALTER TABLE {change}"));
        }
        work();
        over.store(true, Ordering::Relaxed);
        for client in clients {
            assert!(client.join().expect("no panic") > 5);
        }
    });
    assert_eq!(
        server.log().count("unprepared"),
        0,
        "{}",
        server.log().text()
    );
}

#[test]
fn another_encoding_than_utf_8_is_refused_at_the_start() {
    let backends = over(Services::shared());
    let database = store(&backends);
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let name = format!("{}_{}", database.name(), encoding.to_lowercase());
        database.sql_elsewhere(&format!(
            "CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        ));
        let url = database.url().replace(database.name(), &name);
        let ended = web(&backends, "encoding").env("DATABASE_URL", &url).run();
        database.sql_elsewhere(&format!("DROP DATABASE {name} WITH (FORCE)"));
        assert_eq!(ended.code, Some(4), "{}", ended.log);
        for word in ["database_url", encoding, "UTF8", "CREATE DATABASE"] {
            assert!(ended.log.contains(word), "no {word}: {}", ended.log);
        }
    }
}

/// Idle connections beyond POOL_SIZE are dead then too, and no request waits for them.
#[test]
fn the_first_request_after_a_kill_is_answered_at_once() {
    const POOL_TIMEOUT: Duration = Duration::from_secs(40);
    let services = Services::private(&["postgres"]);
    let backends = over(&services);
    let database = store(&backends);
    let builder = backends.service("killed").threads(4);
    let builder = builder
        .env("POOL_TIMEOUT", "40")
        .args(&["--timeout", "60", "--runners", "0"]);
    let builder = builder.args(&["--task-cache-ttl", "0"]);
    let mut server = builder.workers(1).start();
    server.tolerate("PostgreSQL at");
    let id = create(&server, json!({"userId": 1}));
    // Four at once: two kept connections, two beyond POOL_SIZE.
    let hold = Hold::new(database, "BEGIN; LOCK TABLE tasks;");
    let name = database.name();
    let count = |condition: &str| {
        let sql = format!(
            "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
             WHERE datname = '{name}' AND {condition}"
        );
        database.sql_elsewhere(&sql)
    };
    eventually("the table is locked", || {
        let locked = count("granted AND mode = 'AccessExclusiveLock' AND relation IS NOT NULL");
        (locked != "0").then_some(())
    });
    std::thread::scope(|scope| {
        for _ in 0..4 {
            // Lists are not cached, so each one reads from the store.
            scope.spawn(|| call(&server, "GET", "/tasks?limit=1", None));
        }
        eventually("four connections are open", || {
            (count("NOT granted") == "4").then_some(())
        });
        drop(hold);
    });
    services.kill("postgres");
    for _ in 0..6 {
        let began = Instant::now();
        let answer = server.get(&format!("{BASE}/tasks/{id}"));
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(began.elapsed() < POOL_TIMEOUT / 2, "{:?}", began.elapsed());
    }
    services.start("postgres");
    eventually("it is back", || {
        (server.get(&format!("{BASE}/tasks/{id}")).status == 200).then_some(())
    });
}

/// A session of psql that has run a statement, and ends when this is dropped.
pub(super) struct Hold(Child);

impl Hold {
    pub(super) fn new(database: &Database, sql: &str) -> Self {
        let mut child = Command::new("psql")
            .args(["-XAtq", "-d", database.url()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("psql can be run");
        let input = child.stdin.as_mut().expect("a pipe");
        std::io::Write::write_all(input, format!("{sql}\n").as_bytes()).expect("sent");
        Self(child)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// The library that gives a process another time.
fn faketime() -> String {
    let folders = std::fs::read_dir("/usr/lib").expect("a folder");
    let found = folders
        .filter_map(|folder| Some(folder.ok()?.path().join("faketime/libfaketime.so.1")))
        .find(|path| path.exists());
    let found = found.expect("faketime, which scripts/install-deps gets");
    found.display().to_string()
}

/// Its clock is off by so much; its deadlines and pauses are as long as ever.
fn with_clock(server: Builder, offset: &str) -> Builder {
    server
        .env("LD_PRELOAD", &faketime())
        .env("FAKETIME", offset)
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
}

/// By its own clock it would find every lease expired.
#[test]
fn a_server_whose_clock_is_ahead_takes_no_task_that_another_has() {
    let backends = over(Services::shared());
    let database = store(&backends);
    let here = start(backends.service("here"), 1);
    database.sql(
        "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             PERFORM pg_advisory_xact_lock_shared(7); RETURN NEW; END $$;
         CREATE TRIGGER hold BEFORE UPDATE ON tasks FOR EACH ROW
             WHEN (NEW.user_id = '77' AND NEW.progress > OLD.progress) EXECUTE FUNCTION hold()",
    );
    let hold = Hold::new(database, "SELECT pg_advisory_lock(7);");
    eventually("the lock is taken", || {
        let held =
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7 AND granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        (database.sql(held) == "1").then_some(())
    });
    let body = json!({"userId": 77, "parameters": {"csv": "a,b\n1,2\n3,4\n"}});
    let id = create(&here, body);
    wait_for_status(&here, id, "processing");
    let there = start(with_clock(backends.service("ahead"), "+30s"), 1);
    // That runner keeps looking for tasks; the one here is held.
    for _ in 0..5 {
        let other = create(&there, json!({"userId": 1, "parameters": {"numbers": [1]}}));
        // Created by a clock that is ahead, and yet to be done now.
        wait_for_status(&there, other, "completed");
    }
    let attempts = || database.sql(&format!("SELECT attempts FROM tasks WHERE task_id = {id}"));
    assert_eq!(attempts(), "1");
    drop(hold);
    wait_for_status(&here, id, "completed");
    assert_eq!(attempts(), "1");
}

/// By the clock of either, what the other makes would be over already, or would live for hours too long.
#[test]
fn what_servers_with_other_clocks_make_is_as_old_as_it_is() {
    let backends = over(Services::shared());
    let database = store(&backends);
    let servers: Vec<Server> = [("behind", "-2h"), ("ahead", "+2h")]
        .map(|(name, offset)| with_clock(web(&backends, name), offset).start())
        .into();
    let user = json!({"username": "anna", "email": "a@b.org"});
    let (_, made) = call(&servers[0], "POST", "/users", Some(user));
    let user = &made["user"]["userId"];
    for server in &servers {
        let (status, made) = call(server, "POST", "/sessions", Some(json!({"userId": user})));
        assert_eq!(status, 201, "{made}");
        let path = format!(
            "/sessions/{}",
            made["session"]["sessionId"].as_str().expect("an id")
        );
        for other in &servers {
            assert_eq!(call(other, "GET", &path, None).0, 200, "a read");
            assert_eq!(call(other, "PUT", &path, None).0, 200, "a refresh");
        }
        create(server, json!({"userId": 7}));
    }
    // Of a session, an hour is left; and nothing else is older or younger than this test.
    let odd = database.sql(
        "WITH present AS (SELECT extract(epoch FROM clock_timestamp()) * 1000 AS now)
         SELECT (SELECT count(*) FROM sessions, present WHERE abs(expires_at - now - 3600000) > 1800000)
              + (SELECT count(*) FROM tasks, present WHERE abs(created_at - now) > 1800000)
              + (SELECT count(*) FROM users, present WHERE abs(created_at - now) > 1800000)
              + (SELECT count(*) FROM events, present WHERE abs(created_at - now) > 1800000)",
    );
    assert_eq!(odd, "0");
    // Consumers get the same time as clients.
    let apart = database.sql(
        "SELECT count(*) FROM events JOIN tasks USING (task_id)
         WHERE (payload::json ->> 'timestamp')::timestamptz
            <> to_timestamp(0) + tasks.created_at * interval '1 millisecond'",
    );
    assert_eq!(apart, "0");
}
