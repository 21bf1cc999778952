//! A runner dies by SIGKILL at a known step of a task: PostgreSQL holds it there.
//!
//! A trigger waits for a lock that the test holds. When the test releases it, a step before the commit is undone, because
//! its client is gone; a step in the commit is done, and no client knows.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::harness::{Backends, CacheKind, Database, EventsKind, Process, StoreKind, eventually};
use crate::service::{BASE, JSON, create, start, wait_for_status};

const LOCK: u32 = 7;

/// When the trigger fires.
const TAKING: &str = "UPDATE ON tasks, NEW.status = 'processing' AND OLD.status = 'pending'";
const WORKING: &str = "UPDATE ON tasks, NEW.status = 'processing' AND NEW.progress > OLD.progress";
const ENDING: &str = "UPDATE ON tasks, NEW.status = 'completed'";
const TELLING: &str = "INSERT ON events, NEW.event_type = 'task_completed'";
const CREATING: &str = "INSERT ON tasks, true";

#[derive(Debug, Clone, Copy)]
enum Moment {
    /// The change is undone.
    BeforeCommit,
    /// The change is committed, but its runner never learns that.
    InCommit,
}

use Moment::{BeforeCommit, InCommit};

#[test]
fn a_runner_dies_while_it_takes_a_task() {
    the_task_is_done_once(TAKING, BeforeCommit);
}

#[test]
fn a_runner_dies_when_it_has_taken_a_task() {
    the_task_is_done_once(TAKING, InCommit);
}

#[test]
fn a_runner_dies_in_the_middle_of_its_work() {
    the_task_is_done_once(WORKING, BeforeCommit);
}

#[test]
fn a_runner_dies_while_it_ends_a_task() {
    the_task_is_done_once(ENDING, BeforeCommit);
}

#[test]
fn a_runner_dies_while_it_writes_the_event() {
    the_task_is_done_once(TELLING, BeforeCommit);
}

#[test]
fn a_runner_dies_when_it_has_ended_a_task() {
    the_task_is_done_once(ENDING, InCommit);
}

#[test]
fn a_worker_dies_while_it_creates_a_task() {
    the_task_is_whole_or_not_there(BeforeCommit);
}

#[test]
fn a_worker_dies_when_it_has_created_a_task() {
    the_task_is_whole_or_not_there(InCommit);
}

fn the_task_is_done_once(step: &str, moment: Moment) {
    let stage = Stage::new();
    let hold = stage.hold(step, moment);
    let id = create(&stage.server, body());
    stage.wait_until_held();
    stage.kill("runner");
    hold.let_go();
    wait_for_status(&stage.server, id, "completed");
    assert_eq!(
        stage.history(),
        format!("{id}|task_created\n{id}|task_completed")
    );
}

fn the_task_is_whole_or_not_there(moment: Moment) {
    let stage = Stage::new();
    let hold = stage.hold(CREATING, moment);
    let mut client = stage.server.client();
    let body = body().to_string();
    let length = body.len();
    let head = format!("POST {BASE}/tasks HTTP/1.1\r\nHost: a\r\n{JSON}Content-Length: {length}");
    let request = format!("{head}\r\n\r\n{body}");
    client.send(request.as_bytes()).expect("sent");
    stage.wait_until_held();
    stage.kill("worker");
    assert!(client.answer().is_err(), "nobody can have answered");
    hold.let_go();
    // A statement that has begun is executed, even if its client is gone.
    eventually("it is carried out", || {
        let held = stage.database().sql(HELD);
        (held == "0").then_some(())
    });
    let next = create(&stage.server, self::body());
    wait_for_status(&stage.server, next, "completed");
    let tasks = stage
        .database()
        .sql("SELECT task_id FROM tasks ORDER BY task_id");
    for id in tasks.lines() {
        wait_for_status(&stage.server, id.parse().expect("an id"), "completed");
    }
    let lines = stage.history();
    let of = |event: &str| {
        let lines = lines.lines().filter_map(|line| line.strip_suffix(event));
        lines.collect::<Vec<_>>().join("\n")
    };
    assert_eq!(
        (of("|task_created"), of("|task_completed")),
        (tasks.clone(), tasks)
    );
}

