//! Responses of the admin process. None of them may be stored, framed, or taken for another type than their own.

use http::StatusCode;
use oxicorn_common::Response;

use crate::access::AccessDenied;

const ALLOWED: &str = "GET, HEAD";

/// A response with a body that was made for it.
pub(crate) fn reply(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Response {
    Response::new(status)
        .field("Content-Type", content_type)
        .field("Cache-Control", "no-store")
        .field("X-Content-Type-Options", "nosniff")
        .field("X-Frame-Options", "DENY")
        .field("Cross-Origin-Resource-Policy", "same-origin")
        .body(body.into())
}

pub(crate) fn json(status: StatusCode, text: &str) -> Response {
    reply(status, "application/json", format!("{text}\n").into_bytes())
}

fn text(status: StatusCode, text: &str) -> Response {
    let body = format!("{text}\n").into_bytes();
    reply(status, "text/plain; charset=utf-8", body)
}

pub(crate) fn not_found() -> Response {
    text(StatusCode::NOT_FOUND, "Not Found")
}

pub(crate) fn method_not_allowed() -> Response {
    text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed").field("Allow", ALLOWED)
}

impl AccessDenied {
    pub(crate) fn reply(self) -> Response {
        // RFC 6750 section 3: the error is named only to a client that has sent a token.
        let (reason, challenge) = match self {
            Self::NoToken => (
                "this server asks for its admin_token: Authorization: Bearer TOKEN",
                Some(r#"Bearer realm="oxicorn""#),
            ),
            Self::WrongToken => (
                "this is not the admin_token of this server",
                Some(r#"Bearer realm="oxicorn", error="invalid_token""#),
            ),
            Self::OtherMachine => (
                "only processes of this machine may ask: set admin_token or admin_ca_certs to ask from another",
                None,
            ),
            Self::OtherHost => (
                "the Host field is neither localhost nor a loopback address such as 127.0.0.1: ask for one of these, or set admin_token",
                None,
            ),
            Self::OtherOrigin => ("a page of another origin may not ask", None),
        };
        match challenge {
            Some(challenge) => {
                text(StatusCode::UNAUTHORIZED, reason).field("WWW-Authenticate", challenge)
            }
            None => text(StatusCode::FORBIDDEN, reason),
        }
    }
}
