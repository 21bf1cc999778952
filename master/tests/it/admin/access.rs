//! Who may ask it.

use std::fs;
use std::net::{SocketAddr, UdpSocket};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::{address, ask, get, server, the_process};
use crate::harness::{Authority, Client, Server};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn with_token(address: SocketAddr, target: &str, token: &str) -> u16 {
    let field = format!("Authorization: Bearer {token}\r\n");
    let answer = ask(address, target, &field).expect("an answer");
    answer.status
}

/// The answer to a request whose `Host` is `host`.
fn of_host(address: SocketAddr, host: &str) -> u16 {
    let mut client = Client::connect(address).expect("it listens");
    let head = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n");
    client.send(head.as_bytes()).expect("sent");
    client.answer().expect("an answer").status
}

/// The address by which this machine reaches others, if it has one.
fn outer_address() -> Option<std::net::IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback()).then_some(address)
}

#[test]
fn a_page_that_a_browser_has_from_elsewhere_is_refused() {
    let server = server("admin, rebinding").start_with_unknown_workers();
    let admin = address(&server, 1);
    for host in ["evil.example", "evil.example:80", "10.0.0.1"] {
        assert_eq!(of_host(admin, host), 403, "{host}");
    }
    for host in ["localhost", "localhost:1234", "127.0.0.1", "[::1]:9"] {
        assert_eq!(of_host(admin, host), 200, "{host}");
    }
    let foreign = ask(admin, "/healthz", "Origin: http://evil.example\r\n");
    assert_eq!(foreign.expect("an answer").status, 403);
    let image = ask(admin, "/healthz", "Sec-Fetch-Site: cross-site\r\n");
    assert_eq!(image.expect("an answer").status, 403);
}

#[test]
fn methods_and_paths_have_their_status() {
    let server = server("admin, methods").start_with_unknown_workers();
    let admin = address(&server, 1);
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"] {
        let mut client = Client::connect(admin).expect("it listens");
        let head = format!("{method} /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        client.send(head.as_bytes()).expect("sent");
        let answer = client.answer().expect("an answer");
        assert_eq!(
            (answer.status, answer.field("Allow")),
            (405, Some("GET, HEAD"))
        );
    }
    for path in ["/healthz", "/ready"] {
        let mut client = Client::connect(admin).expect("it listens");
        let mut ask = |method: &str| {
            let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
            client.send(head.as_bytes()).expect("sent");
            client.answer_to(method).expect("an answer")
        };
        let (head, whole) = (ask("HEAD"), ask("GET"));
        assert_eq!(head.status, whole.status);
        assert_eq!(head.field("Content-Length"), whole.field("Content-Length"));
        assert_eq!(whole.field("Cache-Control"), Some("no-store"));
    }
}

#[test]
fn an_address_that_others_reach_needs_a_token() {
    for open in ["0.0.0.0:0", "[::]:0"] {
        let ended = Server::new("admin, open")
            .args(&["--admin-bind", open])
            .run();
        assert_eq!(ended.code, Some(1));
        assert!(ended.log.contains("flag --admin-bind"), "{}", ended.log);
        assert!(ended.log.contains("admin_token"), "{}", ended.log);
    }
    let server = Server::new("admin, token")
        .args(&["--admin-bind", "0.0.0.0:0"])
        .env("OXICORN_ADMIN_TOKEN", TOKEN)
        .start_with_unknown_workers();
    let port = address(&server, 1).port();
    let places = ["127.0.0.1".parse().ok(), outer_address()];
    for place in places.into_iter().flatten() {
        let admin = SocketAddr::new(place, port);
        let answer = ask(admin, "/healthz", "").expect("an answer");
        assert_eq!(answer.status, 401);
        let challenge = answer.field("WWW-Authenticate").expect("a challenge");
        assert_eq!(challenge, "Bearer realm=\"oxicorn\"");
        assert_eq!(with_token(admin, "/healthz", TOKEN), 200);
        assert_eq!(with_token(admin, "/nothing", TOKEN), 404);
        for wrong in [&TOKEN[1..], &TOKEN.to_uppercase(), &format!("{TOKEN}0"), ""] {
            assert_eq!(with_token(admin, "/healthz", wrong), 401, "{wrong}");
        }
    }
    for process in server.children().into_iter().chain([server.master()]) {
        assert!(!process.command_line().contains(TOKEN));
    }
    assert!(!server.log().text().contains(TOKEN));
}

