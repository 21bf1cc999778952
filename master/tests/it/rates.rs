//! Slow clients: too slow ones make room for others, and steady ones get the whole response.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::harness::{Authority, Client, Server, eventually};

/// Between two octets of a client that dribbles: twenty per second, far below the minimum rate.
const DRIBBLE: Duration = Duration::from_millis(50);
/// The connections that a worker may have in these tests.
const PLACES: usize = 4;
/// More than the kernel buffers of a response that the client does not read.
const MUCH: usize = 12_000_000;

fn ask(client: &mut Client, target: &str) {
    client
        .send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
        .expect("sent");
}

/// Clients that send a beginning, and then a little more now and then.
struct Crowd {
    over: Arc<AtomicBool>,
    members: Vec<JoinHandle<()>>,
}

impl Crowd {
    fn new(
        server: &Server,
        count: usize,
        begin: &'static [u8],
        dribble: fn(&mut Client) -> io::Result<()>,
    ) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let address = server.address();
        let member = || {
            let over = Arc::clone(&over);
            let mut client = Client::connect_narrow(address).expect("the server listens");
            client.send(begin).expect("sent");
            thread::spawn(move || {
                while !over.load(Ordering::Relaxed) && dribble(&mut client).is_ok() {
                    thread::sleep(DRIBBLE);
                }
            })
        };
        let members = (0..count).map(|_| member()).collect();
        Self { over, members }
    }

    fn stop(self) {
        self.over.store(true, Ordering::Relaxed);
        for member in self.members {
            member.join().expect("a member of the crowd");
        }
    }
}

/// As many clients as the worker has room for send `begin` and then `dribble`: new clients are served, and the slow
/// ones are closed.
fn assert_gives_way(
    server: &Server,
    begin: &'static [u8],
    dribble: fn(&mut Client) -> io::Result<()>,
) {
    let worker = server.children()[0];
    let before = worker.descriptors();
    let crowd = Crowd::new(server, PLACES, begin, dribble);
    assert_eq!(server.get("/pid").status, 200);
    eventually("all that dribble are sent away", || {
        (worker.descriptors() <= before).then_some(())
    });
    crowd.stop();
}

#[test]
fn uploads_that_dribble_keep_nobody_out() {
    const UPLOAD: &[u8] = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n";
    const CHUNKS: &[u8] = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let server = Server::new("dribbling uploads")
        .lab()
        .args(&["--worker-connections", "4", "--body-timeout", "2"])
        .start();
    assert_gives_way(&server, UPLOAD, |client| client.send(b"x"));
    assert_gives_way(&server, CHUNKS, |client| client.send(b"1\r\nx\r\n"));
    server.log().wait_for("body_min_rate");
}

#[test]
fn readers_that_dribble_keep_nobody_out() {
    for target in [
        &b"GET /big?bytes=12000000 HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        b"GET /stream?pieces=120&bytes=100000 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /write?pieces=120&bytes=100000 HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let server = Server::new("dribbling readers")
            .lab()
            .threads(4)
            .args(&["--worker-connections", "4", "--write-timeout", "2"])
            .args(&["--write-min-rate", "100000"])
            .start();
        // Some progress every second, 40,000 octets at most.
        assert_gives_way(&server, target, |client| client.sip(2000));
    }
}

#[test]
fn heads_that_dribble_keep_nobody_out() {
    let server = Server::new("dribbling heads")
        .lab()
        .args(&["--worker-connections", "4", "--header-timeout", "2"])
        .start();
    let head = b"GET / HTTP/1.1\r\nHost: a\r\nX: ";
    assert_gives_way(&server, head, |client| client.send(b"x"));
    let server = Server::new("dribbling PROXY headers")
        .lab()
        .args(&["--worker-connections", "4", "--header-timeout", "2"])
        .args(&["--proxy-protocol", "auto"])
        .start();
    // A header of the second version may be long: here are 400 octets of it to come.
    let proxy = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x01\x90";
    assert_gives_way(&server, proxy, |client| client.send(b"x"));
}

