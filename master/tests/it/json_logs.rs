//! Logs as JSON: one object per line, whatever clients and applications send, however many processes write.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::thread;

use serde_json::Value;

use crate::harness::{Client, Load, Mode, Receiver, Server, eventually};

const BOTH: [&str; 8] = [
    "--access-log-json",
    "--access-logfile",
    "access.log",
    "--error-log-json",
    "--error-logfile",
    "-",
    "--request-id",
    "on",
];

fn parse(line: &str) -> Value {
    let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert!(value.is_object(), "{line}");
    assert!(!line.chars().any(char::is_control), "{line:?}");
    value
}

/// The lines of a file once there are `count` of them.
fn lines(path: &Path, count: usize) -> Vec<Value> {
    let text = eventually("all lines", || {
        let text = fs::read_to_string(path).ok()?;
        (text.lines().count() >= count).then_some(text)
    });
    assert!(text.ends_with('\n'));
    text.lines().map(parse).collect()
}

#[test]
fn a_request_is_an_object_with_known_names() {
    let server = Server::new("object").lab().args(&BOTH).start();
    // The start has asked, too.
    let before = lines(&server.dir().join("access.log"), 1).len();
    let mut client = server.client();
    let fields = "User-Agent: caf\u{e9} \"1\"\r\nX-Request-ID: id-1\r\n\
        traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
    client
        .request("GET", "/sleep%20?ms=20&x", fields, b"")
        .expect("an answer");
    let line = lines(&server.dir().join("access.log"), before + 1).remove(before);
    for (key, value) in [
        ("http.request.method", Value::from("GET")),
        ("url.path", "/sleep%20".into()),
        ("url.query", "ms=20&x".into()),
        ("http.response.status_code", 200.into()),
        ("client.address", "127.0.0.1".into()),
        ("network.peer.address", "127.0.0.1".into()),
        ("server.address", "test".into()),
        ("user_agent.original", "caf\u{e9} \"1\"".into()),
        ("request_id", "id-1".into()),
        ("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736".into()),
        ("span_id", "00f067aa0ba902b7".into()),
        ("oxicorn.worker.age", 1.into()),
        ("oxicorn.worker.generation", 1.into()),
        ("process.pid", server.children()[0].0.into()),
    ] {
        assert_eq!(line[key], value, "{key} of {line}");
    }
    let seconds = |key: &str| line[key].as_f64().expect("a number");
    let whole = seconds("http.server.request.duration");
    let parts = seconds("oxicorn.application.duration") + seconds("oxicorn.send.duration");
    assert!((whole - parts).abs() < 0.000_002, "{line}");
    let time = line["timestamp"].as_str().expect("a time");
    assert_eq!(time.len(), "2026-11-23T10:00:00.000000Z".len());
}

#[test]
fn errors_are_objects_of_one_line() {
    let mut server = Server::new("error objects").lab().args(&BOTH).start();
    server.tolerate("purpose");
    let mut client = server.client();
    let id = "X-Request-ID: id-1\r\n";
    let answer = client.request("GET", "/panic-of-lines", id, b"");
    assert_eq!(answer.expect("an answer").status, 500);
    server.log().wait_for("Error handling request");
    let all: Vec<Value> = server
        .log()
        .lines()
        .iter()
        .map(|line| parse(line))
        .collect();
    let found = |text: &str| {
        let message = |it: &&Value| it["message"].as_str().is_some_and(|it| it.contains(text));
        all.iter()
            .find(message)
            .unwrap_or_else(|| panic!("{text}: {all:?}"))
    };
    let error = found("Error handling request");
    assert_eq!(error["severity"], "ERROR");
    assert_eq!(error["request_id"], "id-1");
    assert_eq!(error["oxicorn.worker.age"], 1);
    let message = error["message"].as_str().expect("a text");
    assert!(
        message.ends_with("on \"purpose\"\nof two lines \u{1b}[31m\u{2028}"),
        "{message}"
    );
    let ready = found("Generation 1 serves");
    assert_eq!(ready["severity"], "INFO");
    assert_eq!(ready["process.pid"], server.master().0);
    assert_eq!(ready.get("oxicorn.worker.age"), None);
    assert_eq!(ready.get("request_id"), None);
}

