//! Connecting to PostgreSQL: TLS in each `sslmode`, and the messages if it fails.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::*;
use crate::harness::{CacheKind, EventsKind, Services, StoreKind};

/// No host of this name exists (RFC 6761).
const NOWHERE: &str = "db.invalid";

fn over(services: &Services) -> Backends {
    let (store, cache, events) = (StoreKind::Postgres, CacheKind::Memory, EventsKind::Outbox);
    Backends::on(services, store, cache, events)
}

/// The service with another URL than that of its backends.
fn at(backends: &Backends, url: &str) -> Builder {
    let builder = backends.service("postgres").env("DATABASE_URL", url);
    builder.args(&["--runners", "0"]).workers(1)
}

fn url(backends: &Backends) -> &str {
    backends.store.as_ref().expect("PostgreSQL").url()
}

fn authority(services: &Services) -> &str {
    services.variable("DATABASE_CA_FILE")
}

/// Starts the service with that URL, uses it, and returns whether its connections are encrypted.
fn is_encrypted(backends: &Backends, url: &str) -> bool {
    let server = at(backends, url).start();
    create(&server, json!({"userId": 1}));
    let database = backends.store.as_ref().expect("PostgreSQL");
    let seen = database.sql(
        "SELECT count(*) FILTER (WHERE ssl), count(*) FROM pg_stat_ssl
         JOIN pg_stat_activity USING (pid)
         WHERE datname = current_database() AND application_name = 'oxicorn'",
    );
    let (encrypted, all) = seen.split_once('|').expect("two columns");
    assert_ne!(all, "0", "nobody is connected");
    assert!(["0", all].contains(&encrypted), "{seen}");
    encrypted == all
}

/// The log of a service that cannot start: it names the setting, the server, the error and the remedy, and never the
/// password.
fn refusal(backends: &Backends, url: &str, words: &[&str]) {
    let ended = at(backends, url).run();
    assert_eq!(ended.code, Some(4), "{url}: {}", ended.log);
    for word in words.iter().chain(&["database_url"]) {
        assert!(ended.log.contains(word), "{url}: no {word}: {}", ended.log);
    }
    assert!(!ended.log.contains("s3cret"), "{}", ended.log);
}

/// An authority that has issued nothing.
fn stranger(folder: &Path) -> PathBuf {
    let (key, certificate) = (folder.join("stranger.key"), folder.join("stranger.crt"));
    let mut command = Command::new("openssl");
    command
        .args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"])
        .args([
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-subj",
            "/CN=stranger",
        ])
        .args([Path::new("-keyout"), &key, Path::new("-out"), &certificate]);
    let outcome = command.output().expect("openssl can be run");
    assert!(outcome.status.success(), "{outcome:?}");
    certificate
}

#[test]
fn each_sslmode_does_what_it_says() {
    let services = Services::shared();
    let backends = over(services);
    let (url, ca) = (url(&backends), authority(services));
    let (_, place) = url.split_once("@127.0.0.1").expect("a URL");
    for (query, encrypts) in [
        (String::new(), true),
        ("sslmode=disable".to_owned(), false),
        ("sslmode=allow".to_owned(), true),
        ("sslmode=prefer".to_owned(), true),
        ("sslmode=require".to_owned(), true),
        (format!("sslmode=require&sslrootcert={ca}"), true),
        (format!("sslmode=verify-ca&sslrootcert={ca}"), true),
        (format!("sslmode=verify-full&sslrootcert={ca}"), true),
    ] {
        let found = is_encrypted(&backends, &format!("{url}?{query}"));
        assert_eq!(found, encrypts, "{query}");
    }
    // The certificate is not for this name, which only one mode checks.
    let elsewhere = format!("postgresql://oxicorn@{NOWHERE}{place}?hostaddr=127.0.0.1");
    let trusting = format!("{elsewhere}&sslmode=verify-ca&sslrootcert={ca}");
    assert!(is_encrypted(&backends, &trusting));
    let strict = format!("{elsewhere}&sslmode=verify-full&sslrootcert={ca}");
    refusal(&backends, &strict, &[NOWHERE, "certificate", "verify-ca"]);
}

