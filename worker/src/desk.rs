//! Where one request thread works: takes a connection that is ready, runs the application for it,
//! and sends what the client takes at once.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::Instant;

use http::StatusCode;
use log::{debug, error};
use oxicorn_common::request::{Body, Request};
use oxicorn_common::response::{Response, ResponseBody};

use crate::connection::{Connection, Phase, Then};
use crate::exchange::Exchange;
use crate::http::date::DateCache;
use crate::http::encode::{Asked, encode_head};
use crate::outgoing::Flushed;
use crate::station::Station;

pub(crate) struct Desk<'a> {
    station: &'a Station,
    index: usize,
    date: DateCache,
    /// A buffer that goes from response to response, warm in the cache.
    spare: Vec<u8>,
}

impl<'a> Desk<'a> {
    pub(crate) fn new(station: &'a Station, index: usize) -> Self {
        station.seats[index].claim();
        Self {
            station,
            index,
            date: DateCache::new(),
            spare: Vec::new(),
        }
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Answers the request that is whole, or goes on with the response that wants its next piece.
    /// It is `started` now, as the caller knows from the clock; returns when it ended.
    pub(crate) fn serve(&mut self, connection: &mut Connection, started: Instant) -> Instant {
        let slot = self.station.slot();
        let board = &slot.seats[self.index];
        // The time of the last beat is near enough, and saves reading another clock.
        board
            .started
            .store(slot.heartbeat.load(Ordering::Relaxed), Ordering::Relaxed);
        if connection.outgoing.has_pieces() {
            self.resume(connection, started);
        } else {
            self.answer(connection, started);
        }
        board.started.store(0, Ordering::Relaxed);
        let ended = Instant::now();
        if let Some(exchange) = connection.exchange.as_ref()
            && !connection.outgoing.has_pieces()
        {
            let latency = ended.saturating_duration_since(exchange.started);
            board.record(exchange.status, exchange.body_bytes, latency);
            if connection.phase != Phase::Sending {
                connection.conclude(self.station, ended);
            }
        }
        ended
    }

    fn answer(&mut self, connection: &mut Connection, started: Instant) {
        let Some(buffers) = connection.buffers.as_mut() else {
            connection.phase = Phase::Dead;
            return;
        };
        let seat = &self.station.seats[self.index];
        let intake = &mut buffers.intake;
        let mut request = Request {
            head: std::mem::take(&mut intake.head),
            body: std::mem::take(&mut intake.body),
            peer: connection.peer,
            local: connection.local,
            scheme: intake.scheme,
            proxied: connection.proxied,
            trusted: connection.sender.trusted,
        };
        seat.occupy(
            &connection.stream,
            started,
            request.head.method(),
            request.head.path(),
        );
        let mut response = self.call(&mut request);
        let asked = Asked {
            version: request.head.version,
            head_only: request.head.method() == "HEAD",
            keep_alive: intake.framing.keep_alive
                && !self.station.settings.keepalive.is_zero()
                && !self.station.closing.load(Ordering::Relaxed)
                && !(connection.stream.is_tls() && self.station.is_draining()),
        };
        let outgoing = &mut connection.outgoing;
        std::mem::swap(&mut outgoing.bytes, &mut self.spare);
        outgoing.reset();
        let date = self.date.at(started);
        let (framed, keep_alive) = match encode_head(&mut outgoing.bytes, &response, asked, date) {
            Ok(encoded) => encoded,
            Err(reason) => {
                error!(
                    "Error handling request {} {}: {reason}",
                    request.method(),
                    request.path()
                );
                outgoing.reset();
                response = failure();
                encode_head(&mut outgoing.bytes, &response, asked, date)
                    .unwrap_or((crate::http::encode::Framed::Bodiless, false))
            }
        };
        let streams = matches!(response.body, ResponseBody::Stream(_));
        let in_time = if streams {
            seat.answer()
        } else {
            seat.vacate()
        };
        if !in_time {
            connection.give_up();
            return;
        }
        connection.then = match (keep_alive, buffers.inbox.is_empty()) {
            (true, _) => Then::KeepAlive,
            // Over TLS a client may say goodbye too, which closing would answer with a reset.
            (false, true) if !intake.framing.keep_alive && !connection.stream.is_tls() => {
                Then::Close
            }
            (false, _) => Then::Linger,
        };
        let body_bytes = outgoing.attach(response.body, framed);
        intake.head = request.head;
        intake.body = Body::default();
        connection.exchange = Some(Exchange {
            started,
            status: response.status.as_u16(),
            fields: response.fields,
            body_bytes,
        });
        self.station.count_request();
        self.send(connection);
        if streams && !seat.vacate() {
            connection.give_up();
        }
        if connection.outgoing.bytes.is_empty() {
            std::mem::swap(&mut connection.outgoing.bytes, &mut self.spare);
        }
    }

    /// Goes on with a streamed response whose last piece the client has taken.
    fn resume(&mut self, connection: &mut Connection, started: Instant) {
        let seat = &self.station.seats[self.index];
        if let Some(buffers) = &connection.buffers {
            let head = &buffers.intake.head;
            seat.occupy(&connection.stream, started, head.method(), head.path());
            seat.answer();
        }
        self.send(connection);
        if !seat.vacate() {
            connection.give_up();
        }
    }

    /// Runs the application; a panic is a 500.
    fn call(&self, request: &mut Request) -> Response {
        let app = &self.station.app;
        match catch_unwind(AssertUnwindSafe(|| app.call(request))) {
            Ok(response) => response,
            Err(panic) => {
                let (method, path) = (request.head.method(), request.head.path());
                error!(
                    "Error handling request {method} {path}: panic: {}",
                    panic_text(&*panic)
                );
                failure()
            }
        }
    }

    /// Sends until the client takes no more, running the application for each piece.
    fn send(&mut self, connection: &mut Connection) {
        connection.phase = loop {
            match connection.outgoing.flush(&connection.stream) {
                Ok(Flushed::Done) => break Phase::after(connection.then),
                Ok(Flushed::Blocked) => break Phase::Sending,
                Ok(Flushed::Yielded) => {
                    connection.eager = true;
                    break Phase::Sending;
                }
                Ok(Flushed::NeedsPiece) => {}
                Err(reason) => {
                    debug!("the client is gone: {reason}");
                    break Phase::Dead;
                }
            }
            let made = catch_unwind(AssertUnwindSafe(|| connection.outgoing.make_piece()));
            match made {
                Ok(None) => {}
                Ok(Some(Ok(octets))) => {
                    if let Some(exchange) = &mut connection.exchange {
                        exchange.body_bytes += octets;
                    }
                }
                Ok(Some(Err(reason))) => {
                    error!("Error making the response body: {reason}");
                    break Phase::Dead;
                }
                Err(panic) => {
                    error!(
                        "Error making the response body: panic: {}",
                        panic_text(&*panic)
                    );
                    break Phase::Dead;
                }
            }
        };
    }
}

fn failure() -> Response {
    Response::new(StatusCode::INTERNAL_SERVER_ERROR)
        .field("Content-Type", "text/plain")
        .field("Connection", "close")
        .body(ResponseBody::Static(b"Internal Server Error\n"))
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("of an unknown type")
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::Arc;

    use mio::net::UnixStream;
    use oxicorn_common::request::{Local, Peer};
    use oxicorn_common::{App, Scoreboard, Settings, message};

    use super::*;
    use crate::connection::Buffers;
    use crate::http::Rules;
    use crate::stream::Stream;

    const LONG: usize = 3 << 20;

    fn station(app: impl App) -> Station {
        let settings = Arc::new(Settings::default());
        let (sender, _receiver) = message::channel().expect("a pipe");
        let board = Scoreboard::new().expect("a mapping");
        board.claim(0, 0, 1, 1);
        Station::new(Box::new(app), settings, board, 0, Arc::new(sender)).expect("a format")
    }

    /// What the client gets for `requests` when it reads only while the server cannot write.
    fn converse(app: impl App, requests: &[u8]) -> Vec<u8> {
        let station = station(app);
        let rules = Rules::from(&*station.settings);
        let mut desk = Desk::new(&station, 0);
        let (mut client, server) = UnixStream::pair().expect("a socket pair");
        let mut connection = Connection::new(Stream::Unix(server), Peer::Unix, Local::Unix);
        let mut buffers = Box::<Buffers>::default();
        buffers.inbox.refill(requests);
        let (mut got, mut piece) = (Vec::new(), vec![0; 1 << 16]);
        while connection.phase != Phase::Dead {
            match connection.phase {
                Phase::Receiving if buffers.inbox.is_empty() => break,
                Phase::Receiving => {
                    connection.receive(&mut buffers, &rules);
                    connection.buffers = Some(std::mem::take(&mut buffers));
                    desk.serve(&mut connection, Instant::now());
                }
                Phase::Sending => {
                    let count = client.read(&mut piece).expect("bytes to read");
                    got.extend_from_slice(&piece[..count]);
                    connection.phase = match connection.outgoing.flush(&connection.stream) {
                        Ok(Flushed::Done) => Phase::after(connection.then),
                        Ok(Flushed::NeedsPiece) => Phase::Ready,
                        Ok(_) => Phase::Sending,
                        Err(error) => panic!("{error}"),
                    };
                }
                Phase::Ready => {
                    desk.serve(&mut connection, Instant::now());
                }
                Phase::Lingering | Phase::Dead => break,
            }
            if connection.phase == Phase::Receiving
                && let Some(used) = connection.buffers.take()
            {
                buffers = used;
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
        let app = |_: &mut Request| {
            Response::new(StatusCode::OK).body(ResponseBody::Bytes(vec![b'x'; LONG]))
        };
        let got = converse(app, &[GET, GET, LAST].concat());
        let heads = got.windows(9).filter(|it| it == b"HTTP/1.1 ").count();
        let octets = got.iter().filter(|&&byte| byte == b'x').count();
        // One more in each `Server: oxicorn`.
        assert_eq!((heads, octets), (3, 3 * (LONG + 1)));
    }

    #[test]
    fn a_stream_is_made_as_the_client_takes_it() {
        let app = |_: &mut Request| {
            let pieces = (0..40).map(|_| Ok(vec![b'y'; 1 << 16]));
            Response::new(StatusCode::OK).body(ResponseBody::Stream(Box::new(pieces)))
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
}
