//! Logging in to Redis: TLS, ACL users, and passwords that do not fit into a URL.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::*;
use crate::harness::OwnRedis;

/// The permissions that docs/api.md lists.
const RULES: &str = "user oxicorn on >s3cret ~task:* ~user:* ~session:* ~oxicorn:* resetchannels -@all +auth +hello +select \
    +ping +info +get +set +unlink +del +eval +scan +client|tracking +time +zadd +zrange +zremrangebyscore +expire";

/// `redis-server` in a folder, with one port for TLS and one without.
struct RedisWithUsers {
    folder: PathBuf,
    plain: u16,
    tls: u16,
    _process: OwnRedis,
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port()
}

impl RedisWithUsers {
    fn start(folder: &Path) -> Self {
        certify(folder);
        std::fs::write(
            folder.join("users.acl"),
            format!("user default off\n{RULES}\n"),
        )
        .expect("a file");
        let (plain, tls) = (free_port(), free_port());
        let flags = format!(
            "--port {plain} --tls-port {tls} --bind 127.0.0.1 --tls-auth-clients no --tls-cert-file server.crt \
             --tls-key-file server.key --tls-ca-cert-file ca.crt --aclfile users.acl"
        );
        let flags: Vec<&str> = flags.split(' ').collect();
        let process = OwnRedis::spawn(folder, &flags);
        eventually("Redis listens", || {
            std::net::TcpStream::connect(("127.0.0.1", tls))
                .ok()
                .map(drop)
        });
        let folder = folder.to_owned();
        Self {
            folder,
            plain,
            tls,
            _process: process,
        }
    }

    fn keys(&self) -> String {
        let url = format!("redis://oxicorn:s3cret@127.0.0.1:{}", self.plain);
        let words = [
            "--no-auth-warning",
            "-u",
            &url,
            "SCAN",
            "0",
            "MATCH",
            "task:*",
            "COUNT",
            "1000",
        ];
        let output = Command::new("redis-cli").args(words).output();
        String::from_utf8_lossy(&output.expect("redis-cli").stdout).into_owned()
    }

    fn authority(&self) -> String {
        self.folder.join("ca.crt").display().to_string()
    }
}

/// An authority, and a certificate for 127.0.0.1.
fn certify(folder: &Path) {
    let openssl = |words: &str| {
        let outcome = Command::new("openssl")
            .args(words.split(' '))
            .current_dir(folder)
            .output();
        let outcome = outcome.expect("openssl can be run");
        assert!(outcome.status.success(), "{words}: {outcome:?}");
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!(
        "req -x509 {key} -days 2 -subj /CN=authority -keyout ca.key -out ca.crt"
    ));
    openssl(&format!(
        "req {key} -subj /CN=localhost -keyout server.key -out server.csr"
    ));
    let extensions = "basicConstraints=CA:FALSE\nsubjectAltName=IP:127.0.0.1\n";
    std::fs::write(folder.join("server.ext"), extensions).expect("a file");
    openssl(
        "x509 -req -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile server.ext -in server.csr -out server.crt",
    );
}

/// Without runners, so that no task changes.
fn serve(name: &str, url: &str) -> Builder {
    let builder = service(name)
        .env("REDIS_URL", url)
        .args(&["--runners", "0"]);
    builder
        .args(&["--redis-timeout", "0.1", "--near-cache-ttl", "60"])
        .workers(2)
}

fn is_used(redis: &RedisWithUsers, server: &Server) {
    let id = create(server, json!({"userId": 1}));
    eventually("the task is in Redis", || {
        task(server, id);
        redis.keys().contains(&format!("task:{id}:")).then_some(())
    });
    let (status, _) = call(server, "PUT", &format!("/tasks/{id}/cancel"), None);
    assert_eq!(status, 200);
    for _ in 0..10 {
        assert_eq!(task(server, id)["status"], "cancelled");
    }
    for quiet in ["does not answer", "tells nobody of changes"] {
        assert_eq!(server.log().count(quiet), 0, "{}", server.log().text());
    }
}

#[test]
fn a_user_with_these_rights_is_enough_over_tls_and_without() {
    let folder = tempfile::tempdir().expect("a folder");
    let redis = RedisWithUsers::start(folder.path());
    let login = "oxicorn:s3cret@127.0.0.1";
    let ca = redis.authority();
    for url in [
        format!("redis://{login}:{}/0", redis.plain),
        format!("rediss://{login}:{}/0?ssl_ca_certs={ca}", redis.tls),
        format!("rediss://{login}:{}/0?ssl_cert_reqs=none", redis.tls),
    ] {
        let server = serve("access", &url).start();
        is_used(&redis, &server);
    }
    let port = redis.plain.to_string();
    let builder = service("by host").args(&["--runners", "0", "--redis-timeout", "0.1"]);
    let builder = builder
        .env("REDIS_HOST", "127.0.0.1")
        .env("REDIS_PORT", &port);
    let builder = builder
        .env("REDIS_USERNAME", "oxicorn")
        .env("REDIS_PASSWORD", "s3cret");
    is_used(&redis, &builder.workers(1).start());
}

#[test]
fn whom_no_authority_vouches_for_and_who_speaks_no_tls_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let redis = RedisWithUsers::start(folder.path());
    for (url, word) in [
        (
            format!(
                "rediss://oxicorn:s3cret@127.0.0.1:{}/0?ssl_ca_certs={}",
                redis.plain,
                redis.authority()
            ),
            "no TLS",
        ),
        (
            format!(
                "rediss://oxicorn:s3cret@localhost:{}/0?ssl_ca_certs={}",
                redis.tls,
                redis.authority()
            ),
            "certificate",
        ),
        (
            format!("redis://oxicorn:wrong@127.0.0.1:{}/0", redis.plain),
            "WRONGPASS",
        ),
    ] {
        let server = serve("no access", &url).start();
        let line = server.log().wait_for("Redis at");
        assert!(line.contains(word), "no {word}: {line}");
        // The service works without it.
        let id = create(&server, json!({"userId": 1}));
        task(&server, id);
        let log = server.log().text();
        assert!(!log.contains("s3cret") && !log.contains("wrong@"), "{log}");
    }
}

#[test]
fn a_password_that_does_not_fit_into_a_url_says_what_to_write() {
    for (password, code) in [("s3#cret", "%23"), ("s3/cret", "%2F"), ("s3?cret", "%3F")] {
        let url = format!("redis://me:{password}@127.0.0.1:6379/0");
        let ended = serve("password", &url).run();
        assert_eq!(ended.code, Some(4), "{}", ended.log);
        assert!(
            ended.log.contains("redis_url") && ended.log.contains(code),
            "{}",
            ended.log
        );
        assert!(!ended.log.contains("cret@"), "{}", ended.log);
    }
}
