//! What the access log knows of one request, and the text of each atom of it.
//!
//! Values come from clients. As in gunicorn, quotation marks in them get a backslash, and bytes beyond ASCII
//! are taken for Latin-1 and written as UTF-8. Unlike gunicorn, backslashes are escaped too, and so is
//! everything that ends a line or controls a terminal (`escape.rs`).

use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

use super::atom::Atom;
use super::basic_auth;
use crate::logging::escape::Escape;
use crate::logging::json_object::{append_number, append_seconds};
use crate::logging::log_time::LogTime;
use crate::logging::{child_facts, date};
use crate::request::{Peer, RequestHead, Scheme, TraceContext, Version};
use crate::response::Field;

/// What the access log and statsd are given of one request.
#[derive(Debug, Clone, Copy)]
pub struct AccessEntry<'a> {
    pub head: &'a RequestHead,
    pub peer: &'a Peer,
    /// The other end of the socket, which is another one than `peer` if a PROXY header names that.
    pub sender: &'a Peer,
    pub scheme: Scheme,
    pub status: u16,
    /// The fields of the response, as the application set them.
    pub fields: &'a [Field],
    /// The field by which the server returns the id, unless `fields` has it too.
    pub id_field: Option<&'a str>,
    /// Variables that the application has added, names in lower case.
    pub variables: &'a [(String, String)],
    /// The length of the response's body, without its framing.
    pub body_bytes: u64,
    /// From when a thread took the request to the end of the response.
    pub duration: Duration,
    /// How long the whole request waited for a thread before.
    pub queue: Duration,
    /// How long it was at a trusted proxy before that, if the proxy has said so.
    pub proxy_queue: Option<Duration>,
    /// How much of `duration` the application took.
    pub application: Duration,
    pub pid: u32,
}

impl AccessEntry<'_> {
    pub(super) fn append(&self, out: &mut Vec<u8>, atom: &Atom, escape: Escape) {
        let head = self.head;
        let append_bytes = |out: &mut Vec<u8>, bytes: &[u8]| escape.append_bytes(out, bytes);
        match atom {
            Atom::PeerAddress => self.append_address(out),
            Atom::PeerPort => match self.peer {
                Peer::Tcp(address) => append_number(out, address.port().into()),
                Peer::Unix => out.push(b'-'),
            },
            Atom::User => {
                let user = head.field("authorization").and_then(basic_auth::user);
                escape.append_text(out, user.as_deref().unwrap_or("-"));
            }
            Atom::Date => date::append_access_date(out),
            Atom::RequestLine | Atom::Method | Atom::Target | Atom::Path | Atom::Protocol
                if head.target().is_empty() =>
            {
                self.append_refused(out, atom, escape);
            }
            Atom::RequestLine => {
                append_bytes(out, head.method().as_bytes());
                out.push(b' ');
                append_bytes(out, head.target().as_bytes());
                out.push(b' ');
                out.extend_from_slice(protocol(head.version));
            }
            Atom::Status => append_number(out, self.status.into()),
            Atom::Method => append_bytes(out, head.method().as_bytes()),
            Atom::Target => append_bytes(out, head.target().as_bytes()),
            Atom::Path => append_decoded(out, head.path().as_bytes(), escape),
            Atom::Query => append_bytes(out, head.query().unwrap_or_default().as_bytes()),
            Atom::Protocol => out.extend_from_slice(protocol(head.version)),
            Atom::BodyBytes => append_number(out, self.body_bytes),
            Atom::Seconds => append_number(out, self.duration.as_secs()),
            Atom::Milliseconds => append_number(out, whole(self.duration.as_millis())),
            Atom::Microseconds => append_number(out, whole(self.duration.as_micros())),
            Atom::DecimalSeconds => append_seconds(out, self.duration),
            Atom::QueueSeconds => append_seconds(out, self.queue),
            Atom::ProxyQueueSeconds => match self.proxy_queue {
                Some(time) => append_seconds(out, time),
                None => out.push(b'-'),
            },
            Atom::ApplicationSeconds => append_seconds(out, self.application),
            Atom::SendSeconds => append_seconds(out, self.send()),
            Atom::Timestamp => LogTime::now().append(out),
            Atom::RequestId => {
                let id = if head.id.is_empty() { "-" } else { &head.id };
                out.extend_from_slice(id.as_bytes());
            }
            Atom::TraceId | Atom::SpanId => {
                let trace = TraceContext::of(head);
                let part = trace.as_ref().map_or("-", |trace| match atom {
                    Atom::TraceId => trace.trace_id(),
                    _ => trace.span_id(),
                });
                out.extend_from_slice(part.as_bytes());
            }
            Atom::Age => append_number(out, child_facts::age()),
            Atom::Generation => append_number(out, child_facts::generation()),
            Atom::Object => self.append_object(out),
            Atom::Pid => {
                out.push(b'<');
                append_number(out, self.pid.into());
                out.push(b'>');
            }
            Atom::Scheme => out.extend_from_slice(self.scheme.as_str().as_bytes()),
            Atom::Variable(name) => {
                let mut variables = self.variables.iter();
                let found = variables.find(|(known, _)| known == name);
                escape.append_text(out, found.map_or("-", |(_, value)| value));
            }
            Atom::Constant(text) => out.extend_from_slice(text.as_bytes()),
            Atom::RequestField(name) => {
                append_bytes(out, named(head, name).last().unwrap_or(b"-"));
            }
            Atom::JoinedRequestField(name) => {
                append_joined(out, named(head, name), escape);
            }
            Atom::ResponseField(name) => {
                let mut fields = self.fields.iter().rev();
                let last = fields.find(|(key, _)| key.eq_ignore_ascii_case(name));
                let is_id = |field: &&str| field.eq_ignore_ascii_case(name) && !head.id.is_empty();
                let id = self.id_field.filter(is_id).map(|_| head.id.as_bytes());
                let value = last.map(|(_, value)| &**value).or(id);
                append_bytes(out, value.unwrap_or(b"-"));
            }
        }
    }

    /// How much of `duration` the client took for its response.
    pub(super) fn send(&self) -> Duration {
        self.duration.saturating_sub(self.application)
    }

    fn append_address(&self, out: &mut Vec<u8>) {
        // As in gunicorn, a peer without an address is an empty text.
        if let Peer::Tcp(address) = self.peer {
            append_ip(out, address.ip());
        }
    }

    /// A request that could not be parsed has a first line, and perhaps a method.
    fn append_refused(&self, out: &mut Vec<u8>, atom: &Atom, escape: Escape) {
        let text = match atom {
            Atom::RequestLine => &self.head.bytes,
            Atom::Method => self.head.method().as_bytes(),
            _ => b"",
        };
        escape.append_bytes(out, if text.is_empty() { b"-" } else { text });
    }
}

