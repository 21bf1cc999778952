//! The server starts, answers and stops.

use crate::harness::{Client, Controller, Server, eventually};

#[test]
fn hello_is_answered_and_nothing_is_left() {
    let server = Server::new("hello").workers(2).start();
    let mut client = server.client();
    for _ in 0..3 {
        let answer = client.get("/").expect("an answer");
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "Hello, World!")
        );
        assert!(!answer.closes());
        assert!(answer.field("Date").is_some() && answer.field("Server").is_some());
    }
}

#[test]
fn the_log_reads_like_gunicorns() {
    let server = Server::new("log").workers(2).start();
    let address = server.address();
    let pid = server.master().0;
    let line = server.log().wait_for("Listening at: ");
    assert!(
        line.contains(&format!(
            "[{pid}] [INFO] Listening at: http://{address} ({pid})"
        )),
        "{line}"
    );
    server.log().wait_for("[INFO] Starting oxicorn ");
    for child in server.children() {
        server
            .log()
            .wait_for(&format!("Booting worker with pid: {}", child.0));
    }
}

#[test]
fn three_lines_are_a_server() {
    let server = Server::new("three lines").example("three_lines").start();
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn a_panic_is_a_500_and_the_worker_goes_on() {
    let mut server = Server::new("panic").lab().start();
    server.tolerate("panic");
    let pid = server.get("/pid").number();
    let answer = server.get("/panic");
    assert_eq!(answer.status, 500);
    assert!(
        !answer.text().contains("on purpose"),
        "the client learns the reason"
    );
    server.log().wait_for("on purpose");
    assert_eq!(server.get("/pid").number(), pid);
}

#[test]
fn a_response_that_could_be_split_is_a_500() {
    let mut server = Server::new("bad header").lab().start();
    server.tolerate("/bad-header");
    let answer = server.get("/bad-header");
    assert_eq!(answer.status, 500);
    assert_eq!(answer.field("Smuggled"), None);
}

#[test]
fn a_stream_goes_in_chunks_or_to_the_end_of_the_connection() {
    let server = Server::new("stream").lab().start();
    let answer = server.get("/stream?pieces=5&bytes=1000");
    assert_eq!(answer.field("Transfer-Encoding"), Some("chunked"));
    assert_eq!(answer.body.len(), 5000);
    let mut old = Client::connect(server.address()).expect("a connection");
    old.send(b"GET /stream?pieces=5&bytes=1000 HTTP/1.0\r\n\r\n")
        .expect("sent");
    let answer = old.answer().expect("an answer");
    assert_eq!(answer.field("Transfer-Encoding"), None);
    assert_eq!(answer.body.len(), 5000);
}

#[test]
fn a_stream_that_fails_is_cut_off() {
    let mut server = Server::new("broken stream").lab().start();
    server.tolerate("Error making the response body");
    server.tolerate("panicked");
    for target in [
        "/stream?pieces=5&bytes=10&fail=3",
        "/stream?pieces=5&bytes=10&panic=3",
    ] {
        let error = server.client().get(target).expect_err("no end of the body");
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{error}");
    }
    assert_eq!(server.get("/pid").status, 200);
}

#[test]
fn a_client_that_waits_for_100_continue_gets_it() {
    let server = Server::new("continue").lab().start();
    let mut client = server.client();
    client
        .send(
            b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        )
        .expect("sent");
    assert_eq!(client.any_answer_to("POST").expect("an answer").status, 100);
    client.send(b"hello").expect("sent");
    assert_eq!(client.answer().expect("an answer").text(), "hello");
}

/// Octets that nobody has read would make the close a reset, which may cost the client its answer.
#[test]
fn a_client_that_goes_on_after_connection_close_meets_no_reset() {
    let server = Server::new("more after close").lab().start();
    let gate = server.dir().join("gate");
    let mut control = Controller::of(&server);
    let mut client = server.client();
    let target = format!("/hold?until={}", gate.display());
    let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    client.send(head.as_bytes()).expect("sent");
    eventually("it runs", || {
        let status = control.call("status").expect("told");
        (status["requests"]["active"] == 1).then_some(())
    });
    client
        .send(b"GET /pid HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("sent");
    std::fs::write(&gate, "").expect("a gate");
    let answer = client.answer().expect("an answer");
    assert!(answer.status == 200 && answer.closes(), "{answer:?}");
    assert_eq!(client.rest().expect("the end"), b"");
}
