//! A request as the application gets it: the head as the client sent it, and the whole body.
//!
//! The head is one buffer and a list of spans into it, so that a request needs no allocation when its buffers
//! are used again. Nothing is decoded here: the target keeps its percent-encoding.

use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;

pub use crate::body::Body;

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

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Peer {
    Tcp(SocketAddr),
    /// A Unix domain socket: the peer has no address.
    #[default]
    Unix,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix => f.write_str("a local client"),
        }
    }
}

/// The address that a client has connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Local {
    /// The address of the listener, or the one that a PROXY protocol header names.
    Tcp(SocketAddr),
    /// A Unix domain socket: only the client's `Host` field names the server.
    #[default]
    Unix,
}

/// How the client reached the server, or the proxy in front of it (RFC 9110 section 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scheme {
    #[default]
    Http,
    /// Over TLS: the server's own, or that of a trusted proxy.
    Https,
}

impl Scheme {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
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
}

impl RequestHead {
    /// Makes this a copy of `other`, and reuses its buffers.
    pub fn copy_from(&mut self, other: &Self) {
        self.bytes.clone_from(&other.bytes);
        self.fields.clone_from(&other.fields);
        (self.method, self.target) = (other.method, other.target);
        self.version = other.version;
    }

    /// The size of its buffers in bytes, used or not.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity() + self.fields.capacity() * size_of::<(Span, Span)>()
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

/// One request, with its whole body.
///
/// ```
/// use oxicorn_common::{Request, Response};
///
/// fn echo(request: &mut Request) -> Response {
///     if request.method() != "POST" {
///         return Response::new(http::StatusCode::METHOD_NOT_ALLOWED);
///     }
///     match request.body.read_all() {
///         Ok(body) => Response::new(http::StatusCode::OK).body(body.into_owned().into()),
///         Err(_) => Response::failure(),
///     }
/// }
///
/// let mut request = Request::default();
/// request.body = b"abc".to_vec().into();
/// assert_eq!(echo(&mut request).status, http::StatusCode::METHOD_NOT_ALLOWED);
/// ```
#[derive(Debug, Default)]
pub struct Request {
    pub head: RequestHead,
    pub body: Body,
    pub peer: Peer,
    pub local: Local,
    pub scheme: Scheme,
    /// Whether `peer` and `local` come from a PROXY protocol header: they are the addresses of the client and
    /// of the proxy that it has connected to, not those of the server's socket.
    pub proxied: bool,
    /// Whether the other end of the server's socket may speak for clients: it is one of
    /// `forwarded_allow_ips`, or uses a Unix socket.
    pub trusted: bool,
    /// Variables of the WSGI environment for the access log, which the application adds. Names are in lower
    /// case.
    pub logged: Vec<(String, String)>,
}

/// Shorthands for the same methods of the head.
impl Request {
    pub fn method(&self) -> &str {
        self.head.method()
    }

    pub fn path(&self) -> &str {
        self.head.path()
    }

    pub fn query(&self) -> Option<&str> {
        self.head.query()
    }

    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.head.field(name)
    }
}