pub(super) fn append_ip(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(ip) => {
            for (index, octet) in ip.octets().into_iter().enumerate() {
                if index > 0 {
                    out.push(b'.');
                }
                append_number(out, octet.into());
            }
        }
        // Writing into memory cannot fail.
        IpAddr::V6(ip) => drop(write!(out, "{ip}")),
    }
}

/// All values of one name, with commas between them.
pub(super) fn append_joined<'a>(
    out: &mut Vec<u8>,
    values: impl IntoIterator<Item = &'a [u8]>,
    escape: Escape,
) {
    let mut values = values.into_iter();
    escape.append_bytes(out, values.next().unwrap_or(b"-"));
    for value in values {
        out.push(b',');
        escape.append_bytes(out, value);
    }
}

fn protocol(version: Version) -> &'static [u8] {
    match version {
        Version::Http10 => b"HTTP/1.0",
        Version::Http11 => b"HTTP/1.1",
    }
}

fn named<'a>(head: &'a RequestHead, name: &str) -> impl Iterator<Item = &'a [u8]> {
    head.fields()
        .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

pub(super) fn whole(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// A path with its percent-encoding decoded (RFC 3986 section 2.1).
fn append_decoded(out: &mut Vec<u8>, mut path: &[u8], escape: Escape) {
    let append_bytes = |out: &mut Vec<u8>, bytes: &[u8]| escape.append_bytes(out, bytes);
    while let Some(at) = path.iter().position(|&byte| byte == b'%') {
        append_bytes(out, &path[..at]);
        let digit = |index: usize| {
            path.get(index)
                .and_then(|&byte| char::from(byte).to_digit(16))
        };
        match (digit(at + 1), digit(at + 2)) {
            (Some(high), Some(low)) => {
                append_bytes(out, &[(high * 16 + low) as u8]);
                path = &path[at + 3..];
            }
            _ => {
                out.push(b'%');
                path = &path[at + 1..];
            }
        }
    }
    append_bytes(out, path);
}

#[cfg(test)]
mod tests;
