//! Streams: one that keeps sending may last for ever, a stuck one is ended after `timeout`.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use crate::harness::{Client, Server};

fn ask(client: &mut Client, target: &str, version: &str) {
    client
        .send(format!("GET {target} HTTP/{version}\r\nHost: a\r\n\r\n").as_bytes())
        .expect("sent");
}

#[test]
fn a_stream_may_last_longer_than_timeout() {
    let server = Server::new("long streams")
        .lab()
        .threads(2)
        .args(&["--timeout", "2"])
        .start();
    let children = server.children();
    let mut clients = ["/stream", "/write"].map(|target| {
        let mut client = server.client();
        ask(&mut client, &format!("{target}?pieces=20&ms=300"), "1.1");
        client
    });
    for client in &mut clients {
        assert_eq!(client.answer().expect("all of it").body.len(), 20);
    }
    assert_eq!(server.children(), children, "nobody was replaced");
}

#[test]
fn a_stream_that_is_stuck_in_a_piece_is_cut() {
    for target in ["/stream", "/write"] {
        for version in ["1.1", "1.0"] {
            let mut server = Server::new("stuck stream")
                .lab()
                // Naming the stack takes time on a busy machine, and the drain waits for it.
                .args(&["--timeout", "1", "--graceful-timeout", "30"])
                .start();
            server.tolerate("");
            let old = server.children();
            let mut client = server.client();
            let started = Instant::now();
            ask(&mut client, &format!("{target}?pieces=9&stuck=4"), version);
            let error = client.answer().expect_err("half a response is no answer");
            assert!(started.elapsed() >= Duration::from_secs(1), "{error}");
            // If the read timed out, the connection would still be open.
            assert_ne!(error.kind(), ErrorKind::WouldBlock, "{target} {version}");
            let line = server.log().wait_for("timed out");
            assert!(line.contains(&format!("GET {target}")), "{line}");
            assert!(line.contains("without another piece"), "{line}");
            // The stack names the place.
            server.log().wait_for("sleep");
            server.wait_for_others(&old, 1);
            assert_eq!(server.get("/").status, 200);
        }
    }
}

#[test]
fn the_wait_for_a_slow_client_is_not_the_applications_time() {
    let server = Server::new("slow client")
        .lab()
        .args(&["--timeout", "1"])
        .start();
    let children = server.children();
    for target in ["/write", "/stream"] {
        let mut client = Client::connect_narrow(server.address()).expect("the server listens");
        ask(
            &mut client,
            &format!("{target}?pieces=120&bytes=100000"),
            "1.1",
        );
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(4) {
            client.sip(2048).expect("more");
            std::thread::sleep(Duration::from_millis(20));
        }
        let answer = client.answer().expect("the rest");
        assert_eq!(answer.body.len(), 12_000_000);
    }
    assert_eq!(server.children(), children, "nobody was replaced");
}
