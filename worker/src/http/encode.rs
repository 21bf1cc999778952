//! Writes the head of a response, and decides how its body is framed (RFC 9112 section 6).

use http::StatusCode;
use oxicorn_common::request::Version;
use oxicorn_common::response::{Fields, Response, ResponseBody};

use super::server_field;
use super::token::{is_forbidden_in_value, is_token};
use crate::request_ids::IdField;

/// The properties of a request that its response depends on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResponseContext<'a> {
    pub(crate) version: Version,
    pub(crate) head_only: bool,
    pub(crate) keep_alive: bool,
    /// Returned in the response, unless the application sets the same field.
    pub(crate) id: Option<IdField<'a>>,
    /// Whole lines about rate limits. A redirection has none: a client might wait before it follows (section 6 of
    /// draft-ietf-httpapi-ratelimit-headers).
    pub(crate) limits: &'a [u8],
}

/// How the body goes over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyFraming {
    /// There is no body, whatever the application returned.
    Bodiless,
    Sized,
    Chunked,
    UntilClose,
}

/// A response that an application must not give; the client gets a 500 instead.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum ResponseError {
    #[error("the response field name {0:?} is not a token")]
    Name(String),
    #[error("the value of the response field {0} has a control character")]
    Value(String),
    #[error("the reason phrase has a control character")]
    Reason,
    #[error("{0} is not a final status")]
    Interim(StatusCode),
}

/// Appends the head of `response` to `out` and returns the framing of its body.
pub(crate) fn encode_head(
    out: &mut Vec<u8>,
    response: &Response,
    asked: ResponseContext<'_>,
    date: &str,
) -> Result<(BodyFraming, bool), ResponseError> {
    let status = response.status;
    if status.is_informational() {
        return Err(ResponseError::Interim(status));
    }
    let own = OwnFields::check(response, asked.id)?;
    let framed = frame(response, asked);
    let keep_alive = asked.keep_alive && !own.close && framed != BodyFraming::UntilClose;

    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason_of(response));
    out.extend_from_slice(b"\r\n");
    if !own.server {
        out.extend_from_slice(server_field::line());
    }
    if !own.date {
        put_field(out, "Date", date.as_bytes());
    }
    let upgrades = own.upgrade && status == StatusCode::UPGRADE_REQUIRED;
    let options: &[u8] = match (keep_alive, upgrades) {
        (true, false) => b"keep-alive",
        (false, false) => b"close",
        (true, true) => b"keep-alive, upgrade",
        (false, true) => b"close, upgrade",
    };
    put_field(out, "Connection", options);
    if let Some(IdField { name, id }) = asked.id.filter(|_| !own.id) {
        put_field(out, name, id.as_bytes());
    }
    if !asked.limits.is_empty() && !status.is_redirection() {
        out.extend_from_slice(asked.limits);
    }
    for (name, value) in &response.fields {
        if !is_ours(name) || (upgrades && name.eq_ignore_ascii_case("upgrade")) {
            put_field(out, name, value);
        }
    }
    match (framed, &response.body) {
        (BodyFraming::Chunked, _) => put_field(out, "Transfer-Encoding", b"chunked"),
        (BodyFraming::UntilClose, _) => {}
        _ if status == StatusCode::NO_CONTENT => {}
        _ if status == StatusCode::RESET_CONTENT => put_length(out, 0),
        (_, ResponseBody::Stream(stream)) => {
            if let Some(length) = stream.length {
                put_length(out, length);
            }
        }
        _ if has_no_content(status) => {}
        (_, body) => {
            put_length(out, sized(body).len() as u64);
        }
    }
    out.extend_from_slice(b"\r\n");
    Ok((framed, keep_alive))
}