#[test]
fn a_stack_has_a_member_of_its_own() {
    let mut server = Server::new("stack object")
        .lab()
        .args(&BOTH)
        .args(&["--timeout", "1"])
        .start();
    server.tolerate("timed out");
    let mut client = server.client();
    let answer = client.request("GET", "/sleep?ms=2000", "X-Request-ID: id-1\r\n", b"");
    assert_eq!(answer.expect("an answer").status, 504);
    let line = parse(&server.log().wait_for("timed out"));
    assert_eq!(line["request_id"], "id-1");
    assert!(
        line["code.stacktrace"]
            .as_str()
            .is_some_and(|it| it.contains("sleep")),
        "{line}"
    );
}

#[test]
fn a_format_of_ones_own_chooses_the_members() {
    let format =
        r#"{"path": "%(U)s", "status": %(s)s, "waited": %({queue}x)s, "id": %({request_id}x)s}"#;
    let server = Server::new("own object")
        .args(&BOTH)
        .args(&["--access-logformat", format])
        .start();
    server.get("/a%22b");
    let line = eventually("its line", || {
        let text = fs::read_to_string(server.dir().join("access.log")).ok()?;
        text.lines().map(parse).find(|it| it["path"] == "/a\"b")
    });
    assert_eq!(line["status"], 200);
    assert!(
        line["waited"].is_f64() && line["id"].as_str().is_some_and(|it| it.len() == 32),
        "{line}"
    );
    let doubtful = r#"{"a": %(nope)s, "a": %(s)s}"#;
    let server = Server::new("doubtful")
        .args(&BOTH)
        .args(&["--access-logformat", doubtful])
        .start();
    server
        .log()
        .wait_for("access_log_format: %(nope)s is no atom");
    server.log().wait_for("is there twice");
    let ended = Server::new("no object")
        .args(&BOTH)
        .args(&["--access-logformat", "%(h)s"])
        .run();
    assert_eq!(ended.code, Some(1));
    for part in ["access_log_json", "--access-logformat", "JSON object"] {
        assert!(ended.log.contains(part), "{}", ended.log);
    }
}

#[test]
fn objects_are_whole_with_many_writers() {
    let server = Server::new("whole objects")
        .lab()
        .workers(4)
        .threads(4)
        .args(&BOTH)
        .start();
    let target = format!("/log?text={}", "x".repeat(1500));
    let load = Load::start_limited(server.address(), 8, Mode::KeepAlive, &target, 250);
    load.finish().assert_perfect();
    let path = server.dir().join("access.log");
    let mut writers: HashMap<String, u32> = HashMap::new();
    // One for the start.
    let all = lines(&path, 2000 + 1);
    for line in all.iter().filter(|it| it["url.path"] == "/log") {
        assert_eq!(line["url.query"].as_str().map(str::len), Some(1505));
        *writers.entry(line["process.pid"].to_string()).or_default() += 1;
    }
    assert_eq!(writers.values().sum::<u32>(), 2000);
    assert!(writers.len() >= 2, "{writers:?}");
    server.log().wait_for_nth("front x", 2000);
    server
        .log()
        .lines()
        .iter()
        .for_each(|line| drop(parse(line)));
}

#[test]
fn syslog_has_the_same_objects() {
    let receiver = Receiver::udp();
    let server = Server::new("objects for syslog")
        .args(&BOTH)
        .args(&["--log-syslog", "--log-syslog-to", receiver.address()])
        .start();
    let mut client = server.client();
    client
        .send(b"GET /one HTTP/1.1\r\nX-Request-ID: id-1\r\n\r\n")
        .expect("sent");
    assert_eq!(client.answer().expect("an answer").status, 400);
    for (pattern, key, value) in [
        ("\"url.path\":\"/one\"", "url.path", "/one"),
        ("Invalid request", "severity", "WARNING"),
    ] {
        let record = receiver.wait_for(pattern);
        let text = record.split_once("] ").expect("a process").1;
        let line = parse(text.trim_end_matches('\0'));
        assert_eq!(
            (&line[key], &line["request_id"]),
            (&value.into(), &"id-1".into())
        );
    }
}

