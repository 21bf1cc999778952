//! What responses say of the limits: each of its own request, whoever makes it.

use std::fs;

use super::limited;
use crate::harness::{Client, Controller, Server, eventually};

/// Pipelined, so that a request finds what the one before has left.
#[test]
fn each_response_says_what_its_own_request_has_left() {
    let rules =
        "api 1/h burst=3 path=/api,/static method=GET\nkey 1/h burst=9 by=header:X-Key path=/api\n";
    let builder = limited("own fields", rules).args(&["--static-map", "/static=files"]);
    fs::create_dir(builder.dir().join("files")).expect("a directory");
    fs::write(builder.dir().join("files/a.txt"), "a").expect("a file");
    let server = builder.workers(2).start();
    let mut client = server.client();
    let cases = [
        (
            "GET",
            "/api",
            "X-Key: one\r\n",
            200,
            Some("\"api\";r=2;t=7200, \"key\";r=8;t=28800"),
            Some("\"api\";q=3;w=10800, \"key\";q=9;w=32400"),
        ),
        ("GET", "/", "", 200, None, None),
        // A rule has several buckets then, and is named once.
        (
            "POST",
            "/api",
            "X-Key: one\r\nX-Key: two\r\n",
            200,
            Some("\"key\";r=7;t=25200"),
            Some("\"key\";q=9;w=32400"),
        ),
        (
            "GET",
            "/static/a.txt",
            "",
            200,
            Some("\"api\";r=1;t=3600"),
            Some("\"api\";q=3;w=10800"),
        ),
        ("POST", "/static/a.txt", "", 405, None, None),
        ("POST", "/api", "", 200, None, None),
    ];
    let requests = cases.map(|(method, target, fields, ..)| {
        format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
    });
    client.send(requests.concat().as_bytes()).expect("sent");
    for (method, target, fields, status, limits, policies) in cases {
        let answer = client.answer().expect("an answer");
        assert_eq!(
            (
                answer.status,
                answer.field("RateLimit"),
                answer.field("RateLimit-Policy")
            ),
            (status, limits, policies),
            "{method} {target} {fields}"
        );
    }
    // The last one that may pass says when the next one may.
    let answer = client.get("/api").expect("an answer");
    let limits = answer.field("RateLimit").expect("a field");
    let seconds = limits.strip_prefix("\"api\";r=0;t=").expect(limits);
    let seconds: u64 = seconds.parse().expect(limits);
    assert!((1..=3600).contains(&seconds), "{limits}");
}

/// A worker has counted it, and has no thread for it.
#[test]
fn a_request_that_a_sibling_serves_has_the_fields_too() {
    const CLIENTS: usize = 8;
    let builder = limited("sibling", "api 1/h burst=100 path=/pid\n").lab();
    let server = builder
        .workers(2)
        .threads(1)
        .args(&["--timeout", "0"])
        .start();
    let gates = ["one", "two"].map(|it| server.dir().join(it));
    let mut held = gates.each_ref().map(|gate| {
        let mut client = server.client();
        ask(&mut client, &format!("/hold?until={}", gate.display()));
        client
    });
    wait_until(&server, "active", "requests", 2);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| server.client()).collect();
    for client in &mut clients {
        ask(client, "/pid");
    }
    wait_until(&server, "queued", "connections", CLIENTS as u64);
    // One worker serves them all.
    fs::write(&gates[0], "").expect("a gate");
    let mut by = Vec::new();
    for client in &mut clients {
        let answer = client.answer().expect("an answer");
        assert_eq!(
            (answer.status, answer.field("RateLimit-Policy")),
            (200, Some("\"api\";q=100;w=360000"))
        );
        assert!(
            answer
                .field("RateLimit")
                .is_some_and(|it| it.starts_with("\"api\";r=9")),
            "{answer:?}"
        );
        by.push(answer.number());
    }
    by.dedup();
    assert_eq!(by.len(), 1, "{by:?}");
    fs::write(&gates[1], "").expect("a gate");
    for client in &mut held {
        assert_eq!(client.answer().expect("an answer").status, 200);
    }
}

fn ask(client: &mut Client, target: &str) {
    let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
    client.send(request.as_bytes()).expect("sent");
}

fn wait_until(server: &Server, figure: &str, group: &str, count: u64) {
    eventually(figure, || {
        let status = Controller::of(server).call("status").expect("a status");
        (status[group][figure] == count).then_some(())
    });
}
