//! Responses through a socket pair, as a client gets them.

use std::io::Read;
use std::sync::Arc;

use mio::net::UnixStream;
use oxicorn_common::request::{Local, Peer};
use oxicorn_common::scoreboard::{Claimant, SlotKind};
use oxicorn_common::{App, Scoreboard, Settings, message};

use http::StatusCode;

use super::*;
use crate::connection::RequestBuffers;
use crate::http::Rules;
use crate::socket::Socket;

const LONG: usize = 3 << 20;

fn shared(app: impl App) -> WorkerShared {
    let settings = Arc::new(Settings::default());
    let (sender, _receiver) = message::channel().expect("a pipe");
    let board = Scoreboard::new().expect("a mapping");
    board.claim(
        0,
        Claimant {
            kind: SlotKind::Worker,
            age: 1,
            generation: 1,
            threads: 1,
        },
    );
    WorkerShared::new(Box::new(app), settings, board, 0, Arc::new(sender)).expect("a format")
}

/// The client's bytes for `requests` if it reads only while the server cannot write.
fn converse(app: impl App, requests: &[u8]) -> Vec<u8> {
    let shared = shared(app);
    let rules = Rules::from(&*shared.settings);
    let mut handler = RequestHandler::new(&shared, 0);
    let (mut client, server) = UnixStream::pair().expect("a socket pair");
    let mut connection = Connection::new(Socket::Unix(server), Peer::Unix, Local::Unix);
    connection.lifecycle_mut().resume();
    let mut buffers = Box::<RequestBuffers>::default();
    buffers.input.refill(requests);
    connection.set_buffers(buffers);
    let (mut got, mut piece) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        match connection.state() {
            ConnectionState::Idle if connection.unread().is_empty() => break,
            ConnectionState::Idle => {
                connection.receive(&rules);
                let lifecycle = connection.lifecycle_mut();
                lifecycle.await_thread(ThreadWork::Respond, Instant::now());
            }
            ConnectionState::Ready(_) => {
                handler.serve(&mut connection, Instant::now());
            }
            ConnectionState::Sending(after) => {
                let count = client.read(&mut piece).expect("bytes to read");
                got.extend_from_slice(&piece[..count]);
                if connection.flush(after).expect("sent") == Flushed::NeedsPiece {
                    let lifecycle = connection.lifecycle_mut();
                    lifecycle.await_thread(ThreadWork::NextPiece(after), Instant::now());
                }
            }
            _ => break,
        }
    }
    drop(connection);
    client.read_to_end(&mut got).expect("the end");
    got
}

fn body_of(answer: &[u8]) -> (&str, &[u8]) {
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n");
    let (head, body) = answer.split_at(end.expect("a head") + 4);
    (std::str::from_utf8(head).expect("text"), body)
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const LAST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

#[test]
fn a_long_body_reaches_a_slow_reader_whole_time_and_again() {
    let app =
        |_: &mut Request| Response::new(StatusCode::OK).body(ResponseBody::Bytes(vec![b'x'; LONG]));
    let got = converse(app, &[GET, GET, LAST].concat());
    let heads = got.windows(9).filter(|it| it == b"HTTP/1.1 ").count();
    let octets = got.iter().filter(|&&byte| byte == b'x').count();
    // One more byte in each `Server: oxicorn`.
    assert_eq!((heads, octets), (3, 3 * (LONG + 1)));
}

#[test]
fn a_stream_is_made_as_the_client_takes_it() {
    let app = |_: &mut Request| {
        let pieces = (0..40).map(|_| Ok(vec![b'y'; 1 << 16].into()));
        Response::new(StatusCode::OK).body(ResponseBody::stream(Box::new(pieces)))
    };
    let got = converse(app, LAST);
    let (head, body) = body_of(&got);
    assert!(head.contains("Transfer-Encoding: chunked"), "{head}");
    assert!(body.ends_with(b"\r\n0\r\n\r\n"));
    assert_eq!(body.iter().filter(|&&byte| byte == b'y').count(), 40 << 16);
}

#[test]
fn a_panic_or_a_split_response_is_a_500_and_the_end() {
    let panics = |_: &mut Request| -> Response { panic!("in a test") };
    let splits = |_: &mut Request| Response::text("x").field("a", "b\r\nc: d");
    for got in [converse(panics, GET), converse(splits, GET)] {
        let (head, body) = body_of(&got);
        assert!(
            head.starts_with("HTTP/1.1 500 Internal Server Error\r\n"),
            "{head}"
        );
        assert!(
            head.contains("Connection: close\r\n") && !head.contains("c: d"),
            "{head}"
        );
        assert_eq!(body, b"Internal Server Error\n");
    }
}