#[test]
fn an_upload_that_is_steady_lasts_as_long_as_it_takes() {
    let server = Server::new("steady upload")
        .lab()
        .args(&["--body-timeout", "2", "--body-min-rate", "1000"])
        .start();
    let mut client = server.client();
    client
        .send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n")
        .expect("sent");
    let started = Instant::now();
    let mut left = 60_000;
    while started.elapsed() < Duration::from_secs(5) && left > 1000 {
        client.send(&[b'x'; 500]).expect("the server listens");
        left -= 500;
        thread::sleep(DRIBBLE);
    }
    client.send(&vec![b'x'; left]).expect("sent");
    assert_eq!(client.answer().expect("an answer").body.len(), 60_000);
}

/// Reads a little at a time for longer than `write_timeout`, and then the rest.
fn read_steadily(mut client: Client, target: &str) {
    ask(&mut client, target);
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(6) {
        client.sip(4096).expect("more");
        thread::sleep(Duration::from_millis(20));
    }
    let answer = client.answer().expect("the rest");
    assert_eq!(answer.body.len(), MUCH, "{target}");
}

/// Bodies that the application returns whole, makes piece by piece, or writes.
const RESPONSES: [&str; 3] = [
    "/big?bytes=12000000",
    "/stream?pieces=120&bytes=100000",
    "/write?pieces=120&bytes=100000",
];

#[test]
fn a_reader_that_is_steady_gets_all_of_it() {
    let server = Server::new("steady readers")
        .lab()
        .threads(4)
        .args(&["--write-timeout", "2", "--timeout", "3"])
        .start();
    thread::scope(|scope| {
        for target in RESPONSES {
            let client = Client::connect_narrow(server.address()).expect("the server listens");
            scope.spawn(move || read_steadily(client, target));
        }
    });
}

#[test]
fn a_reader_that_is_steady_gets_all_of_it_over_tls() {
    let directory = TempDir::with_prefix("oxicorn-rates-").expect("a temporary directory");
    let authority = Authority::new(directory.path(), "authority");
    let flags = authority.certify("server").flags();
    let server = Server::new("steady readers over TLS")
        .lab()
        .threads(4)
        .args(&flags.each_ref().map(String::as_str))
        .args(&["--write-timeout", "2", "--timeout", "3"])
        .start();
    thread::scope(|scope| {
        for target in RESPONSES {
            let client = Client::connect_narrow(server.address()).expect("the server listens");
            let client = client.over_tls(&authority.client()).expect("TLS");
            scope.spawn(move || read_steadily(client, target));
        }
    });
}

#[test]
fn a_reader_that_is_steady_gets_all_of_it_over_a_unix_socket() {
    let builder = Server::new("steady readers over a Unix socket").lab();
    let socket = builder.dir().join("socket");
    let server = builder
        .bind(&format!("unix:{}", socket.display()))
        .threads(4)
        .args(&["--write-timeout", "2", "--timeout", "3"])
        .start();
    thread::scope(|scope| {
        for target in RESPONSES {
            let client = Client::connect_unix(&socket).expect("the server listens");
            scope.spawn(move || read_steadily(client, target));
        }
    });
    drop(server);
}

#[test]
fn who_takes_nothing_is_told_apart_by_the_log() {
    let server = Server::new("takes nothing")
        .lab()
        .args(&["--write-timeout", "1"])
        .start();
    let mut client = server.client();
    ask(&mut client, "/big?bytes=12000000");
    let line = server.log().wait_for("write_timeout");
    assert!(line.contains("127.0.0.1"), "{line}");
    assert!(client.answer().is_err(), "half a response is no answer");
}

/// The kernel has the whole response, and the client goes on sending while it reads: closing the connection now would
/// reset it and cut the response off.
#[test]
fn the_end_of_a_long_response_is_waited_for() {
    const LONG: usize = 1_500_000;
    let server = Server::new("the last of it")
        .lab()
        .args(&["--keep-alive", "1"])
        .start();
    for (target, follows) in [("/big-and-last", false), ("/big", true)] {
        let mut client = Client::connect_narrow(server.address()).expect("the server listens");
        ask(&mut client, &format!("{target}?bytes={LONG}"));
        let started = Instant::now();
        let mut asked = false;
        // Longer than `keepalive`, and longer than a client has to shut down its side.
        while started.elapsed() < Duration::from_secs(6) {
            client.sip(2048).expect("more");
            if started.elapsed() > Duration::from_secs(4) && !asked {
                asked = true;
                ask(&mut client, "/pid");
            }
            thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(
            client.answer().expect("the rest").body.len(),
            LONG,
            "{target}"
        );
        assert_eq!(client.answer().is_ok(), follows, "{target}");
    }
}
