//! Before the first request: handshakes that stop half-way or come in large numbers, and clients that speak something else.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use super::{Scene, get};
use crate::harness::{Client, TIMEOUT, eventually};

#[test]
fn handshakes_that_stop_hold_no_thread_and_end_in_time() {
    let scene = Scene::new();
    let server = scene
        .server("half-open")
        .threads(1)
        .args(&["--header-timeout", "2", "--worker-connections", "2000"])
        .start();
    let worker = server.children()[0];
    let before = worker.descriptors();
    let hello = client_hello(&scene.authority.client());
    let started = Instant::now();
    let mut half: Vec<TcpStream> = (0..600)
        .map(|number| {
            let mut stream = TcpStream::connect(server.address()).expect("the server listens");
            // Send nothing; the beginning of a ClientHello; all of it, but never read the answer.
            let sent = [0, 1 + number % 200, hello.len()][number % 3];
            stream.write_all(&hello[..sent]).expect("sent");
            stream
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(get(&mut scene.client(&server), "/pid").status, 200);
    }
    for stream in &mut half {
        stream.set_read_timeout(Some(TIMEOUT)).expect("a socket");
        let mut answer = Vec::new();
        // Any kind of end is fine.
        let _ = stream.read_to_end(&mut answer);
    }
    let took = started.elapsed();
    assert!(took > Duration::from_millis(1800), "{took:?}");
    eventually("all are closed", || {
        (worker.descriptors() <= before + 1).then_some(())
    });
}

/// The first bytes of a client.
fn client_hello(tls: &Arc<ClientConfig>) -> Vec<u8> {
    let name = "localhost".try_into().expect("a name");
    let mut session = rustls::ClientConnection::new(Arc::clone(tls), name).expect("a client");
    let mut hello = Vec::new();
    session.write_tls(&mut hello).expect("memory");
    hello
}

#[test]
fn many_handshakes_do_not_delay_open_connections() {
    const CROWD: usize = 300;
    let mut scene = Scene::new();
    // Its signatures take several milliseconds each.
    scene.identity = scene.authority.certify_with_key("slow", &["rsa:4096"]);
    let server = scene
        .server("crowd")
        .threads(1)
        .args(&["--worker-connections", "2000"])
        .start();
    let mut client = scene.client(&server);
    get(&mut client, "/pid");
    let hello = client_hello(&scene.authority.client());
    let mut crowd: Vec<TcpStream> = (0..CROWD)
        .map(|_| TcpStream::connect(server.address()).expect("the server listens"))
        .collect();
    for stream in &mut crowd {
        stream.write_all(&hello).expect("sent");
    }
    // All of them were connected before.
    get(&mut client, "/pid");
    let answered = crowd.iter().filter(|stream| {
        stream.set_nonblocking(true).expect("a socket");
        let is_answered = stream.peek(&mut [0]).is_ok();
        stream.set_nonblocking(false).expect("a socket");
        is_answered
    });
    let before_us = answered.count();
    for stream in &mut crowd {
        let mut answer = [0; 3];
        stream.read_exact(&mut answer).expect("an answer");
        assert_eq!(answer, [22, 3, 3], "a handshake record");
    }
    assert!(
        before_us < CROWD * 2 / 3,
        "{before_us} of {CROWD} had their turn before one request"
    );
}

#[test]
fn a_handshake_may_come_byte_by_byte() {
    let scene = Scene::new();
    let server = scene.server("split").start();
    let mut stream = TcpStream::connect(server.address()).expect("the server listens");
    stream.set_nodelay(true).expect("a socket");
    for byte in client_hello(&scene.authority.client()) {
        stream.write_all(&[byte]).expect("sent");
    }
    let mut answer = [0; 3];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(answer, [22, 3, 3], "a handshake record");
}

#[test]
fn plain_http_to_a_tls_port_is_answered() {
    let scene = Scene::new();
    let server = scene
        .server("plain")
        .args(&["--log-level", "debug"])
        .start();
    let mut client = Client::connect(server.address()).expect("the server listens");
    let answer = get(&mut client, "/");
    assert_eq!(answer.status, 400);
    assert!(
        answer.text().contains("https") && answer.closes(),
        "{answer:?}"
    );
    assert!(client.rest().expect("the end").is_empty());
    let line = server.log().wait_for("without TLS");
    assert!(line.contains("[DEBUG]"), "{line}");
    // Bytes that are neither TLS nor HTTP get no answer.
    let mut stream = TcpStream::connect(server.address()).expect("the server listens");
    stream.write_all(b"\0\0\0").expect("sent");
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.is_empty(), "{rest:?}");
}

#[test]
fn a_proxy_names_the_client_before_the_handshake() {
    let scene = Scene::new();
    let server = scene
        .server("tls behind a proxy")
        .args(&["--proxy-protocol", "auto", "--log-level", "debug"])
        .start();
    let line = b"PROXY TCP4 192.0.2.1 198.51.100.7 12345 443\r\n";
    let mut client = Client::connect(server.address()).expect("the server listens");
    client.send(line).expect("sent");
    let mut client = client
        .over_tls(&scene.authority.client())
        .expect("a client");
    let said = get(&mut client, "/origin").text();
    for fact in [
        "scheme https",
        "peer 192.0.2.1:12345",
        "local 198.51.100.7:443",
        "proxied true",
    ] {
        assert!(said.contains(fact), "{said}");
    }
    let said = get(&mut scene.client(&server), "/origin").text();
    assert!(said.contains("proxied false"), "{said}");
    // In one packet with the ClientHello.
    let hello = client_hello(&scene.authority.client());
    let mut stream = TcpStream::connect(server.address()).expect("the server listens");
    stream
        .write_all(&[line, &hello[..]].concat())
        .expect("sent");
    let mut answer = [0; 3];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(answer, [22, 3, 3], "a handshake record");
}
