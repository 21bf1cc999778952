//! HTTP/1.1 per RFC 9110 and RFC 9112, without I/O: bytes to requests, responses to bytes. httparse reads the
//! head. Framing is our own and strict: request smuggling is possible when two parsers disagree on where a request
//! ends.

mod authority;
pub(crate) mod chunked;
pub(crate) mod date;
pub(crate) mod encode;
pub(crate) mod error;
pub(crate) mod fields;
mod first_line;
pub(crate) mod framing;
#[cfg(test)]
mod fuzz;
pub(crate) mod head;
pub(crate) mod lenient;
pub(crate) mod limits;
mod peer_trust;
pub(crate) mod request_decoder;
pub(crate) mod rules;
pub(crate) mod server_field;
pub(crate) mod spool;
mod storage;
mod target;
pub(crate) mod token;

pub(crate) use error::RequestError;
pub(crate) use limits::Limits;
pub(crate) use peer_trust::PeerTrust;
pub(crate) use request_decoder::{Decoded, RequestDecoder};
pub(crate) use rules::Rules;
