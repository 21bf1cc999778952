//! statsd: gunicorn's metrics.

use std::collections::BTreeMap;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::harness::{Client, Load, Mode, Receiver, Server, eventually};

/// The received metrics, one by one.
fn metrics(receiver: &Receiver) -> Vec<String> {
    let records = receiver.records();
    let lines = records.iter().flat_map(|record| record.lines());
    lines.map(str::to_owned).collect()
}

fn host(receiver: &Receiver) -> &str {
    receiver.address().trim_start_matches("udp://")
}

/// How often each metric was received; without the value if that is a time.
fn counts(receiver: &Receiver) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for metric in metrics(receiver) {
        let name = match metric.split_once(':') {
            Some((name, rest)) if rest.ends_with("|ms") => format!("{name}:T|ms"),
            _ => metric,
        };
        *counts.entry(name).or_default() += 1;
    }
    counts
}

#[test]
fn every_request_is_three_metrics() {
    let receiver = Receiver::udp();
    let server = Server::new("statsd")
        .lab()
        .workers(2)
        .args(&["--statsd-host", host(&receiver)])
        .start();
    let load = Load::start_limited(server.address(), 4, Mode::KeepAlive, "/", 50);
    load.finish().assert_perfect();
    let expected = 4 * 50;
    let counts = eventually("all of them", || {
        let counts = counts(&receiver);
        let requests = counts.get("gunicorn.request.status.200:1|c|@1.0")?;
        (*requests > expected).then_some(counts)
    });
    // One of them asked whether the server is up.
    assert_eq!(counts["gunicorn.requests:1|c|@1.0"], expected + 1);
    assert_eq!(counts["gunicorn.request.duration:T|ms"], expected + 1);
    assert_eq!(counts["gunicorn.request.status.200:1|c|@1.0"], expected + 1);
    assert_eq!(server.get("/status?code=404").status, 404);
    receiver.wait_for("gunicorn.request.status.404:1|c|@1.0");
    let duration = receiver.wait_for("gunicorn.request.duration:");
    let value = duration.split([':', '|']).nth(1).expect("a value");
    assert!(
        value.contains('.') && value.parse::<f64>().is_ok(),
        "{duration}"
    );
}

#[test]
fn prefix_and_tags_are_on_every_metric() {
    let directory = TempDir::with_prefix("oxicorn-statsd-").expect("a temporary directory");
    let receiver = Receiver::datagrams(&directory.path().join("statsd"));
    let server = Server::new("tags")
        .args(&["--statsd-host", receiver.address()])
        .args(&[
            "--statsd-prefix",
            "shop.",
            "--dogstatsd-tags",
            "env:test,zone:a",
        ])
        .start();
    server.get("/");
    receiver.wait_for("shop.gunicorn.requests:1|c|@1.0|#env:test,zone:a");
    receiver.wait_for("shop.gunicorn.workers:1|g|#env:test,zone:a");
    for metric in metrics(&receiver) {
        let whole = metric.starts_with("shop.gunicorn.") && metric.ends_with("|#env:test,zone:a");
        assert!(whole, "{metric}");
    }
}

#[test]
fn workers_come_and_go() {
    let receiver = Receiver::udp();
    let server = Server::new("gauge")
        .workers(2)
        .args(&["--statsd-host", host(&receiver)])
        .start();
    receiver.wait_for("gunicorn.workers:2|g");
    server.signal(Signal::SIGTTIN);
    receiver.wait_for("gunicorn.workers:3|g");
    server.signal(Signal::SIGTTOU);
    eventually("two again", || {
        let metrics = metrics(&receiver);
        let last = metrics
            .iter()
            .rfind(|it| it.contains("gunicorn.workers:"))?;
        (last == "gunicorn.workers:2|g").then_some(())
    });
}

#[test]
fn connections_that_wait_are_counted() {
    let receiver = Receiver::udp();
    let server = Server::new("backlog")
        .lab()
        .args(&["--statsd-host", host(&receiver), "--enable-backlog-metric"])
        // An accepted connection does not count as waiting, even if the worker is busy.
        .args(&["--worker-connections", "1"])
        .start();
    receiver.wait_for("gunicorn.backlog:0|h");
    let mut busy = server.client();
    busy.send(b"GET /sleep?ms=4000 HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("sent");
    let waiting: Vec<Client> = (0..3).map(|_| server.client()).collect();
    receiver.wait_for("gunicorn.backlog:3|h");
    busy.answer().expect("an answer");
    drop(waiting);
}

#[test]
fn warnings_and_errors_are_counted_whatever_the_log_takes() {
    let receiver = Receiver::udp();
    let builder = Server::new("counted")
        .lab()
        .args(&["--statsd-host", host(&receiver), "--log-level", "critical"])
        .bind("unix:app.sock");
    let socket = builder.dir().join("app.sock");
    let server = builder.spawn();
    let connect = || eventually("it listens", || Client::connect_unix(&socket).ok());
    connect().send(b"nonsense\r\n\r\n").expect("sent");
    receiver.wait_for("gunicorn.log.warning:1|c|@1.0");
    assert_eq!(connect().get("/panic").expect("an answer").status, 500);
    receiver.wait_for("gunicorn.log.exception:1|c|@1.0");
    assert!(server.log().lines().is_empty(), "{}", server.log().text());
}

#[test]
fn without_a_daemon_metrics_are_dropped_silently() {
    let receiver = Receiver::udp();
    let server = Server::new("nobody")
        .args(&["--statsd-host", "127.0.0.1:9"])
        .start();
    let load = Load::start_limited(server.address(), 2, Mode::KeepAlive, "/", 200);
    load.finish().assert_perfect();
    assert!(receiver.records().is_empty());
    assert_eq!(server.log().count("[WARNING]"), 0);
}
