//! Request ids: given or made, returned, and in each line about their request and in no other.

use std::collections::HashSet;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::harness::{Builder, Client, Server, eventually};

const GIVEN: &str = "7b1f0c9e-2f5e-4c8a-9a51-2f0f4ad1a0c3";

fn lab(name: &str) -> Builder {
    Server::new(name).lab().args(&["--request-id", "on"])
}

/// The id that the application sees, which must be the one that is returned.
fn id_for(client: &mut Client, fields: &str) -> String {
    let answer = client
        .request("GET", "/id", fields, b"")
        .expect("an answer");
    let returned = answer.field("X-Request-ID").expect("an id").to_owned();
    assert_eq!(answer.text(), returned);
    returned
}

fn is_new(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|it| it.is_ascii_hexdigit())
}

#[test]
fn each_request_of_a_connection_has_its_own() {
    let server = lab("own ids").start();
    let mut client = server.client();
    let ids: HashSet<String> = (0..50).map(|_| id_for(&mut client, "")).collect();
    assert!(
        ids.len() == 50 && ids.iter().all(|it| is_new(it)),
        "{ids:?}"
    );
}

#[test]
fn a_trusted_peer_gives_the_id_if_it_is_well_formed() {
    let server = lab("given ids").start();
    let mut client = server.client();
    for given in [GIVEN, "a", &"x".repeat(128), "a.b_c~d:e/f+g=@h"] {
        let id = id_for(&mut client, &format!("X-REQUEST-ID: {given}\r\n"));
        assert_eq!(id, given);
    }
    for given in [
        "",
        "a b",
        "a\"b",
        "a\\b",
        "a;b",
        "caf\u{e9}",
        "a\tb",
        &"x".repeat(129),
    ] {
        let id = id_for(&mut client, &format!("X-Request-ID: {given}\r\n"));
        assert!(is_new(&id), "{given:?} became {id}");
    }
    let twice = "X-Request-ID: a\r\nX-Request-ID: b\r\n";
    assert!(is_new(&id_for(&mut client, twice)));
}

#[test]
fn nobody_else_gives_it() {
    let server = lab("foreign ids")
        .args(&["--forwarded-allow-ips", "10.1.2.3"])
        .start();
    let mut client = server.client();
    let id = id_for(&mut client, &format!("X-Request-ID: {GIVEN}\r\n"));
    assert!(is_new(&id), "{id}");
}

#[test]
fn pipelined_requests_keep_theirs() {
    let server = lab("pipelined ids").threads(4).workers(2).start();
    let mut client = server.client();
    let mut requests = String::new();
    for number in 0..100 {
        requests +=
            &format!("GET /id HTTP/1.1\r\nHost: a\r\nX-Request-ID: number-{number}\r\n\r\n");
        requests += "GET /id HTTP/1.1\r\nHost: a\r\n\r\n";
    }
    client.send(requests.as_bytes()).expect("sent");
    let mut made = HashSet::new();
    for number in 0..100 {
        let answer = client.answer().expect("an answer");
        assert_eq!(answer.text(), format!("number-{number}"));
        let answer = client.answer().expect("an answer");
        assert!(is_new(&answer.text()), "it has that of the one before");
        made.insert(answer.text());
    }
    assert_eq!(made.len(), 100);
}

#[test]
fn another_field_can_have_it() {
    let server = Server::new("another field")
        .lab()
        .args(&["--request-id", "X-Correlation-ID"])
        .start();
    let mut client = server.client();
    let fields = "X-Request-ID: a\r\nX-Correlation-Id: b\r\n";
    let answer = client
        .request("GET", "/id", fields, b"")
        .expect("an answer");
    assert_eq!(answer.text(), "b");
    assert_eq!(answer.field("X-Correlation-ID"), Some("b"));
    assert_eq!(answer.field("X-Request-ID"), None);
}

#[test]
fn unless_asked_there_is_none() {
    let server = Server::new("no ids").lab().start();
    let mut client = server.client();
    let fields = format!("X-Request-ID: {GIVEN}\r\n");
    let answer = client
        .request("GET", "/id", &fields, b"")
        .expect("an answer");
    assert_eq!(
        (answer.text(), answer.field("X-Request-ID")),
        (String::new(), None)
    );
    client.get("/log?text=plain").expect("an answer");
    assert!(
        server
            .log()
            .wait_for("front plain")
            .contains("[WARNING] front plain")
    );
}