/// A simple generator, so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }

    /// Octets of any kind, which now and then break the rules of HTTP.
    fn octets(&mut self, most: usize) -> Vec<u8> {
        let nasty = [
            "\"",
            "\\",
            "\u{2028}",
            "\u{9b}",
            "\u{202e}",
            "\u{1f600}",
            "%",
            "{",
            "}",
            "\t",
            "\x7f",
        ];
        let mut octets = Vec::new();
        for _ in 0..self.throw(most) {
            match self.throw(40) {
                0 => octets.extend_from_slice(&[0xff, 0xfe]),
                1 => octets.push(self.throw(32) as u8),
                2..15 => octets.extend_from_slice(nasty[self.throw(nasty.len())].as_bytes()),
                15..20 => octets.push(128 + self.throw(128) as u8),
                _ => octets.push(33 + self.throw(94) as u8),
            }
        }
        octets
    }

    fn request(&mut self, id: &str) -> Vec<u8> {
        let methods = [
            "GET",
            "POST",
            "FOO-BAR",
            "A'B",
            "X".repeat(20).leak(),
            "M|Z",
        ];
        let mut request = methods[self.throw(methods.len())].as_bytes().to_vec();
        request.extend_from_slice(b" /");
        let is_valid = self.throw(4) > 0;
        for octet in self.octets(30) {
            match is_valid && !octet.is_ascii_alphanumeric() {
                true => request.extend_from_slice(format!("%{octet:02x}").as_bytes()),
                false => request.push(octet),
            }
        }
        request.extend_from_slice(b" HTTP/1.1\r\nHost: a\r\n");
        request.extend_from_slice(format!("X-Request-ID: {id}\r\n").as_bytes());
        for name in [
            "User-Agent",
            "Referer",
            "Authorization",
            "traceparent",
            "X-Other",
        ] {
            if self.throw(2) == 0 {
                request.extend_from_slice(format!("{name}: ").as_bytes());
                let octets = self.octets(60).into_iter();
                let is_control = |it: &u8| it.is_ascii_control() && *it != b'\t';
                request.extend(octets.filter(|it| !is_control(it) || !is_valid));
                request.extend_from_slice(b"\r\n");
            }
        }
        request.extend_from_slice(b"\r\n");
        request
    }
}

#[test]
fn whatever_clients_send_each_line_is_an_object() {
    const CLIENTS: u64 = 4;
    const REQUESTS: usize = 1500;
    let mut server = Server::new("fuzzed")
        .lab()
        .workers(2)
        .threads(2)
        .args(&BOTH)
        .start();
    server.tolerate("Invalid request");
    let address = server.address();
    let clients = (0..CLIENTS).map(|number| {
        thread::spawn(move || {
            let mut dice = Dice(number);
            let mut client = Client::connect(address).expect("a connection");
            let mut statuses: HashMap<u16, usize> = HashMap::new();
            let mut answered = Vec::new();
            for request in 0..REQUESTS {
                let id = format!("client-{number}-{request}");
                let bytes = dice.request(&id);
                client.send(&bytes).expect("sent");
                let answer = client.answer();
                let answer =
                    answer.unwrap_or_else(|error| panic!("{error}: {}", bytes.escape_ascii()));
                answered.push(answer.field("X-Request-ID").expect("an id").to_owned());
                *statuses.entry(answer.status).or_default() += 1;
                if answer.closes() {
                    client = Client::connect(address).expect("a connection");
                }
            }
            (answered, statuses)
        })
    });
    let clients: Vec<_> = clients.collect();
    let mut statuses: HashMap<u16, usize> = HashMap::new();
    let mut wanted: HashMap<String, usize> = HashMap::new();
    for client in clients {
        let (answered, counts) = client.join().expect("no panic");
        answered
            .into_iter()
            .for_each(|id| *wanted.entry(id).or_default() += 1);
        counts
            .into_iter()
            .for_each(|(status, count)| *statuses.entry(status).or_default() += count);
    }
    // Both kinds are there: those that the application has seen, and those that were refused.
    assert!(
        statuses.len() > 1 && statuses.values().all(|&count| count > 100),
        "{statuses:?}"
    );
    // One for the start.
    let all = lines(
        &server.dir().join("access.log"),
        CLIENTS as usize * REQUESTS + 1,
    );
    for line in all {
        let id = line["request_id"].as_str().expect("an id");
        wanted.remove(id);
    }
    assert!(wanted.is_empty(), "{wanted:?}");
    server
        .log()
        .lines()
        .iter()
        .for_each(|line| drop(parse(line)));
}
