//! Refusals before a head has come: nothing of another client's request is in their lines and figures.

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Authority, Client, Server, eventually};

const VICTIM: &str = "the-id-of-the-victim";

/// What comes before a head is refused without one, whoever was served before with the same buffers.
#[test]
fn a_refusal_before_the_head_shows_nothing_of_another_request() {
    let authority = TempDir::with_prefix("oxicorn-ids-").expect("a temporary directory");
    let authority = Authority::new(authority.path(), "authority");
    let identity = authority.certify("server");
    let tls = identity.flags();
    let tls = tls.each_ref().map(String::as_str);
    for (flags, nonsense, method) in [
        (
            &["--proxy-protocol"][..],
            "PROXY TCP4 x y\r\n\r\n",
            "_OTHER",
        ),
        (&tls, "GET /plain HTTP/1.1\r\nHost: a\r\n\r\n", "GET"),
    ] {
        let builder = Server::new("early refusal")
            .lab()
            .args(&["--request-id", "on"])
            .args(flags);
        let server = builder
            .args(&["--access-logfile", "-", "--access-log-json"])
            .args(&["--admin-bind", "unix:admin.sock"])
            .start_with_unknown_workers();
        let mut victim = match flags.len() {
            1 => server.client(),
            _ => Client::connect_tls(server.address(), &authority.client()).expect("a connection"),
        };
        let fields = format!(
            "User-Agent: victim\r\nAuthorization: Basic bWU6c2VjcmV0\r\nX-Request-ID: {VICTIM}\r\n"
        );
        let answer = victim
            .request("DELETE", "/id?secret", &fields, b"")
            .expect("an answer");
        assert_eq!(answer.status, 200);
        let mut stranger = Client::connect(server.address()).expect("a connection");
        stranger.send(nonsense.as_bytes()).expect("sent");
        let answer = stranger.answer().expect("an answer");
        assert_eq!(answer.status, 400);
        let id = answer.field("X-Request-ID").expect("an id").to_owned();
        assert_eq!(id.len(), 32, "it is a new one");
        let line = server.out().wait_for(&format!("\"{id}\""));
        let line: Value = serde_json::from_str(&line).expect(&line);
        assert_eq!(line["http.request.method"], method, "{line}");
        for absent in [
            "url.path",
            "url.query",
            "user_agent.original",
            "user.name",
            "server.address",
        ] {
            assert_eq!(line.get(absent), None, "{line}");
        }
        let first = nonsense.split("\r\n").next().expect("a line");
        assert_eq!(line["oxicorn.request.line"], first);
        for line in server.log().lines() {
            assert!(!line.contains(VICTIM), "{line}");
        }
        let mut admin =
            Client::connect_unix(&server.dir().join("admin.sock")).expect("a connection");
        let is_refusal = |line: &&str| {
            line.starts_with("oxicorn_requests_total{") && line.contains("code=\"400\"")
        };
        // A response is counted when it has been sent.
        let refused = eventually("the refusal", || {
            let metrics = admin.get("/metrics").expect("an answer").text();
            metrics.lines().find(is_refusal).map(str::to_owned)
        });
        assert!(
            refused.contains("method=\"other\"") || refused.contains("method=\"GET\""),
            "{refused}"
        );
    }
}
