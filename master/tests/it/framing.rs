//! What applications may say about framing and connection, and what the server sends before a response: 100 and 103.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::sys::socket::{getsockopt, sockopt};

use crate::harness::{Client, Server, TIMEOUT};

#[test]
fn an_application_ends_the_connection_and_asks_for_an_upgrade() {
    let server = Server::new("connection options").lab().start();
    let ask = |target: &str| {
        let mut client = server.client();
        let answer = client.get(target).expect("an answer");
        let goes_on = client.get("/pid").is_ok();
        assert_eq!(answer.closes(), !goes_on, "{target}: {answer:?}");
        (goes_on, answer)
    };
    for list in ["close", "x,close", "Close,x", ",x,,CLOSE"] {
        assert!(!ask(&format!("/status?connection={list}")).0, "{list}");
    }
    for list in ["x", "keep-alive", "closed", "x;close"] {
        assert!(ask(&format!("/status?connection={list}")).0, "{list}");
    }
    let (goes_on, answer) = ask("/status?code=426&upgrade=TLS/1.3&bytes=3");
    assert!(goes_on);
    assert_eq!(answer.field("Upgrade"), Some("TLS/1.3"), "{answer:?}");
    assert_eq!(answer.field("Connection"), Some("keep-alive, upgrade"));
    let (goes_on, answer) = ask("/status?code=426&upgrade=TLS/1.3&connection=upgrade,close");
    assert!(!goes_on && answer.field("Upgrade").is_some(), "{answer:?}");
    let (_, answer) = ask("/status?code=200&upgrade=TLS/1.3");
    assert_eq!(answer.field("Upgrade"), None);
}

#[test]
fn a_205_has_no_content() {
    let server = Server::new("205").lab().start();
    let mut client = server.client();
    for bytes in [0, 5, 100_000] {
        let target = format!("/status?code=205&bytes={bytes}");
        let answer = client.get(&target).expect("an answer");
        assert_eq!(answer.field("Content-Length"), Some("0"), "{answer:?}");
        assert_eq!(client.get("/pid").expect("the next answer").status, 200);
    }
}

/// An answer of `size` octets is not read yet, and the next request expects `100 Continue`: checks that this arrives,
/// and then the answer.
pub(crate) fn is_asked_for_its_body(
    stream: &mut (impl Read + Write),
    size: usize,
    settled: impl Fn(),
) -> io::Result<()> {
    let big = format!("GET /big?bytes={size} HTTP/1.1\r\nHost: a\r\n\r\n");
    let echo =
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all((big + echo).as_bytes())?;
    settled();
    read_until(stream, b"HTTP/1.1 100 Continue\r\n\r\n")?;
    stream.write_all(b"abc")?;
    read_until(stream, b"\r\n\r\nabc")
}

fn read_until(stream: &mut impl Read, end: &[u8]) -> io::Result<()> {
    let mut said = Vec::new();
    let mut piece = [0; 16 * 1024];
    while !said.ends_with(end) {
        let count = stream.read(&mut piece)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        said.extend_from_slice(&piece[..count]);
    }
    Ok(())
}

/// Sizes of answers. Some of them fit the socket's buffer, but nothing fits behind them.
pub(crate) fn sizes_that_fill(socket: &UnixStream) -> impl Iterator<Item = usize> + use<> {
    let room = getsockopt(socket, sockopt::SndBuf).expect("a socket");
    (room * 17 / 20..room * 11 / 10).step_by(500)
}

pub(crate) fn connect(socket: &Path) -> UnixStream {
    let stream = UnixStream::connect(socket).expect("the server listens");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a socket");
    stream
}

#[test]
fn who_waits_for_100_continue_gets_it_behind_a_full_socket() {
    let server = Server::new("100 behind")
        .lab()
        .bind("unix:app.sock")
        .start();
    let socket = server.dir().join("app.sock");
    // One thread: when another client has its answer, the request before it has been handled.
    let settled = || {
        let mut other = Client::connect_unix(&socket).expect("the server listens");
        assert_eq!(other.get("/pid").expect("an answer").status, 200);
    };
    for size in sizes_that_fill(&connect(&socket)) {
        let mut stream = connect(&socket);
        let asked = is_asked_for_its_body(&mut stream, size, settled);
        asked.unwrap_or_else(|error| panic!("{size} octets: {error}"));
    }
}
