//! `/metrics` and `/status`: what is in them, in which form, and what is not.

use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{address, ask, get, processes, server, the_process};
use crate::harness::{Server, eventually};

/// The value of a sample, by its name and labels as they are written.
pub(super) fn sample(admin: SocketAddr, name: &str) -> f64 {
    let text = get(admin, "/metrics").text();
    let start = format!("{name} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&start));
    let value = line.unwrap_or_else(|| panic!("no {name} in:\n{text}"));
    value.parse().expect("a number")
}

pub(super) fn status(admin: SocketAddr) -> Value {
    let answer = get(admin, "/status");
    assert_eq!(answer.field("Content-Type"), Some("application/json"));
    serde_json::from_slice(&answer.body).expect("JSON")
}

/// The threads of workers, each with its worker.
fn threads(status: &Value) -> Vec<&Value> {
    let workers = status["workers"].as_array().expect("a list").iter();
    let workers = workers.filter(|it| it["kind"] == "worker");
    let threads = workers.flat_map(|it| it["threads"].as_array().expect("a list"));
    threads.collect()
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

#[test]
fn each_client_gets_the_format_that_it_asks_for() {
    let server = server("admin, formats").start_with_unknown_workers();
    let admin = address(&server, 1);
    for (accept, expected) in [
        ("", TEXT),
        ("Accept: */*\r\n", TEXT),
        (
            "Accept: application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r\n",
            OPEN_METRICS,
        ),
        (
            "Accept: text/plain;version=0.0.4;q=0.9\r\nAccept: application/openmetrics-text;q=0.8\r\n",
            TEXT,
        ),
    ] {
        let answer = ask(admin, "/metrics", accept).expect("an answer");
        assert_eq!(answer.field("Content-Type"), Some(expected), "{accept}");
        assert_eq!(answer.field("Vary"), Some("Accept"));
        let is_open = expected == OPEN_METRICS;
        assert_eq!(answer.text().ends_with("\n# EOF\n"), is_open);
        assert!(
            answer
                .text()
                .contains("oxicorn_requests_total{method=\"GET\",code=\"200\"}")
        );
    }
}

#[test]
fn promtool_finds_no_fault() {
    let server = server("admin, promtool")
        .args(&["--workers", "2"])
        .start_with_unknown_workers();
    server.get("/");
    let text = get(address(&server, 1), "/metrics").body;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed: scripts/install-deps test");
    let mut stdin = promtool.stdin.take().expect("a pipe");
    stdin.write_all(&text).expect("taken");
    drop(stdin);
    let outcome = promtool.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
    let printed = String::from_utf8_lossy(&outcome.stdout).into_owned();
    assert!(
        outcome.status.success() && said.is_empty(),
        "{said}{printed}"
    );
}

#[test]
fn requests_are_counted_and_questions_are_not() {
    let server = server("admin, counts").start_with_unknown_workers();
    let admin = address(&server, 1);
    const GETS: &str = "oxicorn_requests_total{method=\"GET\",code=\"200\"}";
    // The start has asked.
    let before = eventually("the first", || {
        Some(sample(admin, GETS)).filter(|it| *it > 0.0)
    });
    for _ in 0..7 {
        server.get("/");
    }
    eventually("seven more", || {
        (sample(admin, GETS) == before + 7.0).then_some(())
    });
    for _ in 0..10 {
        get(admin, "/status");
        get(admin, "/nothing");
    }
    assert_eq!(sample(admin, GETS), before + 7.0);
    assert_eq!(status(admin)["requests"]["total"], before as u64 + 7);
    assert_eq!(sample(admin, "oxicorn_workers{state=\"ready\"}"), 1.0);
    assert_eq!(sample(admin, "oxicorn_threads{state=\"idle\"}"), 1.0);
}

#[test]
fn no_count_falls_when_the_process_or_its_generation_ends() {
    let mut server = server("admin, no fall").start_with_unknown_workers();
    server.tolerate("Admin process (pid");
    let admin = address(&server, 1);
    const COUNT: &str = "oxicorn_request_duration_seconds_count";
    for _ in 0..5 {
        server.get("/");
    }
    // The start has asked too.
    let counted = eventually("the requests", || {
        Some(sample(admin, COUNT)).filter(|it| *it >= 6.0)
    });
    let old = the_process(&server);
    old.signal(Signal::SIGKILL);
    eventually("another one", || {
        processes(server.master()).into_iter().find(|it| *it != old)
    });
    assert_eq!(sample(admin, COUNT), counted);
    server.signal(Signal::SIGHUP);
    server.log().wait_for("Generation 2 serves");
    eventually("its new process alone", || {
        (status(admin)["server"]["generation"] == 2).then_some(())
    });
    assert_eq!(sample(admin, COUNT), counted);
    assert_eq!(sample(admin, "oxicorn_generation"), 2.0);
    assert_eq!(sample(admin, "oxicorn_last_reload_successful"), 1.0);
}

#[test]
fn while_all_threads_are_stuck_it_says_where() {
    let server = server("admin, where")
        .lab()
        .args(&["--workers", "2", "--threads", "2", "--backlog", "64"])
        .start_with_unknown_workers();
    let admin = address(&server, 1);
    let mut clients: Vec<_> = (0..4).map(|_| server.client()).collect();
    let gate = server.dir().join("gate");
    let path = format!("/hold?until={}", gate.display());
    for client in &mut clients {
        let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        client.send(head.as_bytes()).expect("sent");
    }
    eventually("all threads are busy", || {
        (sample(admin, "oxicorn_threads{state=\"running\"}") == 4.0).then_some(())
    });
    assert_eq!(sample(admin, "oxicorn_requests_active"), 4.0);
    let status = status(admin);
    for thread in threads(&status) {
        assert_eq!(thread["state"], "running");
        let request = &thread["request"];
        assert_eq!(
            (&request["method"], &request["path"]),
            (&"GET".into(), &"/hold".into())
        );
        assert!(request["seconds"].as_f64().expect("a number") >= 0.0);
    }
    std::fs::write(&gate, "").expect("written");
    for client in &mut clients {
        assert_eq!(client.answer().expect("an answer").status, 200);
    }
    eventually("all are idle again", || {
        (sample(admin, "oxicorn_threads{state=\"idle\"}") == 4.0).then_some(())
    });
}

#[test]
fn memory_and_backlog_are_those_of_the_kernel() {
    let server = server("admin, kernel").start_with_unknown_workers();
    let admin = address(&server, 1);
    let backlog = format!(
        "oxicorn_listen_backlog{{listener=\"{}\"}}",
        server.address()
    );
    assert_eq!(sample(admin, &backlog), 0.0);
    let report = status(admin);
    let workers = report["workers"].as_array().expect("a list");
    let worker = workers
        .iter()
        .find(|it| it["kind"] == "worker")
        .expect("one");
    let admin_process = workers
        .iter()
        .find(|it| it["kind"] == "admin")
        .expect("one");
    assert_eq!(admin_process["pid"], the_process(&server).0);
    assert!(worker["rss_bytes"].as_u64().expect("a number") > 500_000);
    let pid = i32::try_from(worker["pid"].as_i64().expect("a pid")).expect("a pid");
    crate::harness::Process(pid).signal(Signal::SIGSTOP);
    let waiting: Vec<_> = (0..5).map(|_| server.client()).collect();
    eventually("five wait", || {
        (sample(admin, &backlog) == 5.0).then_some(())
    });
    crate::harness::Process(pid).signal(Signal::SIGCONT);
    eventually("none waits", || {
        (sample(admin, &backlog) == 0.0).then_some(())
    });
    drop(waiting);
}

#[test]
fn a_server_on_a_unix_socket_has_all_but_a_backlog() {
    let server = Server::new("admin, unix public")
        .bind("unix:app.sock")
        .args(&["--admin-bind", "127.0.0.1:0"])
        .start_with_unknown_workers();
    let report = status(address(&server, 1));
    let listener = &report["server"]["listeners"][0];
    assert_eq!(listener["address"], "unix:app.sock");
    assert!(listener["backlog"].is_null());
}
