//! Responses on their way out: the head, and how the body is framed (RFC 9112 section 6).

use http::StatusCode;
use oxicorn_common::request::Version;
use oxicorn_common::response::{Response, ResponseBody};

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
    out.extend_from_slice(status.canonical_reason().unwrap_or("Unknown").as_bytes());
    out.extend_from_slice(b"\r\n");
    if !own.server {
        out.extend_from_slice(b"Server: oxicorn\r\n");
    }
    if !own.date {
        put_field(out, "Date", date);
    }
    put_field(
        out,
        "Connection",
        if keep_alive { "keep-alive" } else { "close" },
    );
    for (name, value) in &response.fields {
        if !is_ours(name) {
            put_field(out, name, value);
        }
    }
    match (framed, &response.body) {
        (Framed::Chunked, _) => put_field(out, "Transfer-Encoding", "chunked"),
        (Framed::UntilClose, _) | (_, ResponseBody::Stream(_)) => {}
        _ if has_no_content(status) => {}
        (_, body) => {
            out.extend_from_slice(b"Content-Length: ");
            put_number(out, sized(body).len());
            out.extend_from_slice(b"\r\n");
        }
    }
    out.extend_from_slice(b"\r\n");
    Ok((framed, keep_alive))
}

/// The bytes of a body whose length is known.
pub(crate) fn sized(body: &ResponseBody) -> &[u8] {
    match body {
        ResponseBody::Static(bytes) => bytes,
        ResponseBody::Bytes(bytes) => bytes,
        ResponseBody::Shared(bytes) => bytes,
        ResponseBody::Empty | ResponseBody::Stream(_) => &[],
    }
}

/// Appends `data` as one chunk. An empty piece is no chunk: that would end the body.
pub(crate) fn put_chunk(out: &mut Vec<u8>, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    out.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// The chunk that ends a body.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

fn frame(response: &Response, asked: Asked) -> Framed {
    if asked.head_only || has_no_content(response.status) {
        return Framed::Bodiless;
    }
    match (&response.body, asked.version) {
        (ResponseBody::Stream(_), Version::Http11) => Framed::Chunked,
        (ResponseBody::Stream(_), Version::Http10) => Framed::UntilClose,
        _ => Framed::Sized,
    }
}

/// Statuses that have no content at all (RFC 9110 section 6.4.1).
fn has_no_content(status: StatusCode) -> bool {
    status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}

/// Fields that only the server may set, as they frame the message.
fn is_ours(name: &str) -> bool {
    match name.len() {
        10 => name.eq_ignore_ascii_case("connection") || name.eq_ignore_ascii_case("keep-alive"),
        14 => name.eq_ignore_ascii_case("content-length"),
        17 => name.eq_ignore_ascii_case("transfer-encoding"),
        _ => false,
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
        let mut own = Self::default();
        for (name, value) in &response.fields {
            if !is_token(name) {
                return Err(ResponseError::Name(name.to_string()));
            }
            if value.bytes().any(is_forbidden_in_value) {
                return Err(ResponseError::Value(name.to_string()));
            }
            own.server |= name.eq_ignore_ascii_case("server");
            own.date |= name.eq_ignore_ascii_case("date");
            own.close |=
                name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case("close");
        }
        Ok(own)
    }
}

fn put_field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn put_number(out: &mut Vec<u8>, number: usize) {
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
        Response::new(StatusCode::OK).body(ResponseBody::Stream(Box::new(std::iter::empty())))
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
    fn numbers_are_decimal() {
        for number in [0, 9, 10, 12345, usize::MAX] {
            let mut out = Vec::new();
            put_number(&mut out, number);
            assert_eq!(out, number.to_string().into_bytes());
        }
    }
}
