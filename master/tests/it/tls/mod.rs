//! TLS: requests over it, handshakes that stop half-way, certificates of servers and clients, and
//! what may not be any different from plain connections.

mod certificates;

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rustls::ClientConfig;
use rustls::version::{TLS12, TLS13};
use tempfile::TempDir;

use crate::harness::{Answer, Authority, Builder, Client, Identity, Server, eventually};

/// An answer of a server that nothing keeps comes long before that.
const PROMPT: Duration = Duration::from_millis(500);

/// An authority, and a server that it vouches for.
struct Scene {
    directory: TempDir,
    authority: Authority,
    identity: Identity,
}

impl Scene {
    fn new() -> Self {
        let directory = TempDir::with_prefix("oxicorn-tls-").expect("a temporary directory");
        let authority = Authority::new(directory.path(), "authority");
        let identity = authority.certify("server");
        Self {
            directory,
            authority,
            identity,
        }
    }

    fn server(&self, name: &str) -> Builder {
        let flags = self.identity.flags();
        Server::new(name)
            .lab()
            .args(&flags.each_ref().map(String::as_str))
    }

    fn client(&self, server: &Server) -> Client {
        connect(server, &self.authority.client())
    }
}

fn connect(server: &Server, tls: &Arc<ClientConfig>) -> Client {
    Client::connect_tls(server.address(), tls).expect("the server listens")
}

fn get(client: &mut Client, target: &str) -> Answer {
    client
        .get(target)
        .unwrap_or_else(|error| panic!("GET {target}: {error}"))
}

fn ask(client: &mut Client, target: &str) {
    client
        .send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
        .expect("sent");
}

#[test]
fn both_versions_carry_requests_and_bodies() {
    let scene = Scene::new();
    let server = scene.server("tls").threads(2).start();
    server.log().wait_for("Listening at: https://127.0.0.1:");
    for version in [&TLS12, &TLS13] {
        let tls = scene.authority.client_with(&[version], None, &[]);
        let mut client = connect(&server, &tls);
        assert!(get(&mut client, "/origin").text().contains("scheme https"));
        let agreed = client.session().protocol_version();
        assert_eq!(agreed, Some(version.version));
        let body: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
        let echo = client.request("POST", "/echo", "", &body);
        assert!(echo.expect("an answer").body == body);
        assert_eq!(get(&mut client, "/big?bytes=5000000").body.len(), 5_000_000);
        let stream = get(&mut client, "/stream?pieces=50&bytes=20000");
        assert_eq!(stream.body.len(), 1_000_000);
        let expects = "Expect: 100-continue\r\n";
        let head = format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n{expects}\r\n");
        client.send(head.as_bytes()).expect("sent");
        assert_eq!(client.any_answer_to("POST").expect("go on").status, 100);
        client.send(b"ab").expect("sent");
        assert_eq!(client.answer().expect("an answer").body, b"ab");
    }
}

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
            // Nothing; the beginning of a hello; all of it, and the answer is never taken.
            let sent = [0, 1 + number % 200, hello.len()][number % 3];
            stream.write_all(&hello[..sent]).expect("sent");
            stream
        })
        .collect();
    for _ in 0..20 {
        let asked = Instant::now();
        assert_eq!(get(&mut scene.client(&server), "/pid").status, 200);
        assert!(asked.elapsed() < PROMPT, "{:?}", asked.elapsed());
    }
    for stream in &mut half {
        stream
            .set_read_timeout(Some(PROMPT * 20))
            .expect("a socket");
        let mut answer = Vec::new();
        // However it ends, it ends.
        let _ = stream.read_to_end(&mut answer);
    }
    let took = started.elapsed();
    assert!(
        took > Duration::from_millis(1800) && took < Duration::from_secs(8),
        "{took:?}"
    );
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
fn who_forgets_the_s_is_told() {
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
    // What is neither is not answered.
    let mut stream = TcpStream::connect(server.address()).expect("the server listens");
    stream.write_all(b"\0\0\0").expect("sent");
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.is_empty(), "{rest:?}");
}

#[test]
fn a_slow_reader_holds_no_thread() {
    let scene = Scene::new();
    let server = scene.server("slow tls reader").threads(1).start();
    let mut readers: Vec<_> = (0..20).map(|_| scene.client(&server)).collect();
    for (number, reader) in readers.iter_mut().enumerate() {
        match number % 2 {
            0 => ask(reader, "/big?bytes=20000000"),
            _ => ask(reader, "/stream?pieces=200&bytes=100000"),
        }
    }
    for _ in 0..5 {
        let asked = Instant::now();
        assert_eq!(get(&mut scene.client(&server), "/pid").status, 200);
        assert!(asked.elapsed() < 4 * PROMPT, "{:?}", asked.elapsed());
    }
    for mut reader in readers.into_iter().take(4) {
        assert_eq!(reader.answer().expect("an answer").body.len(), 20_000_000);
    }
}

