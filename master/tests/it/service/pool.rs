//! The connection pool: POOL_SIZE, MAX_OVERFLOW and POOL_TIMEOUT.

use std::fs::File;
use std::time::{Duration, Instant};

use super::*;
use crate::harness::{Client, Server, TIMEOUT, eventually};

/// A service with one connection to its store. A request that writes keeps it while it waits for its turn. Nothing is
/// cached, so every request needs the connection.
struct Busy {
    server: Server,
    /// Locked, as by a writer of another process.
    turn: File,
    writer: Client,
}

impl Busy {
    fn new(name: &str, pool_timeout: &str) -> Self {
        let builder = service(name)
            .env("POOL_SIZE", "1")
            .env("MAX_OVERFLOW", "0")
            .env("POOL_TIMEOUT", pool_timeout)
            .args(&["--threads", "3", "--runners", "0"])
            .args(&["--task-cache-ttl", "0"]);
        let path = builder.dir().join("tasks.db-turn");
        let server = builder.workers(1).start();
        let turn = File::open(path).expect("the file at which writers queue");
        turn.lock().expect("the writers' turn");
        let mut writer = server.client();
        let body = r#"{"userId": 1}"#;
        let head = format!("POST {BASE}/tasks HTTP/1.1\r\nHost: a\r\n{JSON}");
        let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        writer.send(request.as_bytes()).expect("sent");
        Self {
            server,
            turn,
            writer,
        }
    }

    /// The writer continues, and with it all requests.
    fn end(mut self) {
        drop(self.turn);
        assert_eq!(self.writer.answer().expect("an answer").status, 201);
        let answer = self.server.get(&format!("{BASE}/tasks"));
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

#[test]
fn who_finds_no_connection_waits_for_one() {
    let busy = Busy::new("pool", "30");
    let mut reader = eventually("the only connection is taken", || {
        let mut reader = busy.server.client();
        reader.set_timeout(Duration::from_millis(500));
        match reader.get(&format!("{BASE}/tasks")) {
            Ok(answer) => assert_eq!(answer.status, 200, "{answer:?}"),
            Err(_) => return Some(reader),
        }
        None
    });
    reader.set_timeout(TIMEOUT);
    busy.end();
    assert_eq!(reader.answer().expect("an answer").status, 200);
}

#[test]
fn who_waits_too_long_for_a_connection_is_answered_503() {
    let busy = Busy::new("pool timeout", "1");
    let (answer, took) = eventually("the only connection is taken", || {
        let began = Instant::now();
        let answer = busy.server.get(&format!("{BASE}/tasks"));
        (answer.status != 200).then(|| (answer, began.elapsed()))
    });
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.field("Retry-After"), Some("1"), "{answer:?}");
    assert_eq!(parse(&answer)["error"], "SERVICE_UNAVAILABLE");
    assert!(took > Duration::from_millis(900), "{took:?}");
    busy.end();
}
