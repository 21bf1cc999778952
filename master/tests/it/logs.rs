//! The access log: atoms as in gunicorn, and whole lines however many processes write.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;

use crate::harness::{Builder, Client, Load, Mode, Process, Server, eventually};

/// Starts the lab with that format, sends one request, and returns its line.
fn line_for(format: &str, request: &[u8]) -> String {
    let server = Server::new("access log")
        .lab()
        .env("COLOUR", "green")
        .args(&[
            "--access-logfile",
            "-",
            "--access-logformat",
            &format!("MARK {format}"),
        ])
        .start();
    let mut client = server.client();
    client.send(request).expect("sent");
    client.answer().expect("an answer");
    eventually("the line", || {
        let lines = server.out().lines();
        lines
            .into_iter()
            .filter(|line| line.starts_with("MARK "))
            .nth(1)
    })["MARK ".len()..]
        .to_owned()
}

const REQUEST: &[u8] = b"GET /fields?a=b&c=%20 HTTP/1.1\r\nHost: a\r\n\
    User-Agent: probe \"1\"\r\nReferer: http://here/\r\nX-Colour: red\r\n\
    Authorization: Basic YWxhZGRpbjpvcGVuc2VzYW1l\r\n\r\n";

#[test]
fn every_atom_is_rendered() {
    let line = line_for(
        "%(h)s|%(l)s|%(u)s|%(r)s|%(m)s|%(U)s|%(q)s|%(H)s|%(s)s|%(B)s|%(b)s|%(f)s|%({x-colour}i)s|%({x-answer}o)s|%({colour}e)s|%({COLOUR}e)s|%(nonsense)s",
        REQUEST,
    );
    let parts: Vec<&str> = line.split('|').collect();
    assert_eq!(
        parts[..14],
        [
            "127.0.0.1",
            "-",
            "aladdin",
            "GET /fields?a=b&c=%20 HTTP/1.1",
            "GET",
            "/fields",
            "a=b&c=%20",
            "HTTP/1.1",
            "200",
            "1",
            "1",
            "http://here/",
            "red",
            "42"
        ],
        "{line}"
    );
    assert_eq!(parts[16], "-", "{line}");
}

