//! A response as the application makes it. The worker adds `Server`, `Date`, `Connection` and the
//! framing (`Content-Length` or chunked), and refuses fields that could split the response.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::sync::Arc;

use http::StatusCode;

/// Status, fields and body.
#[derive(Debug)]
pub struct Response {
    pub status: StatusCode,
    pub fields: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    pub body: ResponseBody,
}

/// What follows the head.
#[derive(Default)]
pub enum ResponseBody {
    #[default]
    Empty,
    Static(&'static [u8]),
    Bytes(Vec<u8>),
    /// Bytes that others hold too, such as a cache.
    Shared(Arc<[u8]>),
    /// Pieces made as the client takes them: chunked, or to the end of the connection in HTTP/1.0.
    Stream(Pieces),
}

/// The pieces of a streamed body. An error ends the connection, so that the client can tell.
pub type Pieces = Box<dyn Iterator<Item = io::Result<Vec<u8>>> + Send>;

impl Response {
    pub fn new(status: StatusCode) -> Self {
        Self {
            status,
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

    /// A response of type `application/json` from bytes that are JSON already.
    pub fn json(status: StatusCode, body: impl Into<ResponseBody>) -> Self {
        Self::new(status)
            .field("Content-Type", "application/json")
            .body(body.into())
    }

    #[must_use]
    pub fn field(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    #[must_use]
    pub fn body(mut self, body: ResponseBody) -> Self {
        self.body = body;
        self
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

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Static(bytes) => write!(f, "Static({} bytes)", bytes.len()),
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Self::Shared(bytes) => write!(f, "Shared({} bytes)", bytes.len()),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}
