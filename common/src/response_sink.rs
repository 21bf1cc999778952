//! [`ResponseSink`]: sends early hints, or parts of a response, before the application returns.

use std::io;

use crate::response::{Fields, Response};

/// Sends parts of a response before the application has returned it.
///
/// ```
/// use oxicorn_common::{App, EarlyOutput, Request, Response, ResponseSink};
///
/// struct Preloads;
///
/// impl App for Preloads {
///     fn call(&self, _request: &mut Request, sink: &mut ResponseSink<'_>) -> Response {
///         let hints = vec![("Link".into(), b"</style.css>; rel=preload".into())];
///         // If the client is gone, the response is not sent either.
///         let _ = sink.send(EarlyOutput::Hints(&hints));
///         Response::text("after a long computation")
///     }
/// }
/// ```
#[allow(
    missing_debug_implementations,
    reason = "a closure has nothing to show"
)]
pub struct ResponseSink<'a>(&'a mut (dyn FnMut(EarlyOutput<'_>) -> io::Result<()> + Send + 'a));

/// A part of a response that may be sent early.
#[derive(Debug)]
pub enum EarlyOutput<'a> {
    /// The fields of a 103 (RFC 8297), before any head. A client of HTTP/1.0 is not sent any.
    Hints(&'a Fields),
    /// The head of the response. Of its body only the length counts.
    Head(&'a Response),
    /// More of the body, after a head.
    Piece(&'a [u8]),
}

impl<'a> ResponseSink<'a> {
    /// `send` is the server's.
    pub fn new(send: &'a mut (dyn FnMut(EarlyOutput<'_>) -> io::Result<()> + Send + 'a)) -> Self {
        Self(send)
    }

    /// Sends at once, but waits while the client has much to take already. An error means that the client is
    /// gone, or that `output` may not be sent now.
    pub fn send(&mut self, output: EarlyOutput<'_>) -> io::Result<()> {
        (self.0)(output)
    }
}
