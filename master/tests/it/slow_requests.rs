//! `slow_request`: a stack while a request is slow, and its times at the end.

use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::harness::{Builder, Server, eventually};

const STACK: &str = "s; thread ";
const TIMES: &str = "): GET /sleep 200: queue ";

fn lab(name: &str) -> Builder {
    let args = ["--slow-request", "0.2", "--request-id", "on"];
    Server::new(name).lab().args(&args)
}

#[test]
fn a_slow_request_has_its_stack_while_it_runs_and_its_times_at_the_end() {
    for threads in [1, 3] {
        let server = lab("slow").threads(threads).start();
        let mut client = server.client();
        let gate = server.dir().join("gate");
        let target = format!("/hold?until={}", gate.display());
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nX-Request-ID: slow-1\r\n\r\n");
        client.send(request.as_bytes()).expect("sent");
        // It runs until its stack is there.
        let line = server.log().wait_for(STACK);
        let start = "[WARNING] [slow-1] Slow request (slow_request): GET /hold after ";
        assert!(line.contains(start) && line.ends_with(" is at:"), "{line}");
        server.log().wait_for("wait_for");
        std::fs::write(gate, "").expect("a gate");
        assert_eq!(client.answer().expect("an answer").status, 200);
        let line = server.log().wait_for("GET /hold 200: queue ");
        assert!(
            line.contains("[WARNING] [slow-1] Slow request (slow_request): GET"),
            "{line}"
        );
        let seconds = |name: &str| -> f64 {
            let rest = line.split(&format!("{name} ")).nth(1).expect(name);
            let number = rest.split(' ').next().and_then(|it| it.parse().ok());
            number.expect("a number")
        };
        assert!(seconds("application") >= 0.2, "{line}");
        assert!(seconds("queue") >= 0.0 && seconds("send") >= 0.0, "{line}");
        assert_eq!(server.log().count("GET /hold"), 2);
    }
}

#[test]
fn the_wait_for_a_thread_counts() {
    let server = lab("slow queue").start();
    // On a busy machine the second request is read late: then it waits for too short a time.
    for (attempt, millis) in [300, 1000, 3000, 9000].into_iter().enumerate() {
        let gate = server.dir().join(format!("gate-{attempt}"));
        let (mut first, mut second) = (server.client(), server.client());
        let target = format!("/hold?until={}", gate.display());
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        first.send(request.as_bytes()).expect("sent");
        server.log().wait_for_nth(STACK, attempt + 1);
        second
            .send(b"GET /pid HTTP/1.1\r\nHost: a\r\n\r\n")
            .expect("sent");
        thread::sleep(Duration::from_millis(millis));
        std::fs::write(gate, "").expect("a gate");
        first.answer().expect("an answer");
        second.answer().expect("an answer");
        server
            .log()
            .wait_for_nth("GET /hold 200: queue ", attempt + 1);
        let lines = server.log().lines();
        let line = lines.iter().find(|it| it.contains("GET /pid 200: queue "));
        let Some(line) = line else { continue };
        assert!(!line.contains("queue 0.0"), "{line}");
        return;
    }
    panic!(
        "no line about a request that waited:\n{}",
        server.log().text()
    );
}

#[test]
fn a_client_that_reads_slowly_shows_as_sending() {
    let server = lab("slow client").start();
    let mut client = server.client();
    client
        .send(b"GET /big?bytes=20000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("sent");
    client.sip(1000).expect("the beginning");
    thread::sleep(Duration::from_millis(300));
    client.answer().expect("all of it");
    let line = server.log().wait_for("GET /big 200: queue ");
    let send = line.split("send ").nth(1).expect("the time");
    assert!(!send.starts_with("0.000"), "{line}");
    assert_eq!(server.log().count(STACK), 0, "no thread was held");
}

#[test]
fn an_overloaded_server_writes_few_lines_and_says_how_many_are_missing() {
    let server = lab("slow crowd")
        .args(&["--slow-request", "0.05"])
        .threads(64)
        .start();
    let clients = (0..64).map(|_| {
        let mut client = server.client();
        thread::spawn(move || {
            for _ in 0..5 {
                client.get("/sleep?ms=80").expect("an answer");
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    clients
        .into_iter()
        .for_each(|it| it.join().expect("no panic"));
    server.log().wait_for(" stacks were not logged");
    server.log().wait_for(" lines were not logged");
    let missing = |what: &str| -> usize {
        let lines = server.log().lines();
        let numbers = lines.iter().filter_map(|line| {
            let before = line.strip_suffix(&format!(" {what} were not logged"))?;
            before.rsplit(' ').next()?.parse::<usize>().ok()
        });
        numbers.sum()
    };
    assert_eq!(
        server.log().count(TIMES) + missing("lines"),
        320,
        "{}",
        server.log().text()
    );
    assert!(missing("lines") > 0 && server.log().count(STACK) < 40);
}

#[test]
fn a_stream_whose_pieces_come_has_no_stack() {
    let server = lab("slow stream").args(&["--slow-request", "2"]).start();
    let mut client = server.client();
    client
        .get("/stream?pieces=5&ms=600&bytes=10")
        .expect("an answer");
    let line = server.log().wait_for("GET /stream 200: queue ");
    assert!(!line.contains("application 0.0"), "{line}");
    assert_eq!(server.log().count(STACK), 0);
}

#[test]
fn the_lines_may_be_json() {
    let server = lab("slow json").arg("--error-log-json").start();
    let mut client = server.client();
    let gate = server.dir().join("gate");
    let target = format!("/hold?until={}", gate.display());
    let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nX-Request-ID: slow-1\r\n\r\n");
    client.send(request.as_bytes()).expect("sent");
    server.log().wait_for(STACK);
    std::fs::write(gate, "").expect("a gate");
    client.answer().expect("an answer");
    let lines = eventually("both lines", || {
        let lines = server.log().lines();
        let lines = lines.iter().filter(|line| line.contains("slow_request"));
        let lines: Vec<Value> = lines
            .map(|it| serde_json::from_str(it).expect(it))
            .collect();
        (lines.len() == 2).then_some(lines)
    });
    assert!(
        lines.iter().all(|it| it["request_id"] == "slow-1"),
        "{lines:?}"
    );
    assert!(
        lines.iter().any(|it| it["code.stacktrace"].is_string()),
        "{lines:?}"
    );
}

#[test]
fn an_idle_server_is_not_woken_for_it() {
    let server = lab("slow idle")
        .args(&["--slow-request", "0.01"])
        .threads(4)
        .start();
    server.get("/pid");
    let worker = server.children()[0];
    // The event loop turns once per second, and with it the watchdog sleeps.
    let switches = || -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", worker.0)).expect("threads");
        let counts = tasks.flatten().map(|task| {
            let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
            let line = status
                .lines()
                .find_map(|it| it.strip_prefix("voluntary_ctxt_switches:"));
            line.and_then(|it| it.trim().parse::<u64>().ok())
                .unwrap_or(0)
        });
        counts.sum()
    };
    eventually("it sleeps", || {
        let before = switches();
        thread::sleep(Duration::from_secs(2));
        (switches() - before < 20).then_some(())
    });
    server.signal(Signal::SIGTERM);
}
