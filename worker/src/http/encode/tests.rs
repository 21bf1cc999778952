//! Heads and bodies as they are sent.

use super::*;

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const ASKED: ResponseContext<'_> = ResponseContext {
    id: None,
    limits: &[],
    version: Version::Http11,
    head_only: false,
    keep_alive: true,
};

fn encoded(response: &Response, asked: ResponseContext) -> (String, BodyFraming, bool) {
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
    assert_eq!((framed, keep_alive), (BodyFraming::Sized, true));
}

#[test]
fn head_tells_the_length_without_the_body() {
    let asked = ResponseContext {
        head_only: true,
        ..ASKED
    };
    let (head, framed, _) = encoded(&Response::text("1234567890"), asked);
    assert!(head.contains("Content-Length: 10\r\n"));
    assert_eq!(framed, BodyFraming::Bodiless);
}

#[test]
fn no_content_has_no_length() {
    let (head, framed, _) = encoded(&Response::new(StatusCode::NO_CONTENT), ASKED);
    assert!(!head.contains("Content-Length"));
    assert_eq!(framed, BodyFraming::Bodiless);
}

#[test]
fn a_reset_has_an_empty_content() {
    let mut stream = stream();
    stream.status = StatusCode::RESET_CONTENT;
    let mut text = Response::text("x").field("Content-Length", "1");
    text.status = StatusCode::RESET_CONTENT;
    for response in [stream, text, Response::new(StatusCode::RESET_CONTENT)] {
        for head_only in [false, true] {
            let asked = ResponseContext { head_only, ..ASKED };
            let (head, framed, keep_alive) = encoded(&response, asked);
            assert!(head.contains("Content-Length: 0\r\n"), "{head}");
            assert!(!head.contains("Transfer-Encoding"), "{head}");
            assert_eq!((framed, keep_alive), (BodyFraming::Bodiless, true));
        }
    }
}

#[test]
fn an_application_ends_the_connection_in_any_list() {
    for (value, closes) in [
        ("close", true),
        ("x, Close", true),
        ("CLOSE ,x", true),
        (",close,", true),
        ("keep-alive", false),
        ("closed", false),
        ("x close", false),
        ("", false),
    ] {
        let response = Response::text("x").field("CONNECTION", value);
        let (head, _, keep_alive) = encoded(&response, ASKED);
        assert_eq!(keep_alive, !closes, "{value}");
        assert_eq!(head.contains("Connection: close\r\n"), closes, "{value}");
        assert!(!head.contains("CONNECTION"), "{head}");
    }
    let twice = Response::text("x")
        .field("Connection", "x")
        .field("Connection", "close");
    assert!(!encoded(&twice, ASKED).2);
}

#[test]
fn only_426_says_what_to_upgrade_to() {
    let mut response = Response::text("x")
        .field("Upgrade", "a/1")
        .field("Upgrade", "b");
    let (head, ..) = encoded(&response, ASKED);
    assert!(!head.contains("pgrade"), "{head}");
    response.status = StatusCode::UPGRADE_REQUIRED;
    let (head, ..) = encoded(&response, ASKED);
    assert!(head.contains("Upgrade: a/1\r\nUpgrade: b\r\n"), "{head}");
    assert!(
        head.contains("Connection: keep-alive, upgrade\r\n"),
        "{head}"
    );
    let last = response.field("Connection", "Upgrade, close");
    let (head, ..) = encoded(&last, ASKED);
    assert!(head.contains("Connection: close, upgrade\r\n"), "{head}");
    let mut none = Response::text("x");
    none.status = StatusCode::UPGRADE_REQUIRED;
    assert!(
        encoded(&none, ASKED)
            .0
            .contains("Connection: keep-alive\r\n")
    );
}

#[test]
fn a_stream_is_chunked_or_ends_with_the_connection() {
    let (head, framed, keep_alive) = encoded(&stream(), ASKED);
    assert!(head.contains("Transfer-Encoding: chunked\r\n"));
    assert_eq!((framed, keep_alive), (BodyFraming::Chunked, true));
    let old = ResponseContext {
        version: Version::Http10,
        ..ASKED
    };
    let (head, framed, keep_alive) = encoded(&stream(), old);
    assert!(head.contains("Connection: close\r\n") && !head.contains("chunked"));
    assert_eq!((framed, keep_alive), (BodyFraming::UntilClose, false));
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
        let asked = ResponseContext { version, ..ASKED };
        let (head, framed, keep_alive) = encoded(&response(StatusCode::OK), asked);
        assert!(head.contains("Content-Length: 12\r\n") && !head.contains("chunked"));
        assert_eq!((framed, keep_alive), (BodyFraming::Sized, true));
    }
    let not_modified = encoded(&response(StatusCode::NOT_MODIFIED), ASKED);
    assert!(not_modified.0.contains("Content-Length: 12\r\n"));
    let none = encoded(&response(StatusCode::NO_CONTENT), ASKED);
    assert!(!none.0.contains("Content-Length"));
    assert_eq!(
        (not_modified.1, none.1),
        (BodyFraming::Bodiless, BodyFraming::Bodiless)
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
