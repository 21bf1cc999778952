//! TLS: requests, handshakes that stop half-way, certificates of servers and clients, and everything that must be the same as
//! over plain connections.

mod certificates;
mod handshakes;
mod shedding;

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::sys::signal::Signal;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use tempfile::TempDir;

use crate::framing;
use crate::harness::{Answer, Authority, Builder, Client, Identity, Server, eventually};

/// An authority, and a server with a certificate from it.
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
        assert_eq!(get(&mut scene.client(&server), "/pid").status, 200);
    }
    for mut reader in readers.into_iter().take(4) {
        assert_eq!(reader.answer().expect("an answer").body.len(), 20_000_000);
    }
}

#[test]
fn a_client_that_reads_nothing_is_disconnected() {
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
fn close_notify_tells_the_end_of_a_response_from_a_cut() {
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
    // rustls reports an end without close_notify as an error.
    let mut client = last("/pid", "HTTP/1.1");
    assert_eq!(client.answer().expect("an answer").status, 200);
    assert!(client.rest().expect("a goodbye").is_empty());
    let mut client = last("/stream?pieces=3&bytes=5", "HTTP/1.0");
    assert_eq!(client.answer().expect("an answer").body, b"y".repeat(15));
    let mut client = last("/stream?pieces=3&bytes=5&fail=3", "HTTP/1.0");
    let error = client.answer().expect_err("the body is cut short");
    let cuts = [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset];
    assert!(cuts.contains(&error.kind()), "{error}");
    // An idle connection is ended like any other.
    let mut client = scene.client(&server);
    get(&mut client, "/pid");
    assert!(client.rest().expect("a goodbye").is_empty());
}

#[test]
fn a_client_that_sends_close_notify_gets_its_responses() {
    let scene = Scene::new();
    let server = scene.server("goodbye first").start();
    let mut client = scene.client(&server);
    let request = "GET /sleep?ms=100 HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send(request.repeat(2).as_bytes()).expect("sent");
    client.finish().expect("said");
    for _ in 0..2 {
        assert_eq!(client.answer().expect("an answer").status, 200);
    }
    assert!(client.rest().expect("a goodbye").is_empty());
    // An unread close_notify must not turn the server's close into a reset.
    let mut client = scene.client(&server);
    let target = "/stream?pieces=3&ms=200&bytes=1000";
    let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    client.send(request.as_bytes()).expect("sent");
    client.take(1).expect("the response begins");
    client.finish().expect("said");
    let rest = client.rest().expect("a goodbye");
    assert!(rest.ends_with(b"\r\n0\r\n\r\n"), "{}", rest.escape_ascii());
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
fn a_drain_finishes_running_requests_and_closes_idle_connections() {
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
    // A sibling could take over a plain connection, but the keys of this one are in its worker.
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

/// Ends the clients that keep sending requests, also if the test fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Many, because a failure needs a connection at a certain moment of its handshake.
const RELOADS: usize = 20;

#[test]
fn a_busy_client_loses_nothing_to_a_reload() {
    let scene = Scene::new();
    let server = scene.server("tls reload").workers(2).threads(2).start();
    let over = AtomicBool::new(false);
    let ask_on = || {
        let (mut answered, mut parted) = (0, 0);
        let mut client = scene.client(&server);
        while !over.load(Ordering::Relaxed) {
            let answer = get(&mut client, "/pid");
            assert_eq!(answer.status, 200);
            answered += 1;
            if answer.closes() {
                parted += 1;
                client = scene.client(&server);
            }
        }
        (answered, parted)
    };
    thread::scope(|scope| {
        let askers: Vec<_> = (0..4).map(|_| scope.spawn(ask_on)).collect();
        let end = End(&over);
        for _ in 0..RELOADS {
            let old = server.children();
            server.signal(Signal::SIGHUP);
            server.wait_for_others(&old, 2);
        }
        drop(end);
        for asker in askers {
            let (answered, parted) = asker.join().expect("every answer");
            assert!(answered > 10 && parted > 0, "{answered} {parted}");
        }
    });
}

#[test]
fn unix_sockets_speak_tls_too() {
    let scene = Scene::new();
    let server = scene.server("tls over unix").bind("unix:app.sock").start();
    let mut stream = connect_unix(&server, &scene.authority.client());
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

fn connect_unix(
    server: &Server,
    tls: &Arc<ClientConfig>,
) -> StreamOwned<ClientConnection, UnixStream> {
    let name = "localhost".try_into().expect("a name");
    let session = ClientConnection::new(Arc::clone(tls), name).expect("a client");
    StreamOwned::new(session, framing::connect(&server.dir().join("app.sock")))
}

#[test]
fn who_waits_for_100_continue_gets_it_behind_a_full_socket() {
    let scene = Scene::new();
    let server = scene.server("100 behind tls").bind("unix:app.sock").start();
    let tls = scene.authority.client();
    // One thread: when another client has its answer, the request before is dealt with.
    let settled = || {
        let mut other = connect_unix(&server, &tls);
        let request = b"GET /pid HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        other.write_all(request).expect("sent");
        other.read_to_end(&mut Vec::new()).expect("an answer");
    };
    let socket = framing::connect(&server.dir().join("app.sock"));
    for size in framing::sizes_that_fill(&socket) {
        let mut stream = connect_unix(&server, &tls);
        let asked = framing::is_asked_for_its_body(&mut stream, size, settled);
        asked.unwrap_or_else(|error| panic!("{size} octets: {error}"));
    }
}
