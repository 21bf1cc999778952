//! The file of the embedded store is missing, replaced, locked, or on a full disk.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::*;

/// Another program that writes to the file without taking turns.
struct Foreigner(Child);

impl Foreigner {
    fn begin(database: &Path) -> Self {
        let script = "import sqlite3, sys\n\
            file = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
            file.execute('BEGIN IMMEDIATE')\n\
            print('begun', flush=True)\n\
            sys.stdin.read()\n\
            file.execute('ROLLBACK')";
        let mut child = Command::new("python3")
            .args(["-c", script])
            .arg(database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python 3");
        let mut line = String::new();
        let out = child.stdout.take().expect("a pipe");
        BufReader::new(out).read_line(&mut line).expect("a line");
        assert_eq!(line.trim(), "begun");
        Self(child)
    }
}

impl Drop for Foreigner {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

#[test]
fn a_writer_who_does_not_end_makes_others_wait_once_and_not_one_after_the_other() {
    let builder = service("foreign writer")
        .args(&["--runners", "0"])
        .threads(3);
    let server = builder.workers(4).start();
    create(&server, json!({"userId": 1}));
    let children = server.children();
    let foreigner = Foreigner::begin(&server.dir().join("tasks.db"));
    let body = json!({"userId": 2});
    std::thread::scope(|scope| {
        let ask = || call(&server, "POST", "/tasks", Some(body.clone()));
        let waiting: Vec<_> = (0..12).map(|_| scope.spawn(ask)).collect();
        for one in waiting {
            let (status, answer) = one.join().expect("no panic");
            assert_eq!(status, 503, "{answer}");
            assert_eq!(answer["error"], "SERVICE_UNAVAILABLE");
        }
    });
    drop(foreigner);
    create(&server, body);
    assert_eq!(server.children(), children, "no worker was replaced");
    assert_eq!(
        call(&server, "GET", "/tasks", None).1["pagination"]["total"],
        2
    );
}

#[test]
fn a_file_that_was_replaced_is_noticed() {
    let mut server = start(service("replaced"), 2);
    // While the file is gone.
    server.tolerate("SQLite at");
    server.tolerate("Runner: ");
    let id = create(
        &server,
        json!({"userId": 1, "parameters": {"numbers": [1]}}),
    );
    wait_for_status(&server, id, "completed");
    let path = server.dir().join("tasks.db");
    let aside = server.dir().join("aside.db");
    for suffix in ["", "-wal", "-shm"] {
        let from = server.dir().join(format!("tasks.db{suffix}"));
        let to = server.dir().join(format!("aside.db{suffix}"));
        fs::rename(from, to).expect("a file");
    }
    // Missing: it is not created again, which would hide that.
    eventually("it is missed", || {
        let answer = server.get(&format!("{BASE}/tasks/{id}"));
        (answer.status == 503 && answer.field("Retry-After").is_some()).then_some(())
    });
    assert_eq!(server.get("/ready").status, 503);
    let line = server.log().wait_for("tasks.db");
    assert!(line.contains("does not answer"), "{line}");
    assert!(!path.exists());
    // Another one in its place.
    fs::write(&path, "").expect("an empty file");
    eventually("the new one is used", || {
        (call(&server, "GET", &format!("/tasks/{id}"), None).0 == 404).then_some(())
    });
    assert_eq!(server.get("/ready").status, 200);
    let fresh = create(
        &server,
        json!({"userId": 1, "parameters": {"numbers": [1]}}),
    );
    assert_eq!(fresh, 1000);
    wait_for_status(&server, fresh, "completed");
    let log = server.log().text();
    assert!(
        server.log().count("was replaced by another file") <= 3,
        "{log}"
    );
    assert!(aside.exists());
}

#[test]
fn messages_name_the_file() {
    let builder = service("turn");
    let turn = builder.dir().join("tasks.db-turn");
    fs::create_dir(&turn).expect("a folder");
    let ended = builder.run();
    assert_ne!(ended.code, Some(0));
    assert!(ended.log.contains("tasks.db-turn"), "{}", ended.log);
    let builder = service("no database");
    fs::write(
        builder.dir().join("tasks.db"),
        "this is no database, whatever it is called",
    )
    .expect("a file");
    let ended = builder.run();
    assert!(ended.log.contains("tasks.db"), "{}", ended.log);
}

/// Mounts a disk of two megabytes in a folder, in a namespace of its own, and then runs the server.
const SMALL_DISK: &str = "mount -t tmpfs -o size=2m tmpfs disk && exec \"$@\"";

#[test]
fn a_disk_that_is_full_is_told_once() {
    let probe = Command::new("unshare")
        .args([
            "--mount",
            "--map-root-user",
            "sh",
            "-c",
            "mount -t tmpfs tmpfs /mnt",
        ])
        .output();
    if !probe.is_ok_and(|it| it.status.success()) {
        // Mounting is not allowed here.
        return;
    }
    let builder = Server::new("full disk").app("native:eventstreammonitor");
    fs::create_dir(builder.dir().join("disk")).expect("a folder");
    let mut server = builder
        .under(&[
            "unshare",
            "--mount",
            "--map-root-user",
            "sh",
            "-c",
            SMALL_DISK,
            "sh",
        ])
        .env("DATABASE_URL", "sqlite:disk/tasks.db")
        .args(&["--runners", "0"])
        .workers(2)
        .start();
    server.tolerate("SQLite at");
    let content = "x".repeat(100_000);
    let body = json!({"userId": 1, "taskType": "file_upload", "parameters": {"content": content}});
    let mut refused = 0;
    let deadline = Instant::now() + Duration::from_secs(60);
    while refused < 20 {
        assert!(Instant::now() < deadline, "the disk is not full");
        let (status, answer) = call(&server, "POST", "/tasks", Some(body.clone()));
        match status {
            201 => {}
            503 => refused += 1,
            _ => panic!("{status}: {answer}"),
        }
    }
    let log = server.log();
    let line = log.wait_for("takes no changes");
    assert!(
        line.contains("disk is full") && line.contains("disk/tasks.db"),
        "{line}"
    );
    assert_eq!(log.count("disk is full"), 1, "{}", log.text());
    // Existing rows can be read.
    assert_eq!(task(&server, 1000)["taskId"], 1000);
}
