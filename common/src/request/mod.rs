//! A request as the application gets it: the head as the client sent it, the whole body, and how the client is
//! connected.

mod endpoints;
mod head;
mod request_id;
mod trace_context;

pub use crate::body::Body;
pub use endpoints::{Local, Peer, Scheme};
pub use head::{RequestHead, Span, Version};
pub use request_id::RequestId;
pub use trace_context::TraceContext;

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

/// Shorthands for the head.
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

    /// The id of the request: that of a trusted peer, or a new one. `None` unless the setting `request_id` is on.
    pub fn id(&self) -> Option<&str> {
        Some(self.head.id.as_str()).filter(|id| !id.is_empty())
    }

    /// The trace that the request belongs to, if its field `traceparent` is valid.
    pub fn trace_context(&self) -> Option<TraceContext> {
        TraceContext::of(&self.head)
    }
}