#[test]
fn times_are_times() {
    let line = line_for(
        "%(t)s|%(T)s|%(M)s|%(D)s|%(L)s|%(p)s",
        b"GET /sleep?ms=1100 HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    let parts: Vec<&str> = line.split('|').collect();
    let date = parts[0];
    assert!(
        date.starts_with('[') && date.ends_with(']') && date.len() == 28,
        "{line}"
    );
    // The same time in seconds, milliseconds, microseconds and decimal seconds.
    let micros: u64 = parts[3].parse().expect("microseconds");
    assert!((1_100_000..6_000_000).contains(&micros), "{line}");
    assert_eq!(parts[1], (micros / 1_000_000).to_string(), "{line}");
    assert_eq!(parts[2], (micros / 1000).to_string(), "{line}");
    let decimal = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    assert_eq!(parts[4], decimal, "{line}");
    assert!(
        parts[5].starts_with('<') && parts[5].ends_with('>'),
        "{line}"
    );
}

#[test]
fn a_client_cannot_forge_a_line() {
    let line = line_for("\"%(a)s\" \"%(f)s\"", REQUEST);
    assert_eq!(line, r#""probe \"1\"" "http://here/""#);
}

#[test]
fn refused_requests_have_their_line() {
    let server = Server::new("refused")
        .args(&["--access-logfile", "-", "--limit-request-body", "10"])
        .args(&[
            "--access-logformat",
            "REFUSED %(r)s|%(m)s|%(U)s|%(s)s|%(b)s|%({x-a}i)s",
        ])
        .start();
    for (request, line) in [
        (&b"nonsense\r\n\r\n"[..], "nonsense|nonsense|-|400|16|-"),
        (b"GET / HTTP/3.7\r\n\r\n", "GET / HTTP/3.7|GET|-|505|31|-"),
        (b"\x16\x03\x01\x02", "\\x16\\x03\\x01\\x02|-|-|400|16|-"),
        (
            b"GET /no-host HTTP/1.1\r\nX-A: b\r\n\r\n",
            "GET /no-host HTTP/1.1|GET|/no-host|400|16|b",
        ),
        (
            b"POST /long HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n",
            "POST /long HTTP/1.1|POST|/long|413|22|-",
        ),
        (
            b"POST /chunk HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "POST /chunk HTTP/1.1|POST|/chunk|400|16|-",
        ),
    ] {
        // The buffers still hold data of another client.
        assert_eq!(server.get("/before").status, 200);
        let mut client = server.client();
        client.send(request).expect("sent");
        client.answer().expect("an answer");
        assert_eq!(server.out().wait_for(line), format!("REFUSED {line}"));
    }
}

#[test]
fn a_request_over_its_time_has_its_line() {
    let mut server = Server::new("504")
        .lab()
        .args(&["--timeout", "1", "--access-logfile", "-"])
        .args(&["--access-logformat", "%(r)s|%(s)s|%(b)s|%(T)s|%({x-a}i)s"])
        .start();
    server.tolerate("request timed out");
    let mut client = server.client();
    client
        .send(b"GET /sleep?ms=3000 HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\r\n")
        .expect("sent");
    assert_eq!(client.answer().expect("an answer").status, 504);
    let line = server.out().wait_for("/sleep");
    assert_eq!(line, "GET /sleep?ms=3000 HTTP/1.1|504|20|1|b");
    // And no second line when the application returns.
    server.log().wait_for("Worker exiting");
    assert_eq!(server.out().count("/sleep"), 1);
}

#[test]
fn a_response_that_the_client_does_not_take_has_its_line() {
    let server = Server::new("aborted")
        .lab()
        .args(&[
            "--access-logfile",
            "-",
            "--access-logformat",
            "%(U)s %(s)s %(b)s",
        ])
        .start();
    for target in ["/big?bytes=50000000", "/stream?pieces=1000&bytes=100000"] {
        let mut client = server.client();
        client
            .send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
            .expect("sent");
        client.take(1000).expect("the beginning of an answer");
        drop(client);
        let path = target.split('?').next().unwrap_or(target);
        let line = server.out().wait_for(path);
        let octets = line
            .rsplit(' ')
            .next()
            .and_then(|it| it.parse::<u64>().ok());
        let octets = octets.expect("a number");
        assert!(line.starts_with(&format!("{path} 200 ")), "{line}");
        assert!((1..50_000_000).contains(&octets), "{line}");
    }
}

#[test]
fn lines_are_whole_with_many_writers() {
    let server = Server::new("whole lines")
        .lab()
        .workers(4)
        .threads(4)
        .args(&["--access-logfile", "access.log"])
        .args(&["--access-logformat", "%(p)s %(U)s %(q)s %(s)s end"])
        .start();
    let target = format!("/head?{}", "x".repeat(1500));
    let load = Load::start_limited(server.address(), 8, Mode::KeepAlive, &target, 500);
    let tally = load.finish();
    tally.assert_perfect();
    let path = server.dir().join("access.log");
    let expected = 8 * 500;
    let lines = eventually("every request has its line", || {
        let text = fs::read_to_string(&path).ok()?;
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        (lines.iter().filter(|line| line.contains("/head")).count() == expected).then_some(lines)
    });
    let mut writers: HashMap<String, u32> = HashMap::new();
    for line in lines.iter().filter(|line| line.contains("/head")) {
        let parts: Vec<&str> = line.split(' ').collect();
        assert_eq!(parts.len(), 5, "{line}");
        assert_eq!(
            (parts[1], parts[2].len(), parts[3], parts[4]),
            ("/head", 1500, "200", "end")
        );
        *writers.entry(parts[0].to_owned()).or_default() += 1;
    }
    assert!(writers.len() >= 2, "{writers:?}");
}

#[test]
fn nothing_is_written_when_the_access_log_is_off() {
    let server = Server::new("quiet").start();
    server.get("/");
    assert!(server.out().lines().is_empty(), "{}", server.out().text());
}

#[test]
fn the_error_log_goes_to_its_file() {
    let builder =
        Server::new("error log").args(&["--error-logfile", "error.log", "--log-level", "debug"]);
    let path = builder.dir().join("error.log");
    let mut server = builder.bind("unix:app.sock").spawn();
    let text = eventually("a worker boots", || {
        let text = fs::read_to_string(&path).ok()?;
        text.contains("Booting worker").then_some(text)
    });
    assert!(text.lines().all(|line| line.starts_with('[')), "{text}");
    server.signal(nix::sys::signal::Signal::SIGTERM);
    server.wait_for_exit();
    assert_eq!(server.log().text(), "");
}

#[test]
fn at_level_critical_nothing_less_is_logged() {
    let builder = Server::new("critical")
        .lab()
        .args(&["--log-level", "critical"])
        .bind("unix:app.sock");
    let socket = builder.dir().join("app.sock");
    let server = builder.spawn();
    let mut client = eventually("it listens", || Client::connect_unix(&socket).ok());
    assert_eq!(client.get("/panic").expect("an answer").status, 500);
    assert_eq!(server.log().text(), "");
}

/// A server with a file for errors that captures what is printed.
fn capturing(name: &str) -> Builder {
    Server::new(name)
        .lab()
        .args(&["--capture-output", "--error-logfile", "error.log"])
        .bind("unix:app.sock")
}

/// Has the application print `text` until it is in `log`, together with the access log line of the request.
fn print_into(log: &Path, text: &str) {
    let socket = log.with_file_name("app.sock");
    let target = format!("/print?text={text}");
    eventually("what was printed", || {
        let mut client = Client::connect_unix(&socket).ok()?;
        client.get(&target).ok()?;
        let lines = fs::read_to_string(log).ok()?;
        let printed = |it: &str| lines.lines().any(|line| line == format!("{it} {text}"));
        let all = printed("out") && printed("err") && lines.contains(&format!("GET {target} "));
        all.then_some(())
    });
}

#[test]
fn what_the_application_prints_goes_to_the_error_log_and_follows_it() {
    let builder = capturing("capture").args(&["--access-logfile", "-"]);
    let log = builder.dir().join("error.log");
    let server = builder.spawn();
    print_into(&log, "first");
    fs::rename(&log, log.with_extension("1")).expect("a rotation");
    server.signal(Signal::SIGUSR1);
    print_into(&log, "second");
    assert!(server.out().lines().is_empty() && server.log().lines().is_empty());
}

#[test]
fn a_daemon_keeps_its_output_if_told_to() {
    for (flags, kept) in [(&["--daemon", "-R"][..], true), (&["--daemon"], false)] {
        let builder = Server::new("inherit").lab().bind("unix:app.sock");
        let builder = builder.args(flags).args(&["--pid", "server.pid"]);
        let (pid_file, socket) = (
            builder.dir().join("server.pid"),
            builder.dir().join("app.sock"),
        );
        let mut server = builder.spawn();
        assert_eq!(server.wait_for_exit().code(), Some(0));
        let mut client = Client::connect_unix(&socket).expect("it listens");
        client.get("/print?text=here").expect("an answer");
        let pid = fs::read_to_string(pid_file).expect("a pid file");
        let daemon = Process(pid.trim().parse().expect("a pid"));
        daemon.signal(Signal::SIGTERM);
        eventually("the daemon ends", || (!daemon.is_alive()).then_some(()));
        assert_eq!(server.out().count("out here"), usize::from(kept));
        assert_eq!(server.log().count("err here"), usize::from(kept));
        assert_eq!(server.log().count("Worker exiting"), usize::from(kept));
    }
}

#[test]
fn the_log_level_is_respected() {
    let ended = Server::new("log level")
        .args(&["--log-level", "error"])
        .env("LAB_BOOT", "error")
        .lab()
        .run();
    assert!(!ended.log.contains("[INFO]"), "{}", ended.log);
    assert!(ended.log.contains("[ERROR]"), "{}", ended.log);
}
