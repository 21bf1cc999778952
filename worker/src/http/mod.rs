//! HTTP/1.1 after RFC 9110 and RFC 9112, without I/O: bytes in, requests out; responses in, bytes
//! out. httparse reads the head; framing is ours and strict, because two parsers that disagree on
//! where a request ends are how requests are smuggled.

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
pub(crate) mod intake;
pub(crate) mod lenient;
pub(crate) mod limits;
mod refusal;
pub(crate) mod rules;
pub(crate) mod server_field;
pub(crate) mod spool;
mod storage;
mod target;
pub(crate) mod token;

pub(crate) use error::RequestError;
pub(crate) use intake::{Intake, Step};
pub(crate) use limits::Limits;
pub(crate) use refusal::Refusal;
pub(crate) use rules::{Rules, Sender};