#[test]
fn whom_no_authority_vouches_for_is_not_talked_to() {
    let services = Services::shared();
    let backends = over(services);
    let folder = tempfile::tempdir().expect("a folder");
    let other = stranger(folder.path());
    let empty = folder.path().join("empty.crt");
    fs::write(&empty, "").expect("a file");
    let url = url(&backends).replace("oxicorn@", "oxicorn:s3cret@");
    for mode in ["require", "verify-ca", "verify-full"] {
        let with = |file: &Path| format!("{url}?sslmode={mode}&sslrootcert={}", file.display());
        let words = [
            "PostgreSQL at 127.0.0.1:",
            "certificate",
            "sslrootcert=PATH",
        ];
        refusal(&backends, &with(&other), &words);
        let missing = folder.path().join("missing.crt");
        refusal(&backends, &with(&missing), &["cannot read", "missing.crt"]);
        refusal(&backends, &with(&empty), &["no certificate", "empty.crt"]);
    }
    // The system does not know the authority of the test's server.
    let system = format!("{url}?sslmode=verify-full");
    refusal(&backends, &system, &["sslrootcert=PATH"]);
    let nonsense = format!("{url}?sslmode=always");
    refusal(&backends, &nonsense, &["sslmode=always", "verify-full"]);
}

/// Restarts the server with this client authentication, with or without TLS.
fn reconfigure(services: &Services, database: &crate::harness::Database, ssl: &str) {
    let data = Path::new(authority(services)).parent().expect("a folder");
    let rules = "host all locked 127.0.0.1/32 scram-sha-256\n\
        hostnossl all careful 127.0.0.1/32 reject\n\
        host all all 127.0.0.1/32 trust\n";
    fs::write(data.join("pg_hba.conf"), rules).expect("a file of the server");
    database.sql(&format!("ALTER SYSTEM SET ssl = {ssl}"));
    services.restart("postgres");
}

#[test]
fn a_server_without_tls_is_used_or_not_as_sslmode_says() {
    let services = Services::private(&["postgres"]);
    let backends = over(&services);
    reconfigure(
        &services,
        backends.store.as_ref().expect("PostgreSQL"),
        "off",
    );
    let url = url(&backends);
    for mode in ["disable", "allow", "prefer"] {
        assert!(!is_encrypted(&backends, &format!("{url}?sslmode={mode}")));
    }
    let ca = authority(&services);
    for query in [
        "sslmode=require".to_owned(),
        format!("sslmode=verify-ca&sslrootcert={ca}"),
        format!("sslmode=verify-full&sslrootcert={ca}"),
    ] {
        let words = [
            "PostgreSQL at 127.0.0.1:",
            "does not support TLS",
            "ssl = on",
        ];
        refusal(&backends, &format!("{url}?{query}"), &words);
    }
}

#[test]
fn who_is_not_let_in_is_told_why_and_by_whom() {
    let services = Services::private(&["postgres"]);
    let backends = over(&services);
    let database = backends.store.as_ref().expect("PostgreSQL");
    database.sql("CREATE ROLE locked SUPERUSER LOGIN PASSWORD 'the right one'");
    database.sql("CREATE ROLE careful SUPERUSER LOGIN");
    reconfigure(&services, database, "on");
    let url = url(&backends);
    let login = |login: &str| url.replace("//oxicorn@", &format!("//{login}@"));
    assert!(is_encrypted(&backends, &login("locked:the%20right%20one")));

    let place = "PostgreSQL at 127.0.0.1:";
    let wrong = login("locked:s3cret");
    refusal(
        &backends,
        &wrong,
        &[place, "locked", "check user, password"],
    );
    refusal(&backends, &login("locked"), &[place, "password"]);
    let nobody = login("nobody:s3cret");
    refusal(&backends, &nobody, &[place, "\"nobody\" does not exist"]);
    let plain = format!("{}?sslmode=disable", login("careful:s3cret"));
    refusal(&backends, &plain, &[place, "careful", "sslmode"]);
    assert!(is_encrypted(&backends, &login("careful")));
    let (server, _) = wrong.rsplit_once('/').expect("a path");
    let server = server.replace("locked:", "oxicorn:");
    let absent = format!("{server}/absent");
    refusal(
        &backends,
        &absent,
        &[place, "\"absent\" does not exist", "create"],
    );
}

/// The server may come up later: the service starts, answers 503 to calls that need it, and logs what it cannot reach.
#[test]
fn a_server_that_cannot_be_reached_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let closed = listener.local_addr().expect("bound");
    drop(listener);
    let backends = Backends::default();
    for (place, why) in [
        (closed.to_string(), "refused"),
        (format!("{NOWHERE}:5432"), "lookup"),
    ] {
        let url = format!("postgres://anna:s3cret@{place}/x");
        let mut server = at(&backends, &url).start();
        server.tolerate("PostgreSQL at");
        let line = server.log().wait_for("PostgreSQL at");
        for word in [&place, "does not answer", why, "answered 503"] {
            assert!(line.contains(word), "no {word}: {line}");
        }
        let answer = server.get(&format!("{BASE}/tasks/1000"));
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(answer.field("Retry-After"), Some("5"), "{answer:?}");
        assert_eq!(server.get("/ready").status, 503);
        assert_eq!(server.get("/health").status, 200);
        let log = server.log().text();
        assert!(!log.contains("s3cret"), "{log}");
        assert_eq!(server.log().count("PostgreSQL at"), 1, "{log}");
    }
}

