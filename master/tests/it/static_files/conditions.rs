//! Conditional requests and ranges over the wire. The rules themselves are tested in the worker.

use std::fs;
use std::thread;
use std::time::Duration;

use super::{LARGE, ask, pattern, site, write};
use crate::harness::{Answer, Server, eventually};

/// The tag of a file, once it is so old that its tag is strong.
fn strong_tag(server: &Server, target: &str) -> (String, Answer) {
    eventually("a strong tag", || {
        let answer = server.get(target);
        let tag = answer.field("ETag")?.to_owned();
        tag.starts_with('"').then_some((tag, answer))
    })
}

#[test]
fn a_client_that_has_the_file_gets_no_other() {
    let server = site("static, conditions").start();
    let (tag, answer) = strong_tag(&server, "/static/large.bin");
    let date = answer.field("Last-Modified").expect("a date").to_owned();
    let mut client = server.client();
    let mut status = |method: &str, fields: &str| {
        let answer = ask(&mut client, method, "/static/large.bin", fields);
        assert!(answer.status != 304 || answer.body.is_empty());
        answer.status
    };
    assert_eq!(status("GET", &format!("If-None-Match: {tag}\r\n")), 304);
    assert_eq!(
        status("HEAD", &format!("If-None-Match: \"x\", W/{tag}\r\n")),
        304
    );
    assert_eq!(
        status(
            "GET",
            &format!("If-None-Match: \"x\"\r\nIf-None-Match: {tag}\r\n")
        ),
        304
    );
    assert_eq!(
        status(
            "GET",
            &format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {date}\r\n")
        ),
        200
    );
    assert_eq!(status("GET", &format!("If-Match: {tag}\r\n")), 200);
    assert_eq!(status("GET", "If-Match: \"x\"\r\n"), 412);
    assert_eq!(
        status(
            "GET",
            "If-Unmodified-Since: Tue, 01 Jan 1980 00:00:00 GMT\r\n"
        ),
        412
    );
    assert_eq!(
        status("GET", &format!("Range: bytes=0-0\r\nIf-Range: {tag}\r\n")),
        206
    );
    assert_eq!(
        status("GET", "Range: bytes=0-0\r\nIf-Range: \"x\"\r\n"),
        200
    );
    assert_eq!(status("HEAD", "Range: bytes=0-0\r\n"), 200);
    eventually("the second of the change is over", || {
        (status("GET", &format!("If-Modified-Since: {date}\r\n")) == 304).then_some(())
    });
}

#[test]
fn a_change_is_seen_in_the_same_tick() {
    let server = site("static, fast changes").start();
    let mut client = server.client();
    for round in 0..200 {
        let (first, second) = (format!("a{round:04}"), format!("b{round:04}"));
        write(&server.dir().join("files"), "fast.txt", first.as_bytes());
        let answer = client.get("/static/fast.txt").expect("an answer");
        assert_eq!(answer.text(), first);
        let tag = answer.field("ETag").expect("a tag").to_owned();
        write(&server.dir().join("files"), "fast.txt", second.as_bytes());
        let again = ask(
            &mut client,
            "GET",
            "/static/fast.txt",
            &format!("If-None-Match: {tag}\r\n"),
        );
        assert_eq!((again.status, again.text()), (200, second));
    }
}

#[test]
fn a_file_comes_together_again_from_its_ranges() {
    let server = site("static, ranges").start();
    let mut client = server.client();
    let mut whole = Vec::new();
    while whole.len() < LARGE {
        let (start, end) = (whole.len(), (whole.len() + 333_333).min(LARGE) - 1);
        let part = ask(
            &mut client,
            "GET",
            "/static/large.bin",
            &format!("Range: bytes={start}-{end}\r\n"),
        );
        assert_eq!(
            part.field("Content-Range"),
            Some(&*format!("bytes {start}-{end}/{LARGE}"))
        );
        whole.extend(part.body);
    }
    assert!(whole == pattern(LARGE));
    let several = "Range: bytes=0-9,1000-1999,2500000-2999999\r\n";
    let answer = ask(&mut client, "GET", "/static/large.bin", several);
    let kind = answer.field("Content-Type").expect("a type");
    let boundary = kind.split_once("boundary=").expect("a boundary").1;
    let mut rest = &answer.body[..];
    for (start, end) in [(0, 9), (1000, 1999), (2_500_000, 2_999_999)] {
        let head = format!(
            "\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes {start}-{end}/{LARGE}\r\n\r\n"
        );
        rest = rest
            .strip_prefix(head.as_bytes())
            .expect("the head of a part");
        let (part, after) = rest.split_at(end - start + 1);
        assert!(part == &pattern(LARGE)[start..=end]);
        rest = after;
    }
    assert_eq!(rest, format!("\r\n--{boundary}--\r\n").as_bytes());
    // More ranges than anybody needs are one whole file.
    let many: Vec<String> = (0..17)
        .map(|at| format!("{}-{}", at * 1000, at * 1000 + 1))
        .collect();
    let answer = ask(
        &mut client,
        "GET",
        "/static/large.bin",
        &format!("Range: bytes={}\r\n", many.join(",")),
    );
    assert_eq!((answer.status, answer.body.len()), (200, LARGE));
}

#[test]
fn the_client_chooses_the_coding() {
    let server = site("static, codings").start();
    let mut client = server.client();
    for (accepted, coding, text) in [
        ("gzip, deflate, br, zstd", Some("gzip"), "gzipped"),
        ("gzip;q=0, *;q=0.5", None, "body {}\n"),
        ("br", None, "body {}\n"),
    ] {
        let fields = format!("Accept-Encoding: {accepted}\r\n");
        let answer = ask(&mut client, "GET", "/static/style.css", &fields);
        assert_eq!(
            (answer.field("Content-Encoding"), answer.text().as_str()),
            (coding, text)
        );
        assert_eq!(answer.field("Vary"), Some("Accept-Encoding"));
        assert_eq!(
            answer.field("Content-Type"),
            Some("text/css; charset=utf-8")
        );
    }
    fs::write(server.dir().join("files/style.css.br"), b"brotli").expect("a file");
    let answer = ask(
        &mut client,
        "GET",
        "/static/style.css",
        "Accept-Encoding: gzip, br\r\n",
    );
    assert_eq!(answer.text(), "brotli");
}

/// A client that reads nothing holds no thread and no other client.
#[test]
fn slow_clients_hold_nobody_up() {
    let server = site("static, slow").threads(1).start();
    let mut slow: Vec<_> = (0..20)
        .map(|_| {
            let mut client =
                crate::harness::Client::connect_narrow(server.address()).expect("connected");
            client
                .send(b"GET /static/large.bin HTTP/1.1\r\nHost: a\r\n\r\n")
                .expect("sent");
            client.sip(1).expect("it has begun");
            client
        })
        .collect();
    for _ in 0..50 {
        assert_eq!(server.get("/static/small.txt").status, 200);
        assert_eq!(server.get("/pid").status, 200);
    }
    let last = slow.pop().expect("a client");
    let whole = thread::spawn(move || {
        let mut client = last;
        client.set_timeout(Duration::from_secs(60));
        client.answer().expect("an answer").body
    });
    assert!(whole.join().expect("a client") == pattern(LARGE));
}
