//! A cache returns bodies of the database that its server uses now, and of no other.

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::json;

use super::*;
use crate::harness::{CacheKind, EventsKind, Keyspace, Services, StoreKind};

const NEIGHBOUR: &str = "is the cache of another database too";

fn on(keyspace: &Keyspace, url: &str, name: &str) -> Builder {
    let builder = Server::new(name).app("native:eventstreammonitor");
    builder
        .env("DATABASE_URL", url)
        .env("REDIS_URL", &keyspace.url())
        // A machine under load is not what these tests are about.
        .args(&["--redis-timeout", "0.1", "--runners", "0"])
}

/// The path of a new user.
fn add_user(server: &Server, name: &str) -> String {
    let user = json!({"username": name, "email": format!("{name}@example.org")});
    let (status, answer) = call(server, "POST", "/users", Some(user));
    assert_eq!(status, 201, "{answer}");
    format!("/users/{}", answer["user"]["userId"])
}

fn rename(server: &Server, path: &str, name: &str) {
    let (status, answer) = call(server, "PUT", path, Some(json!({"fullName": name})));
    assert_eq!(status, 200, "{answer}");
}

fn name(server: &Server, path: &str) -> Value {
    let (status, answer) = call(server, "GET", path, None);
    assert_eq!(status, 200, "{answer}");
    answer["user"]["fullName"].clone()
}

/// Reads until the body is in Redis.
fn wait_kept(keyspace: &Keyspace, server: &Server, path: &str, bodies: usize) {
    let key = path.trim_start_matches("/users/");
    eventually("the body is in Redis", || {
        name(server, path);
        let kept = keyspace.keys(&format!("user:{key}:*"));
        let bodies_there = kept
            .iter()
            .filter(|it| keyspace.text(it).is_some_and(|it| it.starts_with('{')));
        (bodies_there.count() >= bodies).then_some(())
    });
}

#[test]
fn two_servers_of_two_databases_share_a_redis_and_no_body() {
    let keyspace = Keyspace::new(Services::shared());
    let folder = tempfile::tempdir().expect("a folder");
    let url = |name: &str| format!("sqlite:{}/{name}.db", folder.path().display());
    let here = on(&keyspace, &url("here"), "here").workers(2).start();
    let there = on(&keyspace, &url("there"), "there").workers(2).start();
    let path = add_user(&here, "anna");
    assert_eq!(add_user(&there, "ben"), path, "both count from 1");
    rename(&here, &path, "Anna");
    rename(&there, &path, "Ben");
    wait_kept(&keyspace, &here, &path, 1);
    wait_kept(&keyspace, &there, &path, 2);
    for _ in 0..10 {
        assert_eq!(name(&here, &path), "Anna");
        assert_eq!(name(&there, &path), "Ben");
    }
    for (server, other) in [(&here, "there.db"), (&there, "here.db")] {
        let line = server.log().wait_for(NEIGHBOUR);
        assert!(line.contains("[WARNING]") && line.contains(other), "{line}");
    }
    // A change in one does not affect the other.
    rename(&here, &path, "Anne");
    assert_eq!(
        (name(&here, &path), name(&there, &path)),
        (json!("Anne"), json!("Ben"))
    );
}

#[test]
fn a_reload_with_another_database_shows_nothing_of_the_old_one() {
    let keyspace = Keyspace::new(Services::shared());
    let server = Server::new("reload").app("native:eventstreammonitor");
    let file = server.dir().join("env");
    let folder = server.dir().to_owned();
    let write = |database: &str| {
        let url = format!("DATABASE_URL=sqlite:{}/{database}.db\n", folder.display());
        fs::write(&file, url).expect("a file");
    };
    write("one");
    let server = server
        .env("REDIS_URL", &keyspace.url())
        .args(&["--redis-timeout", "0.1", "--runners", "0"])
        .args(&["--env-file", "env", "--near-cache-ttl", "60"])
        .workers(2)
        .start();
    let path = add_user(&server, "anna");
    rename(&server, &path, "Anna of one");
    wait_kept(&keyspace, &server, &path, 1);
    let old = server.children();
    write("two");
    server.signal(Signal::SIGHUP);
    server.wait_for_others(&old, 2);
    assert_eq!(
        call(&server, "GET", &path, None).0,
        404,
        "the new one has no user yet"
    );
    assert_eq!(add_user(&server, "ben"), path);
    for _ in 0..10 {
        assert_eq!(name(&server, &path), Value::Null);
    }
}