/// All tables are made once, by whichever of many processes comes first.
#[test]
fn eight_workers_may_find_an_empty_database() {
    for backends in [over(Services::shared()), Backends::default()] {
        let builder = backends.service("empty").args(&["--runners", "0"]);
        let server = builder.workers(8).start();
        let ids: Vec<_> = (0..16)
            .map(|_| create(&server, json!({"userId": 1})))
            .collect();
        assert_eq!(ids, (1000..1016).collect::<Vec<_>>());
        if let Some(database) = &backends.store {
            let versions = "SELECT count(*) = max(version) FROM oxicorn_migrations";
            assert_eq!(database.sql(versions), "t");
        }
    }
}

/// The server ends the connection during a commit, so its outcome is unknown.
#[test]
fn a_lost_commit_is_told_to_the_client_and_once_to_the_log() {
    let backends = over(Services::shared());
    let builder = backends.service("lost commit").args(&["--runners", "0"]);
    let mut server = builder.workers(2).start();
    server.tolerate("500 OUTCOME_UNKNOWN");
    let id = create(&server, json!({"userId": 1}));
    let database = backends.store.as_ref().expect("PostgreSQL");
    database.sql(
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER die AFTER UPDATE ON tasks DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION die()",
    );
    let path = format!("/tasks/{id}/cancel");
    let (status, answer) = call(&server, "PUT", &path, None);
    assert_eq!((status, &answer["error"]), (500, &json!("OUTCOME_UNKNOWN")));
    let line = server.log().wait_for("OUTCOME_UNKNOWN");
    for word in ["[ERROR]", "PUT", &path, "commit"] {
        assert!(line.contains(word), "no {word}: {line}");
    }
    // Another connection can be opened: there is no outage, and the call can be repeated.
    database.sql("DROP TRIGGER die ON tasks");
    assert_eq!(task(&server, id)["status"], "pending");
    assert_eq!(call(&server, "PUT", &path, None).0, 200);
    let log = server.log();
    assert_eq!(log.count("OUTCOME_UNKNOWN"), 1, "{}", log.text());
    assert_eq!(log.count("does not answer"), 0, "{}", log.text());
}

/// If the settings allow too many connections, the log says so at the start, not only under load.
#[test]
fn pools_that_are_larger_than_the_server_are_told_of() {
    let backends = over(Services::shared());
    let builder = backends.service("large pools").args(&["--runners", "0"]);
    let builder = builder.env("POOL_SIZE", "1").env("MAX_OVERFLOW", "200");
    let server = builder.workers(2).start();
    let line = server.log().wait_for("max_connections");
    for word in ["[WARNING]", "2 workers", "402", "raise max_connections"] {
        assert!(line.contains(word), "no {word}: {line}");
    }
    assert_eq!(server.log().count("max_connections"), 1);
    drop(server);
    let builder = backends.service("small pools").args(&["--runners", "0"]);
    let server = builder.workers(2).start();
    create(&server, json!({"userId": 1}));
    assert_eq!(server.log().count("max_connections"), 0);
}

/// A server that is full when the service begins is waited for.
#[test]
fn who_finds_no_room_is_let_in_later() {
    let services = Services::private(&["postgres"]);
    let backends = over(&services);
    let database = backends.store.as_ref().expect("PostgreSQL");
    database.sql("CREATE ROLE visitor LOGIN CONNECTION LIMIT 0");
    database.sql("GRANT CREATE ON SCHEMA public TO visitor");
    let url = url(&backends).replace("//oxicorn@", "//visitor@");
    let mut server = at(&backends, &url).start();
    server.tolerate("PostgreSQL at");
    let line = server.log().wait_for("does not answer");
    assert!(line.contains("too many connections"), "{line}");
    let answer = server.get(&format!("{BASE}/tasks/1000"));
    assert_eq!(answer.status, 503, "{answer:?}");
    database.sql("ALTER ROLE visitor CONNECTION LIMIT -1");
    eventually("it is let in", || {
        let answer = server.get(&format!("{BASE}/tasks/1000"));
        (answer.status == 404).then_some(())
    });
    server.log().wait_for("answers again");
    create(&server, json!({"userId": 1}));
    let told = server.log().count("PostgreSQL at");
    assert_eq!(told, 2, "{}", server.log().text());
}
