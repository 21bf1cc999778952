//! What is counted, against the counts of clients, of the access log and of the kernel: each response once, whoever has
//! sent it, and whatever happens to the worker.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::figures::{sample, status};
use super::{address, server};
use crate::harness::{Builder, Server, TIMEOUT, eventually};

/// A server whose access log is on its standard output.
pub(super) fn logged(name: &str) -> Builder {
    server(name).lab().args(&["--access-logfile", "-"])
}

pub(super) fn total(admin: SocketAddr) -> u64 {
    status(admin)["requests"]["total"]
        .as_u64()
        .expect("a number")
}

pub(super) fn count(report: &Value, method: &str, code: u16) -> u64 {
    let counts = report["requests"]["by_method_and_code"].as_array();
    let mut counts = counts.expect("a list").iter();
    let found = counts.find(|it| it["method"] == method && it["code"] == code);
    found.map_or(0, |it| it["count"].as_u64().expect("a number"))
}

/// Waits until all of `wanted` is counted and logged, and that there is nothing else.
pub(super) fn wait_for_total(server: &Server, admin: SocketAddr, wanted: u64) {
    let lines = || server.out().lines().len() as u64;
    eventually("each response is counted and logged", || {
        (total(admin) >= wanted && lines() >= wanted).then_some(())
    });
    assert_eq!((total(admin), lines()), (wanted, wanted));
}

/// Sends `request` and then the end, and reads to the end: the octets that came.
fn converse(server: &Server, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.address()).expect("connected");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a socket");
    let mut writer = stream.try_clone().expect("a descriptor");
    let request = request.to_vec();
    let sender = std::thread::spawn(move || {
        let sent = writer.write_all(&request);
        // The server may have closed after a refusal.
        let _ = sent.and_then(|()| writer.shutdown(Shutdown::Write));
    });
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    sender.join().expect("sent");
    answer
}

fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").into_bytes()
}

