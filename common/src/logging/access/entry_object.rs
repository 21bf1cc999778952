//! A request as a JSON object, with the attribute names of OpenTelemetry's semantic conventions for HTTP servers.
//! What is not known has no member.

use crate::logging::child_facts;
use crate::logging::json_object::JsonObject;
use crate::logging::log_time::LogTime;
use crate::logging::request_tag::RequestTag;
use crate::request::{Peer, Version};

use super::basic_auth;
use super::entry::{AccessEntry, append_ip};

/// The methods of RFC 9110 and RFC 5789, which the conventions name. Any other is `_OTHER`.
const METHODS: [&str; 9] = [
    "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE",
];

impl AccessEntry<'_> {
    /// Appends the object, without a line feed.
    pub(super) fn append_object(&self, out: &mut Vec<u8>) {
        let mut object = JsonObject::begin(out);
        object.quoted("timestamp", |out| LogTime::now().append(out));
        self.describe_request(&mut object);
        object.number("http.response.status_code", self.status.into());
        object.number("http.response.body.size", self.body_bytes);
        object.seconds("http.server.request.duration", self.duration);
        if let Some(time) = self.proxy_queue {
            object.seconds("oxicorn.proxy_queue.duration", time);
        }
        object.seconds("oxicorn.queue.duration", self.queue);
        object.seconds("oxicorn.application.duration", self.application);
        object.seconds("oxicorn.send.duration", self.send());
        describe_peer(&mut object, "client.address", "client.port", self.peer);
        let (address, port) = ("network.peer.address", "network.peer.port");
        describe_peer(&mut object, address, port, self.sender);
        self.describe_fields(&mut object);
        RequestTag::of(self.head).describe(&mut object);
        child_facts::describe(&mut object, self.pid);
        object.end();
    }

    fn describe_request(&self, object: &mut JsonObject<'_>) {
        let head = self.head;
        let method = head.method();
        if METHODS.contains(&method) {
            object.text("http.request.method", method);
        } else {
            object.text("http.request.method", "_OTHER");
            if !method.is_empty() {
                object.text("http.request.method_original", method);
            }
        }
        if head.target().is_empty() {
            // It could not be read: there is no more than its first line.
            return object.octets("oxicorn.request.line", &head.bytes);
        }
        object.text("url.scheme", self.scheme.as_str());
        object.text("url.path", head.path());
        if let Some(query) = head.query().filter(|it| !it.is_empty()) {
            object.text("url.query", query);
        }
        let version = match head.version {
            Version::Http10 => "1.0",
            Version::Http11 => "1.1",
        };
        object.text("network.protocol.version", version);
    }

    /// The first field of each name counts.
    fn describe_fields(&self, object: &mut JsonObject<'_>) {
        let (mut host, mut agent, mut referer, mut user) = (None, None, None, None);
        for (name, value) in self.head.fields() {
            let (wanted, place) = match name.len() {
                4 => ("host", &mut host),
                7 => ("referer", &mut referer),
                10 => ("user-agent", &mut agent),
                13 => ("authorization", &mut user),
                _ => continue,
            };
            if place.is_none() && name.eq_ignore_ascii_case(wanted) {
                *place = Some(value);
            }
        }
        if let Some((host, port)) = host.map(split_host) {
            if !host.is_empty() {
                object.octets("server.address", host);
            }
            if let Some(port) = port {
                object.number("server.port", port.into());
            }
        }
        if let Some(agent) = agent {
            object.octets("user_agent.original", agent);
        }
        if let Some(referer) = referer {
            object.list_of_one("http.request.header.referer", referer);
        }
        if let Some(user) = user.and_then(basic_auth::user) {
            object.text("user.name", &user);
        }
    }
}

fn describe_peer(object: &mut JsonObject<'_>, address: &str, port: &str, peer: &Peer) {
    // A Unix socket has no address.
    if let Peer::Tcp(place) = peer {
        object.quoted(address, |out| append_ip(out, place.ip()));
        object.number(port, place.port().into());
    }
}

/// Host and port of the field `Host`, the brackets of an IPv6 address left out.
fn split_host(field: &[u8]) -> (&[u8], Option<u16>) {
    let colon = field.iter().rposition(|&it| it == b':');
    let colon = colon.filter(|&at| !field[at..].contains(&b']'));
    let (host, port) = match colon {
        Some(at) => (&field[..at], &field[at + 1..]),
        None => (field, &b""[..]),
    };
    let inside = host.strip_prefix(b"[").and_then(|it| it.strip_suffix(b"]"));
    let port = std::str::from_utf8(port)
        .ok()
        .and_then(|it| it.parse().ok());
    (inside.unwrap_or(host), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_may_have_a_port() {
        for (field, host, port) in [
            (&b"here"[..], &b"here"[..], None),
            (b"here:8000", b"here", Some(8000)),
            (b"[::1]", b"::1", None),
            (b"[::1]:80", b"::1", Some(80)),
            (b"here:", b"here", None),
            (b"here:99999", b"here", None),
            (b"", b"", None),
        ] {
            assert_eq!(split_host(field), (host, port));
        }
    }
}