#[test]
fn a_client_that_takes_nothing_is_let_go() {
    let scene = Scene::new();
    let server = scene
        .server("tls write timeout")
        .args(&["--write-timeout", "1"])
        .start();
    let worker = server.children()[0];
    let mut client = scene.client(&server);
    get(&mut client, "/pid");
    let before = worker.descriptors();
    ask(&mut client, "/big?bytes=50000000");
    eventually("the connection is gone", || {
        (worker.descriptors() < before).then_some(())
    });
    assert!(client.answer().is_err());
}

#[test]
fn the_end_is_told_and_a_cut_is_not_taken_for_it() {
    let scene = Scene::new();
    let mut server = scene.server("goodbye").args(&["--keep-alive", "1"]).start();
    server.tolerate("no more");
    let last = |target: &str, version: &str| {
        let mut client = scene.client(&server);
        let fields = "Host: a\r\nConnection: close\r\n";
        let request = format!("GET {target} {version}\r\n{fields}\r\n");
        client.send(request.as_bytes()).expect("sent");
        client
    };
    // rustls reports an end without goodbye as an error.
    let mut client = last("/pid", "HTTP/1.1");
    assert_eq!(client.answer().expect("an answer").status, 200);
    assert!(client.rest().expect("a goodbye").is_empty());
    let mut client = last("/stream?pieces=3&bytes=5", "HTTP/1.0");
    assert_eq!(client.answer().expect("an answer").body, b"y".repeat(15));
    let mut client = last("/stream?pieces=3&bytes=5&fail=3", "HTTP/1.0");
    let error = client.answer().expect_err("the body is cut short");
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    // An idle connection is ended like any other.
    let mut client = scene.client(&server);
    get(&mut client, "/pid");
    assert!(client.rest().expect("a goodbye").is_empty());
    // A client that says goodbye first gets its answers.
    let mut client = scene.client(&server);
    ask(&mut client, "/sleep?ms=100");
    ask(&mut client, "/pid");
    client.finish().expect("said");
    for _ in 0..2 {
        assert_eq!(client.answer().expect("an answer").status, 200);
    }
}

#[test]
fn a_request_over_its_time_is_answered_504() {
    let scene = Scene::new();
    let mut server = scene
        .server("tls 504")
        .args(&["--timeout", "1", "--graceful-timeout", "1"])
        .start();
    server.tolerate("");
    let mut client = scene.client(&server);
    assert_eq!(get(&mut client, "/sleep?ms=60000").status, 504);
    assert!(client.rest().expect("a goodbye").is_empty());
}

#[test]
fn a_drain_finishes_what_is_under_way_and_parts_from_the_rest() {
    let scene = Scene::new();
    let server = scene.server("tls drain").threads(4).start();
    let old = server.children();
    let (mut idle, mut busy, mut asking) = (
        scene.client(&server),
        scene.client(&server),
        scene.client(&server),
    );
    get(&mut idle, "/pid");
    get(&mut asking, "/pid");
    ask(&mut busy, "/sleep?ms=1500");
    server.signal(Signal::SIGHUP);
    // Siblings could serve a plain connection; this one has its keys where it is.
    server.log().wait_for("Worker draining");
    let answer = get(&mut asking, "/pid");
    assert!(
        answer.closes() && answer.number() == i64::from(old[0].0),
        "{answer:?}"
    );
    let answer = busy.answer().expect("an answer");
    assert!(answer.closes() && answer.status == 200, "{answer:?}");
    for client in [&mut idle, &mut busy, &mut asking] {
        assert!(client.rest().expect("a goodbye").is_empty());
    }
    server.wait_for_others(&old, 1);
    assert_eq!(get(&mut scene.client(&server), "/generation").number(), 2);
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
    // In one packet with the hello.
    let hello = client_hello(&scene.authority.client());
    let mut stream = TcpStream::connect(server.address()).expect("the server listens");
    stream
        .write_all(&[line, &hello[..]].concat())
        .expect("sent");
    let mut answer = [0; 3];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(answer, [22, 3, 3], "a handshake record");
}

#[test]
fn unix_sockets_speak_tls_too() {
    let scene = Scene::new();
    let server = scene.server("tls over unix").bind("unix:app.sock").start();
    let socket = std::os::unix::net::UnixStream::connect(server.dir().join("app.sock"));
    let name = "localhost".try_into().expect("a name");
    let session = rustls::ClientConnection::new(scene.authority.client(), name).expect("a client");
    let mut stream = rustls::StreamOwned::new(session, socket.expect("the server listens"));
    stream
        .write_all(b"GET /origin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("a goodbye");
    assert!(
        answer.contains("scheme https\npeer a local client\nlocal unix"),
        "{answer}"
    );
}