fn body() -> serde_json::Value {
    json!({"userId": 1, "parameters": {"csv": "a,b\n1,2\n3,4\n"}})
}

/// Sessions that wait for the lock.
const HELD: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event = 'advisory'";

/// A service, and a record of every event that it has ever written.
struct Stage {
    backends: Backends,
    server: crate::harness::Server,
}

impl Stage {
    fn new() -> Self {
        let (store, cache, events) = (StoreKind::Postgres, CacheKind::Redis, EventsKind::Outbox);
        let backends = Backends::new(store, cache, events);
        let mut server = start(backends.service("steps"), 1);
        // The master logs the death.
        server.tolerate("");
        let stage = Self { backends, server };
        stage.database().sql(&format!(
            "CREATE TABLE history (id BIGSERIAL, task_id BIGINT, event_type TEXT);
             CREATE FUNCTION record() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 INSERT INTO history (task_id, event_type) VALUES (NEW.task_id, NEW.event_type);
                 RETURN NEW; END $$;
             CREATE TRIGGER record AFTER INSERT ON events
                 FOR EACH ROW EXECUTE FUNCTION record();
             CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 PERFORM pg_advisory_xact_lock_shared({LOCK}); RETURN NEW; END $$"
        ));
        stage
    }

    fn database(&self) -> &Database {
        self.backends.store.as_ref().expect("PostgreSQL")
    }

    fn history(&self) -> String {
        let database = self.database();
        database.sql("SELECT task_id, event_type FROM history ORDER BY id")
    }

    /// Blocks every process at this step.
    fn hold(&self, step: &str, moment: Moment) -> Hold {
        let (event, condition) = step.split_once(", ").expect("an event and a condition");
        let (kind, deferral) = match moment {
            BeforeCommit => ("TRIGGER hold BEFORE", ""),
            InCommit => (
                "CONSTRAINT TRIGGER hold AFTER",
                "DEFERRABLE INITIALLY DEFERRED",
            ),
        };
        let sql = format!(
            "CREATE {kind} {event} {deferral} FOR EACH ROW WHEN ({condition})
             EXECUTE FUNCTION hold()"
        );
        self.database().sql(&sql);
        Hold::new(self.database())
    }

    fn wait_until_held(&self) {
        eventually("the step is held", || {
            (self.database().sql(HELD) == "1").then_some(())
        });
    }

    /// Kills the only child of that kind, and waits until there is another.
    fn kill(&self, kind: &str) {
        let find = || -> Option<Process> {
            let children = self.server.children();
            children
                .into_iter()
                .find(|it| it.command_line().contains(kind))
        };
        let victim = eventually("there is one", find);
        victim.signal(Signal::SIGKILL);
        eventually("there is another", || find().filter(|it| *it != victim));
    }
}

/// A session of psql that has the lock.
struct Hold(Child);

impl Hold {
    fn new(database: &Database) -> Self {
        let mut psql = Command::new("psql")
            .args(["-XAtq", "-d", database.url()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("psql can be run");
        let ask = format!("SELECT 'locked' FROM pg_advisory_lock({LOCK});\n");
        let input = psql.stdin.as_mut().expect("a pipe");
        input.write_all(ask.as_bytes()).expect("sent");
        let mut line = String::new();
        let out = psql.stdout.take().expect("a pipe");
        BufReader::new(out).read_line(&mut line).expect("an answer");
        assert_eq!(line.trim(), "locked");
        Self(psql)
    }

    fn let_go(self) {}
}

impl Drop for Hold {
    fn drop(&mut self) {
        // The session ends with its input.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
