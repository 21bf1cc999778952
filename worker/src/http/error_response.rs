//! Answers that the server gives in place of the application.

use http::StatusCode;
use oxicorn_common::request::RequestHead;
use oxicorn_common::response::{Response, ResponseBody};

use super::encode::{ResponseContext, encode_head};
use crate::response_writer::ResponseWriter;

/// An answer after which the connection ends.
#[derive(Debug)]
pub(crate) struct ErrorResponse {
    pub(crate) response: Response,
    pub(crate) writer: ResponseWriter,
    pub(crate) body_bytes: u64,
}

impl ErrorResponse {
    /// The status with its reason phrase, and `advice` for the person at the other end. `head` is that
    /// of the request, if it has one: what answers HEAD has no content (RFC 9110 section 9.3.2).
    pub(crate) fn new(
        status: StatusCode,
        advice: &str,
        head: Option<&RequestHead>,
        date: &str,
    ) -> Self {
        let (code, reason) = (status.as_str(), status.canonical_reason());
        let text = format!("{code} {}\n{advice}", reason.unwrap_or_default());
        let mut response = Response::new(status)
            .field("Content-Type", "text/plain")
            .body(ResponseBody::Bytes(text.into_bytes()));
        let asked = ResponseContext {
            version: Default::default(),
            head_only: head.is_some_and(|head| head.method() == "HEAD"),
            keep_alive: false,
        };
        let mut writer = ResponseWriter::default();
        let mut body_bytes = 0;
        if let Ok((framed, _)) = encode_head(&mut writer.bytes, &response, asked, date) {
            let body = std::mem::take(&mut response.body);
            body_bytes = writer.attach(body, framed);
        }
        Self {
            response,
            writer,
            body_bytes,
        }
    }
}
