//! Entries as JSON objects.

use super::{AccessFormat, head, render_with};

/// The server's own object.
fn object(text: &str) -> serde_json::Value {
    let format = AccessFormat::json(AccessFormat::DEFAULT).expect("a format");
    let line = render_with(&format.expect("JSON"), &head(text));
    serde_json::from_str(&line).expect(&line)
}

#[test]
fn an_object_has_what_is_known() {
    let mut value = object(
        "PROPFIND /a%20b?x=1 HTTP/1.0\nHost: [::1]:80\nUser-Agent: caf\u{c3}\u{a9}\nReferer: \u{e9}\n\
         Authorization: Basic bWU6c2VjcmV0\n",
    );
    let time = value["timestamp"].take();
    assert_eq!(time.as_str().map(str::len), Some(27));
    assert_eq!(
        value,
        serde_json::json!({
            "timestamp": null,
            "http.request.method": "_OTHER",
            "http.request.method_original": "PROPFIND",
            "url.scheme": "https",
            "url.path": "/a%20b",
            "url.query": "x=1",
            "network.protocol.version": "1.0",
            "http.response.status_code": 201,
            "http.response.body.size": 1234,
            "http.server.request.duration": 2.003004,
            "oxicorn.proxy_queue.duration": 0.007,
            "oxicorn.queue.duration": 0.0015,
            "oxicorn.application.duration": 2.0,
            "oxicorn.send.duration": 0.003004,
            "client.address": "192.0.2.17",
            "client.port": 4711,
            "network.peer.address": "10.0.0.1",
            "network.peer.port": 80,
            "server.address": "::1",
            "server.port": 80,
            "user_agent.original": "caf\u{e9}",
            "http.request.header.referer": ["\u{e9}"],
            "user.name": "me",
            "request_id": "id-1",
            "process.pid": 99,
        })
    );
    let bare = object("GET / HTTP/1.1\n");
    for absent in [
        "url.query",
        "server.address",
        "user_agent.original",
        "trace_id",
    ] {
        assert_eq!(bare.get(absent), None);
    }
}
