//! Large and invalid input, and the memory that it takes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::harness::{CacheKind, EventsKind, Process, StoreKind};

const MIB: usize = 1 << 20;

/// A task whose parameters are that many bytes of `0,0,0`.
fn zeros(bytes: usize) -> String {
    let list = "0,".repeat(bytes / 2);
    format!("{{\"userId\": 1, \"parameters\": {{\"numbers\": [{list}0]}}}}")
}

fn post(client: &mut Client, fields: &str, body: &str) -> Answer {
    let path = format!("{BASE}/tasks");
    client
        .request("POST", &path, fields, body.as_bytes())
        .expect("an answer")
}

#[test]
fn a_body_has_a_limit_by_default_that_can_be_raised() {
    let server = service("limit")
        .args(&["--runners", "0"])
        .workers(1)
        .start();
    let mut client = server.client();
    let fits = post(&mut client, JSON, &zeros(MIB - 1000));
    assert_eq!(fits.status, 201, "{fits:?}");
    // The head is enough to refuse.
    let head = format!(
        "POST {BASE}/tasks HTTP/1.1\r\nHost: a\r\n{JSON}Content-Length: {}\r\n\r\n",
        MIB + 1
    );
    client.send(head.as_bytes()).expect("sent");
    assert_eq!(client.answer().expect("an answer").status, 413);
    for setting in ["--service-body-limit", "--limit-request-body"] {
        let builder = service("raised").args(&["--runners", "0", setting, "4194304"]);
        let server = builder.workers(1).start();
        let mut client = server.client();
        assert_eq!(
            post(&mut client, JSON, &zeros(3 * MIB)).status,
            201,
            "{setting}"
        );
        assert_eq!(
            post(&mut client, JSON, &zeros(5 * MIB)).status,
            413,
            "{setting}"
        );
    }
}

/// The peak memory of the children while `step` runs.
fn peak_kib(children: &[Process], step: impl FnOnce()) -> u64 {
    let (over, most) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let now = children.iter().map(|it| it.pss_kib()).sum();
                most.fetch_max(now, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        step();
        over.store(true, Ordering::Relaxed);
    });
    most.into_inner()
}

/// As a tree in memory, it would take twenty times as much.
#[test]
fn a_list_of_zeros_takes_a_few_times_its_size() {
    const SIZE: usize = 16 * MIB;
    let builder = service("amplification").args(&["--service-body-limit", "0"]);
    let server = start(builder, 1);
    let body = zeros(SIZE);
    let children = server.children();
    let before: u64 = children.iter().map(|it| it.pss_kib()).sum();
    let peak = peak_kib(&children, || {
        let answer = post(&mut server.client(), JSON, &body);
        assert_eq!(answer.status, 201, "{answer:?}");
        let id = parse(&answer)["task"]["taskId"].as_i64().expect("an id");
        eventually("the task is done", || {
            let (_, page) = call(&server, "GET", "/tasks?limit=1", None);
            let task = &page["tasks"][0];
            (task["taskId"] == id && task["status"] == "completed").then_some(())
        });
    });
    let times = (peak - before) as f64 / (SIZE / 1024) as f64;
    println!("{SIZE} bytes took {times:.1} times as much memory in worker and runner");
    assert!(times < 14.0, "{times}");
    // Unknown fields are skipped; a list in place of a number is not built in memory.
    let many: String = (0..SIZE / 10).map(|it| format!("\"{it:05}\":0,")).collect();
    for body in [
        format!("{{{many}\"userId\": 1}}"),
        format!(
            "{{\"userId\": 1, \"priority\": [{}0]}}",
            "0,".repeat(SIZE / 2)
        ),
    ] {
        let before: u64 = children.iter().map(|it| it.pss_kib()).sum();
        let peak = peak_kib(&children, || {
            let status = post(&mut server.client(), JSON, &body).status;
            assert!([201, 400].contains(&status), "{status}");
        });
        let times = peak.saturating_sub(before) as f64 / (SIZE / 1024) as f64;
        assert!(times < 8.0, "{times}");
    }
}

#[test]
fn a_compressed_body_is_refused_as_such() {
    let server = service("gzip").args(&["--runners", "0"]).workers(1).start();
    for (coding, status) in [("gzip", 415), ("br", 415), ("identity", 201)] {
        let fields = format!("{JSON}Content-Encoding: {coding}\r\n");
        let answer = post(&mut server.client(), &fields, r#"{"userId": 1}"#);
        assert_eq!(answer.status, status, "{coding}: {answer:?}");
        if status == 415 {
            assert_eq!(answer.field("Accept-Encoding"), Some("identity"));
            assert_eq!(parse(&answer)["error"], "UNSUPPORTED_MEDIA_TYPE");
        }
    }
}

#[test]
fn a_zero_character_is_refused_by_name_over_any_store() {
    for store in [StoreKind::Sqlite, StoreKind::Postgres] {
        let backends = Backends::new(store, CacheKind::Memory, EventsKind::Outbox);
        let builder = backends.service("nul").args(&["--runners", "0"]);
        let server = builder.workers(1).start();
        let user = |field: &str, value: &str| {
            let mut user = json!({"username": "anna", "email": "anna@example.org"});
            user[field] = value.into();
            call(&server, "POST", "/users", Some(user))
        };
        for field in ["username", "email", "fullName"] {
            let (status, answer) = user(field, "a\0b@example.org");
            assert_eq!(status, 400, "{store:?} {field}: {answer}");
            assert!(answer.to_string().contains(field), "{answer}");
        }
        let (status, answer) = call(&server, "POST", "/tasks", Some(json!({"userId": "a\0b"})));
        assert_eq!(status, 400, "{store:?}: {answer}");
        for query in ["userId=%00", "status=%00", "userId=a%00b&limit=1"] {
            let (status, answer) = call(&server, "GET", &format!("/tasks?{query}"), None);
            assert_eq!(status, 400, "{store:?} {query}: {answer}");
        }
        // In JSON that is stored unchanged, it is escaped.
        let body = json!({"userId": 1, "parameters": {"content": "a\0b"}});
        let id = create(&server, body);
        assert_eq!(task(&server, id)["parameters"]["content"], "a\0b");
    }
}
