//! HTTP/1.1 after RFC 9110 and RFC 9112, without I/O: bytes in, requests out; responses in, bytes
//! out. httparse reads the head; framing is ours and strict, because two parsers that disagree on
//! where a request ends are how requests are smuggled.

mod authority;
pub(crate) mod chunked;
pub(crate) mod date;
pub(crate) mod encode;
pub(crate) mod error;
mod error_response;
pub(crate) mod fields;
mod first_line;
pub(crate) mod framing;
#[cfg(test)]
mod fuzz;
pub(crate) mod head;
pub(crate) mod lenient;
pub(crate) mod limits;
pub(crate) mod request_decoder;
pub(crate) mod rules;
pub(crate) mod server_field;
pub(crate) mod spool;
mod storage;
mod target;
pub(crate) mod token;

pub(crate) use error::RequestError;
pub(crate) use error_response::ErrorResponse;
pub(crate) use limits::Limits;
pub(crate) use request_decoder::{Decoded, RequestDecoder};
pub(crate) use rules::{PeerTrust, Rules};