#[test]
fn each_response_is_counted_once_by_its_method_and_code() {
    let mut server = logged("counts, codes")
        .args(&["--limit-request-body", "1000", "--body-timeout", "1"])
        .start_with_unknown_workers();
    server.tolerate("");
    let admin = address(&server, 1);
    let requests: [(&str, u16, &[u8]); 11] = [
        ("GET", 404, &get("/status?code=404")),
        ("GET", 599, &get("/status?code=599")),
        ("GET", 500, &get("/panic")),
        ("GET", 500, &get("/bad-header")),
        ("HEAD", 200, b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
        ("PROPFIND", 200, b"PROPFIND / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
        ("", 400, b"\x01 nonsense\r\n\r\n"),
        ("GET", 400, b"GET / HTTP/1.1\r\n\r\n"),
        ("POST", 413, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n"),
        ("GET", 431, &[b"GET / HTTP/1.1\r\nHost: a\r\nx: ", &[b'x'; 1 << 17][..]].concat()),
        // Two on one connection.
        ("GET", 201, b"GET /status?code=201 HTTP/1.1\r\nHost: a\r\n\r\nPOST /status?code=202 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx"),
    ];
    for (method, code, request) in requests {
        let answer = converse(&server, request);
        let start = format!("HTTP/1.1 {code} ");
        let text = String::from_utf8_lossy(&answer);
        assert!(text.starts_with(&start), "{method} {code}: {text}");
    }
    // A body that does not come in time.
    let mut late = server.client();
    let head = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n";
    late.send(head).expect("sent");
    assert_eq!(late.answer().expect("an answer").status, 408);
    let started = server.out().lines().len() as u64;
    wait_for_total(&server, admin, started.max(1 + 12 + 1));
    let report = status(admin);
    for (method, code, expected) in [
        ("GET", 404, 1),
        ("GET", 500, 2),
        ("GET", 201, 1),
        ("POST", 202, 1),
        ("GET", 431, 1),
        ("HEAD", 200, 1),
        ("POST", 413, 1),
        ("PUT", 408, 1),
        ("GET", 400, 1),
        ("other", 200, 1),
        ("other", 400, 1),
        // No RFC knows 599: it counts in its class.
        ("GET", 5, 1),
    ] {
        assert_eq!(count(&report, method, code), expected, "{method} {code}");
    }
    assert_eq!(report["requests"]["errors"], 3);
    // Neither 400 twice, nor 408, 413 and 431: they never were whole.
    let whole = report["requests"]["duration"]["count"].as_u64();
    assert_eq!(whole, Some(total(admin) - 5));
    assert_eq!(report["requests"]["queue"]["count"].as_u64(), whole);
    assert_eq!(report["requests"]["proxy_queue"]["count"], 0);
}

#[test]
fn octets_are_those_of_the_wire() {
    let server = logged("counts, octets").start_with_unknown_workers();
    let admin = address(&server, 1);
    let octets = || {
        let requests = status(admin)["requests"].clone();
        let of = |name: &str| requests[name].as_u64().expect("a number");
        (of("received_bytes"), of("sent_bytes"), of("total"))
    };
    let before = eventually("the start is counted", || {
        Some(octets()).filter(|it| it.2 > 0)
    });
    let long = vec![b'x'; 3 << 20];
    let post = [
        format!(
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
            long.len()
        )
        .as_bytes(),
        &long,
    ]
    .concat();
    let chunked = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let expecting =
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc";
    let requests: [&[u8]; 7] = [
        &get("/"),
        &[&post[..], &get("/")[..]].concat(),
        chunked,
        expecting,
        &get("/big?bytes=7000000"),
        &get("/stream?pieces=9&size=100000"),
        b"\x01 nonsense\r\n\r\n",
    ];
    let (mut received, mut sent) = (0, 0);
    for request in requests {
        received += request.len() as u64;
        sent += converse(&server, request).len() as u64;
    }
    let wanted = (before.0 + received, before.1 + sent, before.2 + 8);
    eventually("all octets", || (octets() == wanted).then_some(()));
}

#[test]
fn a_stuck_request_is_one_504_and_its_worker_one_timeout() {
    let mut server = logged("counts, stuck")
        .args(&[
            "--timeout",
            "1",
            "--graceful-timeout",
            "60",
            "--threads",
            "2",
        ])
        .start_with_unknown_workers();
    server.tolerate("");
    let admin = address(&server, 1);
    let gate = server.dir().join("gate");
    let mut client = server.client();
    let path = format!("/hold?until={}", gate.display());
    client
        .send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
        .expect("sent");
    assert_eq!(client.answer().expect("an answer").status, 504);
    eventually("a stuck thread", || {
        let report = status(admin);
        let threads = report["workers"].as_array().expect("a list").iter();
        let mut threads = threads.flat_map(|it| it["threads"].as_array().expect("a list"));
        threads.any(|it| it["state"] == "stuck").then_some(())
    });
    assert_eq!(sample(admin, "oxicorn_threads{state=\"stuck\"}"), 1.0);
    // The client has its answer before it is counted.
    eventually("the response is counted", || {
        (count(&status(admin), "GET", 504) == 1).then_some(())
    });
    eventually("another worker", || {
        (status(admin)["restarts"]["timeout"] == 1).then_some(())
    });
    std::fs::write(&gate, "").expect("written");
    eventually("the thread comes back, and its worker ends", || {
        (sample(admin, "oxicorn_threads{state=\"stuck\"}") == 0.0).then_some(())
    });
    let lines = server.out().lines().len() as u64;
    wait_for_total(&server, admin, lines);
    assert_eq!(count(&status(admin), "GET", 504), 1);
    assert!(sample(admin, "oxicorn_request_duration_seconds_sum") >= 1.0);
}

#[test]
fn the_time_in_the_queue_is_measured_and_belongs_to_the_duration() {
    let server = server("counts, queue").lab().start_with_unknown_workers();
    let admin = address(&server, 1);
    let (first, second) = (server.dir().join("first"), server.dir().join("second"));
    let mut clients = [server.client(), server.client()];
    for (client, gate) in clients.iter_mut().zip([&first, &second]) {
        let path = format!("/hold?until={}", gate.display());
        let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        client.send(head.as_bytes()).expect("sent");
    }
    // In one scrape: the first waits for a moment, too.
    eventually("one runs and one waits", || {
        let text = super::get(admin, "/metrics").text();
        let has_one = |state: &str| {
            let line = format!("\noxicorn_connections{{state=\"{state}\"}} 1\n");
            text.contains(&line)
        };
        (has_one("running") && has_one("queued")).then_some(())
    });
    let waiting = Instant::now();
    eventually("it has waited", || {
        (waiting.elapsed() >= Duration::from_millis(300)).then_some(())
    });
    std::fs::write(&first, "").expect("written");
    std::fs::write(&second, "").expect("written");
    for client in &mut clients {
        assert_eq!(client.answer().expect("an answer").status, 200);
    }
    eventually("both are counted", || {
        (sample(admin, "oxicorn_request_queue_seconds_sum") >= 0.3).then_some(())
    });
    assert!(sample(admin, "oxicorn_request_duration_seconds_sum") >= 0.6);
    assert_eq!(sample(admin, "oxicorn_connections{state=\"queued\"}"), 0.0);
}

#[test]
fn the_time_at_a_proxy_counts_if_the_proxy_is_trusted() {
    for (trusted, expected) in [("127.0.0.1", 3), ("10.1.2.3", 0)] {
        let server = server("counts, proxy")
            .lab()
            .args(&["--forwarded-allow-ips", trusted])
            .start_with_unknown_workers();
        let admin = address(&server, 1);
        let now = std::time::SystemTime::now();
        let now = now
            .duration_since(std::time::UNIX_EPOCH)
            .expect("after 1970");
        let ago = |seconds: u64| now - Duration::from_secs(seconds);
        let fields = [
            format!("X-Request-Start: t={}", ago(100).as_secs_f64()),
            format!("X-Queue-Start: {}", ago(200).as_millis()),
            format!("X-Request-Start: t={}", ago(300).as_micros()),
            format!(
                "X-Request-Start: t={}",
                (now + Duration::from_secs(100)).as_micros()
            ),
            "X-Request-Start: yesterday".to_owned(),
        ];
        for field in fields {
            let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n");
            let mut client = server.client();
            client.send(request.as_bytes()).expect("sent");
            assert_eq!(client.answer().expect("an answer").status, 200);
        }
        eventually("all are counted", || (total(admin) >= 6).then_some(()));
        let count = "oxicorn_request_proxy_queue_seconds_count";
        assert_eq!(sample(admin, count), f64::from(expected), "{trusted}");
        let sum = sample(admin, "oxicorn_request_proxy_queue_seconds_sum");
        assert!(expected == 0 || (600.0..1200.0).contains(&sum), "{sum}");
    }
}

#[test]
fn processor_time_is_that_of_the_kernel() {
    let server = server("counts, cpu").lab().start_with_unknown_workers();
    let admin = address(&server, 1);
    let worker = || {
        let report = status(admin);
        let mut workers = report["workers"]
            .as_array()
            .expect("a list")
            .clone()
            .into_iter();
        workers.find(|it| it["kind"] == "worker").expect("one")
    };
    let pid = worker()["pid"].as_i64().expect("a pid");
    let kernel = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
        let (_, fields) = stat.rsplit_once(')').expect("a name");
        let fields: Vec<_> = fields.split_whitespace().collect();
        let ticks = |index: usize| fields[index].parse::<f64>().expect("a number");
        (ticks(11) + ticks(12)) / 100.0
    };
    eventually("it has worked", || {
        server.get("/spin?ms=100");
        (kernel() >= 0.2).then_some(())
    });
    let before = kernel();
    let seconds = worker()["cpu_seconds"].as_f64().expect("a number");
    let after = kernel();
    assert!(
        (before..=after).contains(&seconds),
        "{before} {seconds} {after}"
    );
}

/// Otherwise an application that only answers 520 would look healthy.
#[test]
fn a_code_that_no_rfc_knows_counts_in_its_class() {
    let server = server("counts, classes").lab().start_with_unknown_workers();
    let admin = address(&server, 1);
    for code in [503, 520, 599, 499] {
        let answer = server.get(&format!("/status?code={code}"));
        assert_eq!(answer.status, code);
    }
    // One for the start.
    eventually("all of them", || (total(admin) == 5).then_some(()));
    assert_eq!(status(admin)["requests"]["errors"], 3);
    let series = |code: &str| {
        sample(
            admin,
            &format!(r#"oxicorn_requests_total{{method="GET",code="{code}"}}"#),
        )
    };
    assert_eq!(["503", "5xx", "4xx"].map(series), [1.0, 2.0, 1.0]);
    let report = status(admin);
    let counts = [503, 5, 4].map(|code| count(&report, "GET", code));
    assert_eq!(counts, [1, 2, 1]);
}
