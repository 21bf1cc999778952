//! The head of a request: one buffer, and a list of spans into it.
//!
//! A request needs no allocation when these are used again. Nothing is decoded here: the target keeps its
//! percent-encoding.

use std::fmt;
use std::ops::Range;

/// Larger buffers of a head are freed after the request, in bytes.
const USUAL: usize = 16 * 1024;

/// The versions of HTTP that the server speaks (RFC 9112 section 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    Http10,
    #[default]
    Http11,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
        })
    }
}

/// A part of the head's buffer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

impl Span {
    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// The request line and the header fields, validated by the worker's parser.
#[derive(Debug, Default)]
pub struct RequestHead {
    /// The bytes that the spans point into.
    pub bytes: Vec<u8>,
    pub method: Span,
    pub target: Span,
    pub version: Version,
    /// Name and value of each field line, in the order received. Those that `header_map` drops remain in
    /// `bytes` only.
    pub fields: Vec<(Span, Span)>,
    /// The id of the request (`RequestId`); empty if requests have none.
    pub id: String,
}

impl RequestHead {
    /// Makes this a copy of `other`, and reuses its buffers.
    pub fn copy_from(&mut self, other: &Self) {
        self.bytes.clone_from(&other.bytes);
        self.fields.clone_from(&other.fields);
        (self.method, self.target) = (other.method, other.target);
        self.version = other.version;
        self.id.clone_from(&other.id);
    }

    /// The size of its buffers in bytes, used or not.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity() + self.fields.capacity() * size_of::<(Span, Span)>()
    }

    /// Forgets the request, and keeps the buffers.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.fields.clear();
        self.id.clear();
        (self.method, self.target) = (Span::default(), Span::default());
        self.version = Version::default();
    }

    /// Frees the buffers if they are unusually large. Others stay as they are.
    pub fn shed(&mut self) {
        if self.capacity() > USUAL {
            *self = Self::default();
        }
    }

    /// The bytes of `span`; the parser admits only ASCII to method, target and field names.
    fn text(&self, span: Span) -> &str {
        std::str::from_utf8(&self.bytes[span.range()]).unwrap_or_default()
    }

    /// The octets of [`RequestHead::method`], which are not checked again.
    pub fn method_octets(&self) -> &[u8] {
        &self.bytes[self.method.range()]
    }

    /// The octets of [`RequestHead::path`].
    pub fn path_octets(&self) -> &[u8] {
        let target = &self.bytes[self.target.range()];
        if !target.starts_with(b"/") {
            return self.path().as_bytes();
        }
        let end = target.iter().position(|&byte| byte == b'?' || byte == b'#');
        &target[..end.unwrap_or(target.len())]
    }

    pub fn method(&self) -> &str {
        self.text(self.method)
    }

    /// The request target as sent: origin-form, absolute-form or `*` (RFC 9112 section 3.2).
    pub fn target(&self) -> &str {
        self.text(self.target)
    }

    /// The path of the target, still percent-encoded; `*` stays `*`.
    pub fn path(&self) -> &str {
        self.split_target().0
    }

    /// The part of the target after the first `?`, if there is one.
    pub fn query(&self) -> Option<&str> {
        self.split_target().1
    }

    /// All field lines in order: the name as sent, the value without surrounding white space.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields
            .iter()
            .map(|&(name, value)| (self.text(name), &self.bytes[value.range()]))
    }

    /// [`RequestHead::fields`] with the octets of the names, which are not checked again.
    pub fn field_octets(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let octets = |span: Span| &self.bytes[span.range()];
        let fields = self.fields.iter();
        fields.map(move |&(name, value)| (octets(name), octets(value)))
    }

    /// The value of the first field line of that name; case does not matter.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    fn split_target(&self) -> (&str, Option<&str>) {
        let target = self.target();
        // Origin-form first: it is what nearly every request has.
        let rest = if target.starts_with('/') {
            target
        } else if let Some((_, authority)) = target.split_once("://") {
            let path = authority.find(['/', '?']);
            path.map_or("/", |at| &authority[at..])
        } else {
            target
        };
        let end_of = |part: &str, is_end: fn(u8) -> bool| {
            part.bytes().position(is_end).unwrap_or(part.len())
        };
        let (path, rest) = rest.split_at(end_of(rest, |byte| byte == b'?' || byte == b'#'));
        let query = rest.strip_prefix('?');
        let query = query.map(|query| &query[..end_of(query, |byte| byte == b'#')]);
        (if path.is_empty() { "/" } else { path }, query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_octets_are_those_of_the_text() {
        for target in [
            "/",
            "/a%20b?c#d",
            "/a#b?c",
            "*",
            "http://a/b?c",
            "http://a?c",
            "",
        ] {
            let head = RequestHead {
                bytes: format!("GET {target}").into_bytes(),
                method: Span { start: 0, end: 3 },
                target: Span {
                    start: 4,
                    end: 4 + target.len() as u32,
                },
                ..RequestHead::default()
            };
            assert_eq!(head.path_octets(), head.path().as_bytes(), "{target}");
            assert_eq!(head.method_octets(), head.method().as_bytes());
        }
    }
}
