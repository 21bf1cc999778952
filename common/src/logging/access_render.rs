//! One access line: the atoms of a request, written into a buffer that is used again.
//!
//! Values come from clients. As in gunicorn, quotation marks in them get a backslash, and bytes
//! beyond ASCII are taken for Latin-1 and written as UTF-8. Unlike gunicorn, backslashes get one too,
//! and nothing stays that ends a line or commands a terminal (`escape.rs`).

use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

use super::access_format::{AccessFormat, Atom, Padding, Part};
use super::date;
use super::escape::{Escape, cut};
use crate::request::{Peer, RequestHead, Scheme, Version};
use crate::response::Field;

/// What there is to say about one request.
#[derive(Debug, Clone, Copy)]
pub struct AccessEntry<'a> {
    pub head: &'a RequestHead,
    pub peer: &'a Peer,
    pub scheme: Scheme,
    pub status: u16,
    /// The fields of the response, as the application set them.
    pub fields: &'a [Field],
    /// What the application has told of its environment, names in lower case.
    pub variables: &'a [(String, String)],
    /// How long the body of the response was, without its framing.
    pub body_bytes: u64,
    /// From the whole head to the end of the response.
    pub duration: Duration,
    pub pid: u32,
}

impl AccessFormat {
    /// Appends the line of `entry`, line feed included.
    pub fn render(&self, out: &mut Vec<u8>, entry: &AccessEntry<'_>) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Value(value) => {
                    let start = out.len();
                    entry.append(out, &value.atom, self.escape);
                    if value.padding != Padding::default() {
                        pad(out, start, value.padding);
                    }
                }
            }
        }
        out.push(b'\n');
    }
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
            Atom::User => append_user(out, head.field("authorization"), escape),
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
            Atom::DecimalSeconds => {
                append_number(out, self.duration.as_secs());
                let digits = 1_000_000 + u64::from(self.duration.subsec_micros());
                let start = out.len();
                append_number(out, digits);
                out[start] = b'.';
            }
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
                append_bytes(out, last.map_or(b"-", |(_, value)| value));
            }
        }
    }

    fn append_address(&self, out: &mut Vec<u8>) {
        match self.peer {
            Peer::Tcp(address) => match address.ip() {
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
            },
            // A peer without an address is an empty text in gunicorn too.
            Peer::Unix => {}
        }
    }

    /// Of a request that could not be read there is the first line, and perhaps a method.
    fn append_refused(&self, out: &mut Vec<u8>, atom: &Atom, escape: Escape) {
        let text = match atom {
            Atom::RequestLine => &self.head.bytes,
            Atom::Method => self.head.method().as_bytes(),
            _ => b"",
        };
        escape.append_bytes(out, if text.is_empty() { b"-" } else { text });
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

fn whole(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn append_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// A path, its percent-encoding undone (RFC 3986 section 2.1).
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

/// The user of `Authorization: Basic` (RFC 7617 section 2).
fn append_user(out: &mut Vec<u8>, authorization: Option<&[u8]>, escape: Escape) {
    let decoded = authorization.and_then(basic_credentials);
    let user = decoded.as_deref().and_then(|credentials| {
        let user = credentials.split(|&byte| byte == b':').next()?;
        std::str::from_utf8(user).ok()
    });
    escape.append_text(out, user.filter(|user| !user.is_empty()).unwrap_or("-"));
}

fn basic_credentials(authorization: &[u8]) -> Option<Vec<u8>> {
    let space = authorization.iter().position(|&byte| byte == b' ')?;
    let (scheme, rest) = authorization.split_at(space);
    match scheme.eq_ignore_ascii_case(b"basic") {
        true => decode_base64(rest.trim_ascii()),
        false => None,
    }
}

/// RFC 4648 section 4.
fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.strip_suffix(b"==").or(text.strip_suffix(b"="));
    let digits = digits.unwrap_or(text);
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len());
    let (mut bits, mut count) = (0u32, 0);
    for &digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}

/// Fits what stands behind `start` to its width, in characters; it is cut between those that it had
/// before it was escaped.
pub(super) fn pad(out: &mut Vec<u8>, start: usize, padding: Padding) {
    if let Some(most) = padding.most {
        let length = cut(&out[start..], most);
        out.truncate(start + length);
    }
    let is_start = |byte: &&u8| **byte & 0xc0 != 0x80;
    let length = out[start..].iter().filter(is_start).count();
    let missing = padding.width.saturating_sub(length);
    let fill = if padding.zeros { b'0' } else { b' ' };
    out.resize(out.len() + missing, fill);
    if !padding.left {
        out[start..].rotate_right(missing);
    }
}

#[cfg(test)]
mod tests;