#[test]
fn the_applications_own_field_counts() {
    let server = lab("own field").start();
    let answer = server.get("/own-id");
    let ids = answer
        .fields
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("X-Request-ID"));
    let ids: Vec<_> = ids.map(|(_, value)| value.as_str()).collect();
    assert_eq!(ids, ["my own"]);
}

#[test]
fn workers_forks_and_reloads_make_no_id_twice() {
    for preload in [false, true] {
        let builder = lab("unique ids").workers(3).threads(2);
        let server = match preload {
            true => builder.arg("--preload").start_with_unknown_workers(),
            false => builder.start(),
        };
        let (mut ids, mut workers, mut count) = (HashSet::new(), HashSet::new(), 0);
        for _ in 0..3 {
            // With preload_app one of them is the mold.
            let old = server.wait_for_children(3 + usize::from(preload));
            for _ in 0..40 {
                let mut clients: Vec<Client> = (0..3).map(|_| server.client()).collect();
                for client in &mut clients {
                    ids.insert(id_for(client, ""));
                    workers.insert(client.get("/pid").expect("an answer").number());
                    count += 1;
                }
            }
            server.signal(Signal::SIGHUP);
            server.wait_for_others(&old, old.len());
        }
        assert_eq!(ids.len(), count);
        assert!(workers.len() > 3, "{workers:?}");
    }
}

#[test]
fn each_line_about_a_request_names_it_and_no_other_line_does() {
    let mut server = lab("tagged lines").start();
    for error in ["panicked", "panic: on purpose", "X-Bad", "no more"] {
        server.tolerate(error);
    }
    let tagged = |id: &str, level: &str, text: &str| format!("[{level}] [{id}] {text}");
    let ask = |target: &str, id: &str| {
        let mut client = server.client();
        let fields = format!("X-Request-ID: {id}\r\n");
        client.request("GET", target, &fields, b"")
    };
    ask("/log?text=one", "id-1").expect("an answer");
    let line = server.log().wait_for("front one");
    assert!(
        line.ends_with(&tagged("id-1", "WARNING", "front one")),
        "{line}"
    );
    // The thread that the request has started works for nobody.
    let line = server.log().wait_for("back one");
    assert!(line.ends_with("[WARNING] back one"), "{line}");

    assert_eq!(ask("/panic", "id-2").expect("an answer").status, 500);
    let line = server.log().wait_for("Error handling request GET /panic");
    assert!(
        line.contains(&tagged("id-2", "ERROR", "Error handling")),
        "{line}"
    );
    let answer = ask("/bad-header", "id-3").expect("an answer");
    assert_eq!(
        (answer.status, answer.field("X-Request-ID")),
        (500, Some("id-3"))
    );
    let line = server.log().wait_for("GET /bad-header");
    assert!(line.contains("[id-3] "), "{line}");
    // The piece that fails is made long after the call, perhaps on another thread.
    assert!(ask("/stream?pieces=3&bytes=10&fail=3", "id-4").is_err());
    let line = server.log().wait_for("no more");
    assert!(line.contains("[id-4] "), "{line}");

    // A piece that is longer than what the socket takes at once: the next one is made when the client has taken it.
    let mut client = server.client();
    let target = "/stream?pieces=2&bytes=30000000&fail=2";
    let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nX-Request-ID: id-6\r\n\r\n");
    client.send(request.as_bytes()).expect("sent");
    assert!(client.rest().expect("what there is").len() > 30_000_000);
    let line = server.log().wait_for_nth("no more", 2);
    assert!(line.contains("[id-6] "), "{line}");

    let mut client = server.client();
    client
        .send(b"GET / HTTP/1.1\r\nX-Request-ID: id-5\r\n\r\n")
        .expect("sent");
    let answer = client.answer().expect("an answer");
    assert_eq!(
        (answer.status, answer.field("X-Request-ID")),
        (400, Some("id-5"))
    );
    let line = server.log().wait_for("Invalid request");
    assert!(line.contains("[WARNING] [id-5] "), "{line}");
    let mut client = server.client();
    client.send(b"nonsense\r\n\r\n").expect("sent");
    let answer = client.answer().expect("an answer");
    assert!(is_new(answer.field("X-Request-ID").expect("an id")));

    server.signal(Signal::SIGUSR1);
    server.signal(Signal::SIGTERM);
    server.wait_for_exit();
    for other in [
        "[INFO] Booting worker",
        "[WARNING] back one",
        "[INFO] Handling signal",
        "[INFO] Worker draining",
        "[INFO] Worker exiting",
    ] {
        server.log().wait_for(other);
    }
}

