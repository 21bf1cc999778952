//! Files over each kind of connection, and what logs and metrics say of them.

use std::fs;

use super::{LARGE, ask, pattern, site, write};
use crate::harness::{Authority, Client, Load, Mode, Server, eventually};

#[test]
fn a_file_is_served_beside_the_application() {
    let server = site("static").start();
    let answer = server.get("/static/small.txt");
    assert_eq!((answer.status, answer.text().as_str()), (200, "small\n"));
    assert_eq!(
        answer.field("Content-Type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(answer.field("Accept-Ranges"), Some("bytes"));
    assert!(answer.field("ETag").is_some() && answer.field("Last-Modified").is_some());
    assert!(server.get("/static/large.bin").body == pattern(LARGE));
    for missing in [
        "none",
        ".env",
        "../outside.txt",
        "%2e%2e/outside.txt",
        "..%2foutside.txt",
        "dir/none",
        "small.txt/",
    ] {
        let answer = server.get(&format!("/static/{missing}"));
        assert_eq!(answer.status, 404, "{missing}");
        assert!(!answer.text().contains("secret"));
    }
    assert!(server.get("/pid").number() > 0);
    assert_eq!(server.get("/staticx").status, server.get("/nothing").status);
}

#[test]
fn one_connection_carries_any_number_of_files() {
    let server = site("static, kept").start();
    let mut client = server.client();
    for (method, target, fields, status, length) in [
        ("GET", "/static/small.txt", "", 200, 6),
        ("HEAD", "/static/large.bin", "", 200, 0),
        ("GET", "/static/large.bin", "", 200, LARGE),
        ("GET", "/static/none", "", 404, 14),
        (
            "GET",
            "/static/large.bin",
            "Range: bytes=10-19\r\n",
            206,
            10,
        ),
        (
            "GET",
            "/static/large.bin",
            "Range: bytes=9999999-\r\n",
            416,
            26,
        ),
        ("GET", "/static/small.txt", "If-None-Match: *\r\n", 304, 0),
        ("GET", "/static/dir", "", 301, 22),
        (
            "POST",
            "/static/small.txt",
            "Content-Length: 3\r\n\r\nabc",
            405,
            23,
        ),
        ("GET", "/pid", "", 200, 0),
        ("GET", "/static/small.txt", "", 200, 6),
    ] {
        let answer = match method {
            "POST" => client
                .request("POST", target, "", b"abc")
                .expect("an answer"),
            _ => ask(&mut client, method, target, fields),
        };
        assert_eq!(answer.status, status, "{method} {target} {fields}");
        assert!(!answer.closes(), "{method} {target} {fields}");
        assert!(
            target == "/pid" || answer.body.len() == length,
            "{target}: {}",
            answer.body.len()
        );
        if method == "HEAD" {
            assert_eq!(answer.field("Content-Length"), Some("3000000"));
        }
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = site("static, pipelined").start();
    let mut client = server.client();
    let mut requests = String::new();
    for round in 0..300 {
        let target = [
            "/static/small.txt",
            "/pid",
            "/static/style.css",
            "/static/none",
        ][round % 4];
        requests += &format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    requests += "GET /static/large.bin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    client.send(requests.as_bytes()).expect("sent");
    for round in 0..300 {
        let answer = client.answer().expect("an answer");
        let wanted = [
            (200, "small\n"),
            (200, ""),
            (200, "body {}\n"),
            (404, "404 Not Found\n"),
        ][round % 4];
        assert_eq!(answer.status, wanted.0, "{round}");
        assert!(wanted.1.is_empty() || answer.text() == wanted.1, "{round}");
    }
    let last = client.answer().expect("an answer");
    assert!(last.closes() && last.body == pattern(LARGE));
    assert!(client.rest().expect("the end").is_empty());
}

#[test]
fn an_old_client_gets_the_file_and_the_end() {
    let server = site("static, HTTP/1.0").start();
    for target in ["/static/small.txt", "/static/large.bin"] {
        let mut client = server.client();
        client
            .send(format!("GET {target} HTTP/1.0\r\n\r\n").as_bytes())
            .expect("sent");
        let answer = client.answer().expect("an answer");
        assert!(answer.status == 200 && answer.closes() && !answer.body.is_empty());
        assert!(client.rest().expect("the end").is_empty());
    }
    let mut client = server.client();
    for _ in 0..2 {
        client
            .send(b"GET /static/large.bin HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            .expect("sent");
        assert_eq!(client.answer().expect("an answer").body.len(), LARGE);
    }
}

#[test]
fn files_are_encrypted_for_tls() {
    let builder = site("static, TLS");
    let authority = Authority::new(builder.dir(), "authority");
    let flags = authority.certify("server").flags();
    let server = builder.args(&flags.each_ref().map(String::as_str)).start();
    let mut client = Client::connect_tls(server.address(), &authority.client()).expect("connected");
    for _ in 0..2 {
        assert_eq!(
            client.get("/static/small.txt").expect("an answer").text(),
            "small\n"
        );
        assert!(client.get("/static/large.bin").expect("an answer").body == pattern(LARGE));
        let part = ask(
            &mut client,
            "GET",
            "/static/large.bin",
            "Range: bytes=5-9,2000000-2100000\r\n",
        );
        assert_eq!(part.status, 206);
        assert!(part.body.len() > 100_000);
    }
}

#[test]
fn a_unix_socket_serves_them_too() {
    let builder = site("static, unix").bind("unix:app.sock");
    let socket = builder.dir().join("app.sock");
    let server = builder.start();
    let mut client = Client::connect_unix(&socket).expect("connected");
    assert!(client.get("/static/large.bin").expect("an answer").body == pattern(LARGE));
    drop(server);
}

#[test]
fn a_directory_is_redirected_to_its_index() {
    let server = site("static, index").start();
    let answer = server.get("/static/dir?a=b");
    assert_eq!(
        (answer.status, answer.field("Location")),
        (301, Some("./dir/?a=b"))
    );
    assert_eq!(server.get("/static/dir/").text(), "<p>index\n");
    assert_eq!(server.get("/static/").status, 404);
    let without = site("static, no index")
        .args(&["--static-index", ""])
        .start();
    assert_eq!(without.get("/static/dir/").status, 404);
    assert_eq!(without.get("/static/dir").status, 404);
}

#[test]
fn logs_and_metrics_have_them_like_any_response() {
    let server = site("static, logged")
        .args(&["--access-logfile", "-", "--request-id", "on"])
        .args(&[
            "--access-logformat",
            "%(m)s %(U)s %(s)s %(B)s %({x-request-id}o)s",
        ])
        .admin()
        .start_with_unknown_workers();
    let mut client = server.client();
    let before = server.exposition().sum("oxicorn_requests_total");
    let answer = ask(
        &mut client,
        "GET",
        "/static/large.bin",
        "X-Request-ID: given-1\r\n",
    );
    assert_eq!(answer.field("X-Request-ID"), Some("given-1"));
    ask(&mut client, "HEAD", "/static/large.bin", "");
    ask(&mut client, "GET", "/static/none", "");
    ask(
        &mut client,
        "GET",
        "/static/large.bin",
        "Range: bytes=0-9,100-,1000000-1000009\r\n",
    );
    let line = server.out().wait_for("GET /static/large.bin 200");
    assert!(
        line.starts_with("GET /static/large.bin 200 3000000 given-1"),
        "{line}"
    );
    server.out().wait_for("HEAD /static/large.bin 200 0 ");
    server.out().wait_for("GET /static/none 404 14 ");
    server.out().wait_for("GET /static/large.bin 206 ");
    eventually("all are counted", || {
        let after = server.exposition().sum("oxicorn_requests_total");
        (after >= before + 4.0).then_some(())
    });
}

#[test]
fn cache_control_is_by_pattern() {
    let server = site("static, cache")
        .args(&["--static-cache-control", "*.css=public, max-age=60"])
        .args(&["--static-cache-control", "/static/*=no-cache"])
        .start();
    let of = |target: &str| server.get(target).field("Cache-Control").map(str::to_owned);
    assert_eq!(
        of("/static/style.css").as_deref(),
        Some("public, max-age=60")
    );
    assert_eq!(of("/static/dir/").as_deref(), Some("no-cache"));
    assert_eq!(of("/static/none.css"), None);
}

#[test]
fn one_file_has_a_path_of_its_own() {
    let builder = Server::new("static, one file").lab();
    write(builder.dir(), "icons/shop.ico", b"icon");
    write(builder.dir(), "all/a.txt", b"all");
    let server = builder
        .args(&["--static-map", "/favicon.ico=icons/shop.ico,/all=all"])
        .start();
    let icon = server.get("/favicon.ico");
    assert_eq!((icon.status, icon.text().as_str()), (200, "icon"));
    assert_eq!(icon.field("Content-Type"), Some("image/x-icon"));
    assert_eq!(server.get("/all/a.txt").text(), "all");
    assert_eq!(server.get("/favicon.ico/").status, 404);
    assert!(server.get("/pid").number() > 0);
}

#[test]
fn a_place_that_is_not_there_stops_the_start() {
    let ended = Server::new("static, missing")
        .args(&["--static-map", "/static=nowhere"])
        .run();
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.log.contains("--static-map") && ended.log.contains("nowhere"),
        "{}",
        ended.log
    );
    assert!(ended.log.contains("exists"), "{}", ended.log);
    for wrong in ["static=.", "/static", "/a=.,/a/=.", "/a/../b=."] {
        let ended = Server::new("static, wrong")
            .args(&["--static-map", wrong])
            .run();
        assert_eq!(ended.code, Some(1), "{wrong}");
        assert!(ended.log.contains("--static-map"), "{}", ended.log);
    }
}

/// Under load, while the server is reloaded and the directory behind a link is changed for the next release.
#[test]
fn a_release_under_load_loses_no_request() {
    let builder = Server::new("static, load").lab().workers(2).threads(2);
    write(builder.dir(), "releases/1/a.txt", b"one");
    write(builder.dir(), "releases/2/a.txt", b"two");
    let current = builder.dir().join("current");
    std::os::unix::fs::symlink("releases/1", &current).expect("a link");
    let server = builder.args(&["--static-map", "/static=current"]).start();
    let kept = Load::start(server.address(), 4, Mode::KeepAlive, "/static/a.txt");
    let fresh = Load::start(server.address(), 2, Mode::Fresh, "/static/a.txt");
    kept.wait_for_more(500);
    let next = server.dir().join("next");
    std::os::unix::fs::symlink("releases/2", &next).expect("a link");
    fs::rename(next, current).expect("the next release");
    eventually("the next release", || {
        (server.get("/static/a.txt").text() == "two").then_some(())
    });
    let before = server.children();
    server.signal(nix::sys::signal::Signal::SIGHUP);
    server.wait_for_others(&before, 2);
    kept.wait_for_more(500);
    fresh.wait_for_more(100);
    kept.stop().assert_perfect();
    fresh.stop().assert_perfect();
}

#[test]
fn rate_limits_count_files() {
    let builder = site("static, limited");
    write(
        builder.dir(),
        "limits.conf",
        b"files 1/h burst=3 path=/static fields=always\n",
    );
    let server = builder.args(&["--rate-limits", "limits.conf"]).start();
    let mut client = server.client();
    for _ in 0..3 {
        let answer = client.get("/static/small.txt").expect("an answer");
        assert_eq!(answer.status, 200);
        assert!(answer.field("RateLimit").is_some(), "{answer:?}");
    }
    assert_eq!(
        client.get("/static/small.txt").expect("an answer").status,
        429
    );
    assert_eq!(client.get("/pid").expect("an answer").status, 200);
}
