//! A response as the application makes it. The worker adds `Server`, `Date`, `Connection` and the framing
//! (`Content-Length` or chunked), and rejects fields that could split the response.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io;
use std::sync::Arc;

pub use http::StatusCode;

/// A field of a response: its name, and its value in octets as the client gets it.
pub type Field = (Cow<'static, str>, Cow<'static, [u8]>);

pub type Fields = Vec<Field>;

/// Status, fields and body.
///
/// ```
/// use http::StatusCode;
/// use oxicorn_common::{Response, ResponseBody};
///
/// let created = Response::json(StatusCode::CREATED, br#"{"id":7}"#.to_vec())
///     .field("Location", "/tasks/7");
/// assert_eq!(created.fields[1].0, "Location");
///
/// // A body that is made while the client takes it, piece by piece:
/// let pieces = (0..3).map(|n| Ok(format!("{n}\n").into_bytes().into()));
/// let stream = ResponseBody::stream(Box::new(pieces));
/// let counting = Response::new(StatusCode::OK).body(stream);
/// ```
#[derive(Debug)]
pub struct Response {
    pub status: StatusCode,
    /// Replaces the usual reason phrase.
    pub reason: Option<Box<[u8]>>,
    pub fields: Fields,
    pub body: ResponseBody,
}

/// What follows the head.
#[derive(Default)]
pub enum ResponseBody {
    #[default]
    Empty,
    Static(&'static [u8]),
    Bytes(Vec<u8>),
    /// Bytes that something else holds too, such as a cache.
    Shared(Arc<[u8]>),
    /// Bytes that belong to another runtime.
    Foreign(Foreign),
    Stream(BodyStream),
}

/// Bytes that their owner frees, such as an object of another language.
pub type Foreign = Box<dyn AsRef<[u8]> + Send + Sync>;

/// A body that is made while the client takes it.
pub struct BodyStream {
    /// Sent with the head.
    pub first: Option<Piece>,
    pub rest: Pieces,
    /// The length of the whole body in octets, if it is known. A longer body is cut, a shorter one ends the
    /// connection. Without a length the body is chunked; for HTTP/1.0 it ends with the connection.
    pub length: Option<u64>,
}

/// The pieces of a streamed body. The next one is asked for when the client has taken the last one. An error is
/// logged and ends the connection, so that the client can tell.
pub type Pieces = Box<dyn Iterator<Item = io::Result<Piece>> + Send>;

/// A part of a body.
pub enum Piece {
    Bytes(Vec<u8>),
    Foreign(Foreign),
    /// Only for a stream whose length is known: it is never chunked.
    File(FileRange),
}

/// A part of a file, which the kernel sends. The file's own position is not used.
#[derive(Debug)]
pub struct FileRange {
    pub file: File,
    /// In octets, as `length`.
    pub offset: u64,
    pub length: u64,
}

impl Response {
    pub fn new(status: StatusCode) -> Self {
        Self {
            status,
            reason: None,
            fields: Vec::new(),
            body: ResponseBody::Empty,
        }
    }

    /// A 200 of type `text/plain`.
    pub fn text(body: &'static str) -> Self {
        Self::new(StatusCode::OK)
            .field("Content-Type", "text/plain")
            .body(ResponseBody::Static(body.as_bytes()))
    }

    /// A response of type `application/json`; `body` is JSON already.
    pub fn json(status: StatusCode, body: impl Into<ResponseBody>) -> Self {
        Self::new(status)
            .field("Content-Type", "application/json")
            .body(body.into())
    }

    /// A 500 without the reason, which ends the connection.
    pub fn failure() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR)
            .field("Content-Type", "text/plain")
            .field("Connection", "close")
            .body(ResponseBody::Static(b"Internal Server Error\n"))
    }

    /// Adds a field.
    #[must_use]
    pub fn field(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Self {
        let value = match value.into() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        self.fields.push((name.into(), value));
        self
    }

    /// Replaces the body.
    #[must_use]
    pub fn body(mut self, body: ResponseBody) -> Self {
        self.body = body;
        self
    }
}

impl ResponseBody {
    /// A stream of unknown length.
    pub fn stream(rest: Pieces) -> Self {
        Self::Stream(BodyStream {
            first: None,
            rest,
            length: None,
        })
    }
}

impl From<Vec<u8>> for ResponseBody {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Arc<[u8]>> for ResponseBody {
    fn from(bytes: Arc<[u8]>) -> Self {
        Self::Shared(bytes)
    }
}

impl From<Vec<u8>> for Piece {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl Piece {
    /// In octets.
    pub fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Foreign(bytes) => (**bytes).as_ref().len() as u64,
            Self::File(range) => range.length,
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Static(bytes) => write!(f, "Static({} bytes)", bytes.len()),
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Self::Shared(bytes) => write!(f, "Shared({} bytes)", bytes.len()),
            Self::Foreign(bytes) => write!(f, "Foreign({} bytes)", (**bytes).as_ref().len()),
            Self::Stream(stream) => stream.fmt(f),
        }
    }
}

impl fmt::Debug for BodyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.length {
            Some(length) => write!(f, "Stream({length} bytes)"),
            None => f.write_str("Stream"),
        }
    }
}

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Piece({} bytes)", self.length())
    }
}