/// Copies a SQLite database while it is in use, as an operator does.
fn back_up(from: &Path, to: &Path) {
    let script =
        "import sqlite3, sys; sqlite3.connect(sys.argv[1]).backup(sqlite3.connect(sys.argv[2]))";
    let outcome = Command::new("python3")
        .args(["-c", script])
        .arg(from)
        .arg(to)
        .output();
    let outcome = outcome.expect("Python 3");
    assert!(outcome.status.success(), "{outcome:?}");
}

fn put_back(backup: &Path, database: &Path) {
    for suffix in ["-wal", "-shm"] {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        // After a clean end there is no such file.
        let _ = fs::remove_file(name);
    }
    // Into the same file, as cp(1) does.
    fs::write(database, fs::read(backup).expect("a backup")).expect("written");
}

#[test]
fn a_backup_of_a_file_that_was_put_back_is_what_is_shown() {
    let keyspace = Keyspace::new(Services::shared());
    let folder = tempfile::tempdir().expect("a folder");
    let (database, backup) = (folder.path().join("a.db"), folder.path().join("backup.db"));
    let url = format!("sqlite:{}", database.display());
    let server = on(&keyspace, &url, "before").start();
    let path = add_user(&server, "anna");
    rename(&server, &path, "before");
    back_up(&database, &backup);
    rename(&server, &path, "after");
    wait_kept(&keyspace, &server, &path, 1);
    assert_eq!(name(&server, &path), "after");
    drop(server);
    put_back(&backup, &database);
    let server = on(&keyspace, &url, "after").start();
    for _ in 0..20 {
        assert_eq!(name(&server, &path), "before");
    }
    wait_kept(&keyspace, &server, &path, 1);
    assert_eq!(name(&server, &path), "before");
}

#[test]
fn a_backup_of_postgres_that_was_put_back_is_what_is_shown() {
    let (store, cache, events) = (StoreKind::Postgres, CacheKind::Redis, EventsKind::Outbox);
    let backends = Backends::new(store, cache, events);
    let (database, keyspace) = (
        backends.store.as_ref().expect("PostgreSQL"),
        backends.cache.as_ref().expect("Redis"),
    );
    let (url, plain) = (database.url(), database.name());
    let server = on(keyspace, url, "before").start();
    let path = add_user(&server, "anna");
    rename(&server, &path, "before");
    drop(server);
    database.sql_elsewhere(&format!("CREATE DATABASE {plain}_copy TEMPLATE {plain}"));
    let server = on(keyspace, url, "between").workers(2).start();
    rename(&server, &path, "after");
    wait_kept(keyspace, &server, &path, 1);
    assert_eq!(name(&server, &path), "after");
    // Under the running server, and then under the next one.
    database.sql_elsewhere(&format!("DROP DATABASE {plain} WITH (FORCE)"));
    database.sql_elsewhere(&format!("ALTER DATABASE {plain}_copy RENAME TO {plain}"));
    eventually("the running server shows the backup", || {
        let (status, answer) = call(&server, "GET", &path, None);
        (status == 200 && answer["user"]["fullName"] == "before").then_some(())
    });
    let mut server = server;
    server.tolerate("PostgreSQL at");
    drop(server);
    let server = on(keyspace, url, "after").workers(2).start();
    for _ in 0..20 {
        assert_eq!(name(&server, &path), "before");
    }
}
