//! Responses on their way out: the head, and how the body is framed (RFC 9112 section 6).

use http::StatusCode;
use oxicorn_common::request::Version;
use oxicorn_common::response::{Fields, Response, ResponseBody};

use super::token::{is_forbidden_in_value, is_token};

/// What the response must know of its request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) version: Version,
    pub(crate) head_only: bool,
    pub(crate) keep_alive: bool,
}

/// How the body goes over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framed {
    /// There is none, whatever the application gave.
    Bodiless,
    Sized,
    Chunked,
    UntilClose,
}

/// What an application must not answer; the client gets a 500 instead.
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

/// Appends the head of `response` to `out` and says how its body is to follow.
pub(crate) fn encode_head(
    out: &mut Vec<u8>,
    response: &Response,
    asked: Asked,
    date: &str,
) -> Result<(Framed, bool), ResponseError> {
    let status = response.status;
    if status.is_informational() {
        return Err(ResponseError::Interim(status));
    }
    let own = OwnFields::check(response)?;
    let framed = frame(response, asked);
    let keep_alive = asked.keep_alive && !own.close && framed != Framed::UntilClose;

    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason_of(response));
    out.extend_from_slice(b"\r\n");
    if !own.server {
        out.extend_from_slice(b"Server: oxicorn\r\n");
    }
    if !own.date {
        put_field(out, "Date", date.as_bytes());
    }
    put_field(
        out,
        "Connection",
        if keep_alive { b"keep-alive" } else { b"close" },
    );
    for (name, value) in &response.fields {
        if !is_ours(name) {
            put_field(out, name, value);
        }
    }
    match (framed, &response.body) {
        (Framed::Chunked, _) => put_field(out, "Transfer-Encoding", b"chunked"),
        (Framed::UntilClose, _) => {}
        _ if status == StatusCode::NO_CONTENT => {}
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

fn frame(response: &Response, asked: Asked) -> Framed {
    if asked.head_only || has_no_content(response.status) {
        return Framed::Bodiless;
    }
    match (&response.body, asked.version) {
        (ResponseBody::Stream(stream), _) if stream.length.is_some() => Framed::Sized,
        (ResponseBody::Stream(_), Version::Http11) => Framed::Chunked,
        (ResponseBody::Stream(_), Version::Http10) => Framed::UntilClose,
        _ => Framed::Sized,
    }
}

/// Statuses that have no content at all (RFC 9110 section 6.4.1).
fn has_no_content(status: StatusCode) -> bool {
    status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}

/// Fields that only the server may set, as they frame the message or concern this connection alone
/// (RFC 9110 section 7.6.1).
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

/// The application's own words, or the usual ones (RFC 9112 section 4: it may be empty).
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

/// What the application said of fields that the server sets otherwise.
#[derive(Default)]
struct OwnFields {
    server: bool,
    date: bool,
    close: bool,
}

impl OwnFields {
    fn check(response: &Response) -> Result<Self, ResponseError> {
        let reason = response.reason.as_deref().unwrap_or_default();
        if reason.iter().copied().any(is_forbidden_in_value) {
            return Err(ResponseError::Reason);
        }
        let mut own = Self::default();
        for (name, value) in &response.fields {
            check_field(name, value)?;
            own.server |= name.eq_ignore_ascii_case("server");
            own.date |= name.eq_ignore_ascii_case("date");
            own.close |=
                name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case(b"close");
        }
        Ok(own)
    }
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

fn put_number(out: &mut Vec<u8>, number: u64) {
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
mod tests {
    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const ASKED: Asked = Asked {
        version: Version::Http11,
        head_only: false,
        keep_alive: true,
    };

    fn encoded(response: &Response, asked: Asked) -> (String, Framed, bool) {
        let mut out = Vec::new();
        let (framed, keep_alive) = encode_head(&mut out, response, asked, DATE).expect("valid");
        (String::from_utf8(out).expect("text"), framed, keep_alive)
    }

    fn stream() -> Response {
        Response::new(StatusCode::OK).body(ResponseBody::stream(Box::new(std::iter::empty())))
    }

    #[test]
    fn a_sized_body_has_its_length() {
        let (head, framed, keep_alive) = encoded(&Response::text("Hello, World!"), ASKED);
        assert_eq!(
            head,
            format!(
                "HTTP/1.1 200 OK\r\nServer: oxicorn\r\nDate: {DATE}\r\nConnection: keep-alive\r\n\
                 Content-Type: text/plain\r\nContent-Length: 13\r\n\r\n"
            )
        );
        assert_eq!((framed, keep_alive), (Framed::Sized, true));
    }

    #[test]
    fn head_tells_the_length_without_the_body() {
        let asked = Asked {
            head_only: true,
            ..ASKED
        };
        let (head, framed, _) = encoded(&Response::text("1234567890"), asked);
        assert!(head.contains("Content-Length: 10\r\n"));
        assert_eq!(framed, Framed::Bodiless);
    }

    #[test]
    fn no_content_has_no_length() {
        let (head, framed, _) = encoded(&Response::new(StatusCode::NO_CONTENT), ASKED);
        assert!(!head.contains("Content-Length"));
        assert_eq!(framed, Framed::Bodiless);
    }

    #[test]
    fn a_stream_is_chunked_or_ends_with_the_connection() {
        let (head, framed, keep_alive) = encoded(&stream(), ASKED);
        assert!(head.contains("Transfer-Encoding: chunked\r\n"));
        assert_eq!((framed, keep_alive), (Framed::Chunked, true));
        let old = Asked {
            version: Version::Http10,
            ..ASKED
        };
        let (head, framed, keep_alive) = encoded(&stream(), old);
        assert!(head.contains("Connection: close\r\n") && !head.contains("chunked"));
        assert_eq!((framed, keep_alive), (Framed::UntilClose, false));
    }

    #[test]
    fn the_application_cannot_frame_or_split_the_message() {
        let lies = Response::text("x")
            .field("Content-Length", "5")
            .field("connection", "close");
        let (head, _, keep_alive) = encoded(&lies, ASKED);
        assert!(head.contains("Content-Length: 1\r\n") && !head.contains(": 5"));
        assert!(!keep_alive);
        let mut out = Vec::new();
        for (name, value) in [
            ("a", "b\r\nc: d"),
            ("a", "b\0"),
            ("a\r\n", "b"),
            ("", "b"),
            ("a b", "c"),
        ] {
            let split = Response::text("x").field(name, value);
            assert!(
                encode_head(&mut out, &split, ASKED, DATE).is_err(),
                "{name:?} {value:?}"
            );
        }
    }

    #[test]
    fn a_stream_of_known_length_is_sized() {
        let response = |status: StatusCode| {
            let mut response = stream();
            response.status = status;
            if let ResponseBody::Stream(stream) = &mut response.body {
                stream.length = Some(12);
            }
            response
        };
        for version in [Version::Http10, Version::Http11] {
            let asked = Asked { version, ..ASKED };
            let (head, framed, keep_alive) = encoded(&response(StatusCode::OK), asked);
            assert!(head.contains("Content-Length: 12\r\n") && !head.contains("chunked"));
            assert_eq!((framed, keep_alive), (Framed::Sized, true));
        }
        let not_modified = encoded(&response(StatusCode::NOT_MODIFIED), ASKED);
        assert!(not_modified.0.contains("Content-Length: 12\r\n"));
        let none = encoded(&response(StatusCode::NO_CONTENT), ASKED);
        assert!(!none.0.contains("Content-Length"));
        assert_eq!(
            (not_modified.1, none.1),
            (Framed::Bodiless, Framed::Bodiless)
        );
    }

    #[test]
    fn a_reason_phrase_may_be_the_applications_own() {
        let mut response = Response::text("x");
        response.reason = Some((*b"Quite f\xefne").into());
        let mut out = Vec::new();
        encode_head(&mut out, &response, ASKED, DATE).expect("valid");
        assert!(out.starts_with(b"HTTP/1.1 200 Quite f\xefne\r\n"));
        response.reason = Some((*b"a\r\nb: c").into());
        let refused = encode_head(&mut out, &response, ASKED, DATE);
        assert_eq!(refused.err(), Some(ResponseError::Reason));
    }

    #[test]
    fn chunks_have_their_size_in_hexadecimal() {
        for size in [0, 1, 15, 16, 4096, 70_000] {
            let mut out = Vec::new();
            put_chunk(&mut out, &vec![b'x'; size]);
            let head = format!("{size:x}\r\n");
            assert!(
                size == 0 && out.is_empty() || out.starts_with(head.as_bytes()),
                "{size}"
            );
        }
    }

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 9, 10, 12345, u64::MAX] {
            let mut out = Vec::new();
            put_number(&mut out, number);
            assert_eq!(out, number.to_string().into_bytes());
        }
    }
}
