//! Begins responses, both the application's and the server's own: the one place where a head is written for a
//! client.

use std::time::Duration;

use http::StatusCode;
use oxicorn_common::request::RequestHead;
use oxicorn_common::response::{Fields, Response, ResponseBody};

use super::writer::ResponseWriter;
use crate::http::encode::{BodyFraming, ResponseContext, ResponseError, encode_head};
use crate::request_ids::IdField;

/// A response whose head has been written.
#[derive(Debug)]
pub(crate) struct SentHead {
    pub(crate) framing: BodyFraming,
    pub(crate) keep_alive: bool,
    pub(crate) status: StatusCode,
    /// As the application set them, for the log.
    pub(crate) fields: Fields,
    /// Octets of the body so far.
    pub(crate) body_bytes: u64,
    /// How long the application has waited for the client to take what it wrote.
    pub(crate) waited: Duration,
}

impl ResponseWriter {
    /// Begins a response with its head. Writes nothing if the response must not be sent.
    pub(crate) fn begin(
        &mut self,
        response: &Response,
        context: ResponseContext<'_>,
        date: &str,
    ) -> Result<SentHead, ResponseError> {
        let (framing, keep_alive) = encode_head(self.buffer(), response, context, date)?;
        let length = match &response.body {
            ResponseBody::Stream(stream) => stream.length,
            _ => None,
        };
        self.begin_body(framing, length);
        Ok(SentHead {
            framing,
            keep_alive,
            status: response.status,
            fields: Fields::new(),
            body_bytes: 0,
            waited: Duration::ZERO,
        })
    }

    /// Writes a whole response of the server's own, after which the connection ends: the status with its reason
    /// phrase, and `advice` for the person who uses the client. `head` is that of the request, if it has one: a
    /// response to HEAD has no content (RFC 9110 section 9.3.2).
    pub(crate) fn begin_error(
        &mut self,
        status: StatusCode,
        advice: &str,
        head: Option<&RequestHead>,
        id: Option<IdField<'_>>,
        date: &str,
    ) -> SentHead {
        let (code, reason) = (status.as_str(), status.canonical_reason());
        let text = format!("{code} {}\n{advice}", reason.unwrap_or_default());
        let mut response = Response::new(status)
            .field("Content-Type", "text/plain")
            .body(ResponseBody::Bytes(text.into_bytes()));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            // By then another worker may have room (RFC 9110 section 10.2.3).
            response = response.field("Retry-After", "1");
        }
        let context = ResponseContext {
            version: Default::default(),
            head_only: head.is_some_and(|head| head.method() == "HEAD"),
            keep_alive: false,
            id,
            limits: &[],
        };
        let mut sent = self
            .begin(&response, context, date)
            .unwrap_or_else(|_| SentHead::empty(status));
        sent.count_body(self.add_body(std::mem::take(&mut response.body), sent.framing));
        sent.with_fields(response.fields)
    }
}

impl SentHead {
    /// Sets the fields that the application gave.
    pub(crate) fn with_fields(self, fields: Fields) -> Self {
        Self { fields, ..self }
    }

    /// Adds to the octets of the body.
    pub(crate) fn count_body(&mut self, octets: u64) {
        self.body_bytes += octets;
    }

    /// For the case that not even an error response can be written.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self {
            framing: BodyFraming::Bodiless,
            keep_alive: false,
            status,
            fields: Fields::new(),
            body_bytes: 0,
            waited: Duration::ZERO,
        }
    }
}