/// The interim response that a client with `Expect: 100-continue` waits for (RFC 9110 section 10.1.1).
pub(crate) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Appends a 103 with `fields` (RFC 8297).
pub(crate) fn encode_hints(out: &mut Vec<u8>, fields: &Fields) -> Result<(), ResponseError> {
    for (name, value) in fields {
        check_field(name, value)?;
    }
    out.extend_from_slice(b"HTTP/1.1 103 Early Hints\r\n");
    for (name, value) in fields.iter().filter(|(name, _)| !is_ours(name)) {
        put_field(out, name, value);
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// The bytes of a body whose length is known.
pub(crate) fn sized(body: &ResponseBody) -> &[u8] {
    match body {
        ResponseBody::Static(bytes) => bytes,
        ResponseBody::Bytes(bytes) => bytes,
        ResponseBody::Shared(bytes) => bytes,
        ResponseBody::Foreign(bytes) => (**bytes).as_ref(),
        ResponseBody::Empty | ResponseBody::Stream(_) => &[],
    }
}

/// Appends `data` as one chunk. An empty piece is no chunk: that would end the body.
pub(crate) fn put_chunk(out: &mut Vec<u8>, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    put_chunk_size(out, data.len());
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

fn put_chunk_size(out: &mut Vec<u8>, mut size: usize) {
    let mut digits = [0; 16];
    let mut at = digits.len();
    while size > 0 {
        at -= 1;
        digits[at] = b"0123456789abcdef"[size % 16];
        size /= 16;
    }
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
}

/// The chunk that ends a body.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

fn frame(response: &Response, asked: ResponseContext<'_>) -> BodyFraming {
    let is_reset = response.status == StatusCode::RESET_CONTENT;
    if asked.head_only || has_no_content(response.status) || is_reset {
        return BodyFraming::Bodiless;
    }
    match (&response.body, asked.version) {
        (ResponseBody::Stream(stream), _) if stream.length.is_some() => BodyFraming::Sized,
        (ResponseBody::Stream(_), Version::Http11) => BodyFraming::Chunked,
        (ResponseBody::Stream(_), Version::Http10) => BodyFraming::UntilClose,
        _ => BodyFraming::Sized,
    }
}

/// Statuses whose response ends with the head (RFC 9110 section 6.4.1); a 205 has an empty content.
fn has_no_content(status: StatusCode) -> bool {
    status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}

/// Fields that only the server may set, because they frame the message or concern this connection alone
/// (RFC 9110 section 7.6.1). 426 keeps `Upgrade`, which it must have (section 15.5.22).
fn is_ours(name: &str) -> bool {
    let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
    match name.len() {
        2 => is("te"),
        7 => is("trailer") || is("upgrade"),
        8 => is("trailers"),
        10 => is("connection") || is("keep-alive"),
        14 => is("content-length"),
        17 => is("transfer-encoding"),
        _ => false,
    }
}

/// The application's own reason phrase, or the usual one (RFC 9112 section 4: it may be empty).
fn reason_of(response: &Response) -> &[u8] {
    match &response.reason {
        Some(own) => own,
        None => response
            .status
            .canonical_reason()
            .unwrap_or("Unknown")
            .as_bytes(),
    }
}

/// What the application's fields say about fields that the server sets itself.
#[derive(Default)]
struct OwnFields {
    server: bool,
    date: bool,
    close: bool,
    upgrade: bool,
    id: bool,
}

impl OwnFields {
    fn check(response: &Response, id: Option<IdField<'_>>) -> Result<Self, ResponseError> {
        let reason = response.reason.as_deref().unwrap_or_default();
        if reason.iter().copied().any(is_forbidden_in_value) {
            return Err(ResponseError::Reason);
        }
        let mut own = Self::default();
        for (name, value) in &response.fields {
            check_field(name, value)?;
            own.server |= name.eq_ignore_ascii_case("server");
            own.date |= name.eq_ignore_ascii_case("date");
            own.upgrade |= name.eq_ignore_ascii_case("upgrade");
            own.id |= id.is_some_and(|it| name.eq_ignore_ascii_case(it.name));
            own.close |= name.eq_ignore_ascii_case("connection") && has_option(value, b"close");
        }
        Ok(own)
    }
}

/// Whether the list in a `Connection` field has that option (RFC 9110 section 7.6.1).
fn has_option(list: &[u8], option: &[u8]) -> bool {
    let mut options = list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    options.any(|it| it.eq_ignore_ascii_case(option))
}

fn check_field(name: &str, value: &[u8]) -> Result<(), ResponseError> {
    if !is_token(name) {
        return Err(ResponseError::Name(name.to_owned()));
    }
    if value.iter().copied().any(is_forbidden_in_value) {
        return Err(ResponseError::Value(name.to_owned()));
    }
    Ok(())
}

fn put_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn put_length(out: &mut Vec<u8>, octets: u64) {
    out.extend_from_slice(b"Content-Length: ");
    put_number(out, octets);
    out.extend_from_slice(b"\r\n");
}

/// Appends `number` in decimal.
pub(crate) fn put_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests;