#[test]
fn a_request_over_its_time_is_named() {
    let mut server = lab("504 id").args(&["--timeout", "1"]).start();
    server.tolerate("request timed out");
    let mut client = server.client();
    client.set_timeout(Duration::from_secs(60));
    let answer = client.request("GET", "/sleep?ms=3000", "X-Request-ID: late\r\n", b"");
    let answer = answer.expect("an answer");
    assert_eq!(
        (answer.status, answer.field("X-Request-ID")),
        (504, Some("late"))
    );
    let line = server.log().wait_for("request timed out");
    assert!(line.contains("[ERROR] [late] request timed out"), "{line}");
    eventually("the worker is replaced", || {
        (server.log().count("Worker exiting") > 0).then_some(())
    });
}

#[test]
fn two_threads_never_mix_up_their_lines() {
    let server = lab("threads").threads(8).workers(2).start();
    let address = server.address();
    let clients = (0..8).map(|number| {
        std::thread::spawn(move || {
            let mut client = Client::connect(address).expect("a connection");
            for round in 0..100 {
                let id = format!("c{number}-{round}");
                let target = format!("/log?text=of-{id}-end");
                let fields = format!("X-Request-ID: {id}\r\n");
                client
                    .request("GET", &target, &fields, b"")
                    .expect("an answer");
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    clients
        .into_iter()
        .for_each(|it| it.join().expect("no panic"));
    let lines = eventually("all lines", || {
        let lines = server.log().lines();
        let count = lines.iter().filter(|line| line.contains(" of-c")).count();
        (count == 1600).then_some(lines)
    });
    for line in lines.iter().filter(|line| line.contains("front of-")) {
        let id = line
            .split("front of-")
            .nth(1)
            .and_then(|it| it.strip_suffix("-end"));
        let id = id.expect("an id");
        assert!(
            line.ends_with(&format!("[WARNING] [{id}] front of-{id}-end")),
            "{line}"
        );
    }
    for line in lines.iter().filter(|line| line.contains("back of-")) {
        assert!(line.contains("[WARNING] back of-"), "{line}");
    }
}

#[test]
fn a_trace_is_read_by_its_rules() {
    let server = lab("traces").start();
    let mut client = server.client();
    let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let mut seen = |field: &str| {
        let fields = format!("X-Request-ID: a\r\n{field}");
        client
            .request("GET", "/id", &fields, b"")
            .expect("an answer")
            .text()
    };
    let valid = format!("traceparent: 00-{trace}-{span}-01\r\n");
    assert_eq!(seen(&valid), format!("a {trace} {span}"));
    assert_eq!(seen(&valid.repeat(2)), "a");
    assert_eq!(seen(&valid.to_uppercase()), "a");
}

#[test]
fn the_status_page_has_the_id_of_what_runs() {
    let builder = lab("running id").args(&["--admin-bind", "unix:admin.sock"]);
    let admin = builder.dir().join("admin.sock");
    let server = builder.start_with_unknown_workers();
    let gate = server.dir().join("gate");
    let mut client = server.client();
    let target = format!("/hold?until={}", gate.display());
    let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nX-Request-ID: {GIVEN}\r\n\r\n");
    client.send(request.as_bytes()).expect("sent");
    let running = eventually("the request runs", || {
        let mut asker = Client::connect_unix(&admin).ok()?;
        let status: Value = serde_json::from_slice(&asker.get("/status").ok()?.body).ok()?;
        let workers = status["workers"].as_array()?.iter();
        let threads = workers.filter_map(|it| it["threads"].as_array()).flatten();
        threads
            .map(|it| it["request"].clone())
            .find(|it| it["path"] == "/hold")
    });
    std::fs::write(gate, "").expect("a gate");
    assert_eq!(running["request_id"], GIVEN);
    assert_eq!(client.answer().expect("an answer").status, 200);
}