#[test]
fn a_token_comes_from_a_file_too_and_a_reload_reads_it_again() {
    let builder = server("admin, token file").args(&["--admin-token-file", "token"]);
    let file = builder.dir().join("token");
    fs::write(&file, format!("{TOKEN}\n")).expect("written");
    let mut server = builder.start_with_unknown_workers();
    let (admin, old) = (address(&server, 1), the_process(&server));
    assert_eq!(get(admin, "/healthz").status, 401);
    assert_eq!(with_token(admin, "/healthz", TOKEN), 200);
    let next = TOKEN.to_uppercase();
    fs::write(&file, &next).expect("written");
    server.signal(Signal::SIGHUP);
    server.log().wait_for("Generation 2 serves");
    crate::harness::eventually("the new process alone", || {
        (the_process(&server) != old).then_some(())
    });
    assert_eq!(with_token(admin, "/healthz", TOKEN), 401);
    assert_eq!(with_token(admin, "/healthz", &next), 200);
    fs::write(&file, "short\n").expect("written");
    server.tolerate("Reload failed");
    server.signal(Signal::SIGHUP);
    let line = server.log().wait_for("Reload failed");
    assert!(line.contains("admin_token_file") && !line.contains("short"));
    assert_eq!(with_token(admin, "/healthz", &next), 200);
}

#[test]
fn a_token_is_never_shown() {
    let ended = Server::new("admin, print")
        .args(&["--print-config"])
        .env("OXICORN_ADMIN_TOKEN", TOKEN)
        .run();
    assert!(ended.out.contains("admin_token") && !ended.out.contains(TOKEN));
    let ended = Server::new("admin, short")
        .env("OXICORN_ADMIN_TOKEN", "hunter2")
        .run();
    assert_eq!(ended.code, Some(1));
    assert!(ended.log.contains("OXICORN_ADMIN_TOKEN"), "{}", ended.log);
    assert!(!ended.log.contains("hunter2"), "{}", ended.log);
}

#[test]
fn client_certificates_admit_those_who_have_one() {
    let directory = TempDir::with_prefix("oxicorn-admin-").expect("a directory");
    let authority = Authority::new(directory.path(), "authority");
    let stranger = Authority::new(directory.path(), "stranger");
    let (own, client) = (authority.certify("server"), authority.certify("client"));
    let text = |path: &std::path::Path| path.display().to_string();
    let server = Server::new("admin, certificates")
        .args(&["--admin-bind", "0.0.0.0:0"])
        .args(&["--admin-certfile", &text(&own.certificate)])
        .args(&["--admin-keyfile", &text(&own.key)])
        .args(&["--admin-ca-certs", &text(&authority.identity.certificate)])
        .start_with_unknown_workers();
    let line = server.log().wait_for(super::LISTENS);
    assert!(line.contains("https://0.0.0.0:"), "{line}");
    let admin = SocketAddr::from(([127, 0, 0, 1], address(&server, 1).port()));
    let ask = |identity| {
        let tls = authority.client_with(rustls::ALL_VERSIONS, identity, &[]);
        let mut client = Client::connect_tls(admin, &tls)?;
        client.get("/healthz")
    };
    assert_eq!(ask(Some(&client)).expect("an answer").status, 200);
    assert!(ask(None).is_err(), "no certificate");
    server.log().wait_for("(admin_ca_certs)");
    let tls = authority.client_with(rustls::ALL_VERSIONS, Some(&client), &[]);
    let mut page = Client::connect_tls(admin, &tls).expect("it listens");
    let head = b"GET /status HTTP/1.1\r\nHost: a\r\nOrigin: https://evil.example\r\n\r\n";
    page.send(head).expect("sent");
    assert_eq!(page.answer().expect("an answer").status, 403);
    let foreign = stranger.certify("foreign");
    assert!(ask(Some(&foreign)).is_err(), "of another authority");
    let mut plain = Client::connect(admin).expect("it listens");
    plain
        .send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("sent");
    assert_eq!(plain.answer().expect("an answer").status, 400);
}
