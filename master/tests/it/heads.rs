//! Request heads: their limits, and the memory that is freed after large ones.

use crate::harness::{Client, Server, eventually};

/// A head of about `length` octets without its end.
fn begun(length: usize) -> Vec<u8> {
    let mut head = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
    let field = format!("X: {}\r\n", "a".repeat(8000));
    while head.len() + field.len() < length {
        head.extend_from_slice(field.as_bytes());
    }
    head
}

#[test]
fn a_head_is_limited_as_a_whole_and_refused_on_the_way() {
    let server = Server::new("431").start();
    let mut client = server.client();
    client.send(&begun(60_000)).expect("sent");
    client.send(b"\r\n").expect("sent");
    assert_eq!(client.answer().expect("an answer").status, 200);
    client.send(&begun(90_000)).expect("sent");
    let answer = client.answer().expect("an answer");
    assert_eq!((answer.status, answer.closes()), (431, true));
    server
        .log()
        .wait_for("the head is longer than limit_request_head");
}

#[test]
fn the_limit_of_a_head_is_a_setting_and_grows_with_those_of_its_lines() {
    for (arguments, length, status) in [
        (&["--limit-request-head", "20000"][..], 30_000, 431),
        (&["--limit-request-head", "200000"], 190_000, 200),
        (&["--limit-request-head", "0"], 500_000, 200),
        (&["--limit-request-field_size", "100000"], 190_000, 200),
        (&["--limit-request-field_size", "0"], 90_000, 431),
    ] {
        let server = Server::new("limit_request_head").args(arguments).start();
        let mut client = server.client();
        let mut head = begun(length);
        head.extend_from_slice(b"\r\n");
        client.send(&head).expect("sent");
        let answer = client.answer().expect("an answer");
        assert_eq!(answer.status, status, "{arguments:?}");
    }
}

#[test]
fn a_request_line_that_is_too_long_names_the_limit_that_it_is_over() {
    let (line, head) = (
        "the request line is longer than limit_request_line",
        "the request line is longer than limit_request_head",
    );
    for (arguments, length, message) in [
        (&[][..], 10_000, line),
        (&[], 90_000, line),
        (&["--limit-request-line", "0"], 90_000, head),
        (&["--limit-request-head", "500"], 600, head),
    ] {
        let server = Server::new("414").args(arguments).start();
        let mut client = server.client();
        let request = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(length));
        client.send(request.as_bytes()).expect("sent");
        assert_eq!(client.answer().expect("an answer").status, 414);
        server.log().wait_for(message);
    }
}

#[test]
fn a_burst_of_large_heads_leaves_little_behind() {
    let server = Server::new("large heads").start();
    let worker = server.children()[0];
    let resident = || worker.kib("VmRSS");
    for _ in 0..3 {
        assert_eq!(server.get("/").status, 200);
    }
    let before = resident();
    for _ in 0..2 {
        let mut clients: Vec<Client> = (0..300).map(|_| server.client()).collect();
        let head = begun(64_000);
        for client in &mut clients {
            client.send(&head).expect("sent");
        }
        eventually("the heads are there", || {
            (resident() > before + 300 * 64).then_some(())
        });
        for client in &mut clients {
            client.send(b"\r\n").expect("sent");
            assert_eq!(client.answer().expect("an answer").status, 200);
        }
        eventually("the memory is given back", || {
            (resident() < before + 4 * 1024).then_some(())
        });
    }
}
