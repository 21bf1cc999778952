//! What becomes of a connection whose request is refused.

use tempfile::TempDir;

use super::{limited, use_up};
use crate::harness::{Authority, Client};

const RULES: &str = "api 1/h burst=3 path=/api\n";

#[test]
fn a_refused_request_leaves_the_connection_usable_if_its_body_has_come() {
    let server = limited("bodies", RULES).workers(2).start();
    use_up(&server, "/api", "");
    let mut client = server.client();
    for round in 0..3 {
        let answer = client.get("/api").expect("an answer");
        assert_eq!((answer.status, answer.closes()), (429, false), "{round}");
        let answer = client
            .request("POST", "/api", "", b"GET / HTTP/1.1\r\n\r\n")
            .expect("an answer");
        assert_eq!((answer.status, answer.closes()), (429, false), "{round}");
        let chunked = b"POST /api HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        client.send(chunked).expect("sent");
        let answer = client.answer().expect("an answer");
        assert_eq!((answer.status, answer.closes()), (429, false), "{round}");
        assert_eq!(client.get("/").expect("an answer").status, 200);
    }
}

#[test]
fn a_body_that_is_still_to_come_is_not_read() {
    let server = limited("rest", RULES).start();
    use_up(&server, "/api", "");
    for (framing, begun) in [
        ("Content-Length: 100000000\r\n", &b"begun"[..]),
        ("Content-Length: 10\r\n", b""),
        ("Content-Length: 10\r\nExpect: 100-continue\r\n", b""),
        ("Transfer-Encoding: chunked\r\n", b"5\r\nbeg"),
    ] {
        let mut client = server.client();
        client
            .send(format!("POST /api HTTP/1.1\r\nHost: a\r\n{framing}\r\n").as_bytes())
            .expect("sent");
        client.send(begun).expect("sent");
        // No 100 comes first, and the answer can be read although the client goes on sending.
        let answer = client.any_answer_to("POST").expect("an answer");
        assert_eq!((answer.status, answer.closes()), (429, true), "{framing}");
        let _ = client.send(&[b'x'; 100_000]);
        assert_eq!(client.rest().expect("the end"), b"", "{framing}");
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = limited("pipeline", RULES).workers(2).start();
    let mut client = server.client();
    let paths = [
        "/api", "/", "/api", "/api/x", "/api", "/", "/api", "/api", "/",
    ];
    let all: String = paths
        .map(|it| format!("GET {it} HTTP/1.1\r\nHost: a\r\n\r\n"))
        .concat();
    client.send(all.as_bytes()).expect("sent");
    let statuses = paths.map(|_| client.answer().expect("an answer").status);
    assert_eq!(statuses, [200, 200, 200, 200, 429, 200, 429, 429, 200]);
}

#[test]
fn http_1_0_and_tls_are_limited_alike() {
    let server = limited("old", RULES).start();
    use_up(&server, "/api", "");
    let mut client = server.client();
    client.send(b"GET /api HTTP/1.0\r\n\r\n").expect("sent");
    let answer = client.answer().expect("an answer");
    assert_eq!((answer.status, answer.closes()), (429, true));
    assert_eq!(client.rest().expect("the end"), b"");

    let folder = TempDir::with_prefix("oxicorn-limits-").expect("a temporary directory");
    let authority = Authority::new(folder.path(), "authority");
    let flags = authority.certify("server").flags();
    let flags = flags.each_ref().map(String::as_str);
    let server = limited("tls", RULES)
        .args(&flags)
        .start_with_unknown_workers();
    let statuses: Vec<u16> = (0..5)
        .map(|_| {
            let client = Client::connect_tls(server.address(), &authority.client());
            client
                .and_then(|mut it| it.get("/api"))
                .expect("an answer")
                .status
        })
        .collect();
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    let mut client =
        Client::connect_tls(server.address(), &authority.client()).expect("a connection");
    assert_eq!(client.get("/api").expect("an answer").status, 429);
    assert_eq!(client.get("/").expect("an answer").status, 200);
}
