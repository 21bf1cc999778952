//! One request and its response, from the application's side to the last byte taken.

use std::time::Instant;

use oxicorn_common::Fields;
use oxicorn_common::request::Scheme;

/// What the access log tells of a response when the client has all of it.
#[derive(Debug)]
pub(crate) struct AccessRecord {
    pub(crate) started: Instant,
    pub(crate) scheme: Scheme,
    /// What the application tells of its environment.
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) status: u16,
    pub(crate) fields: Fields,
    pub(crate) body_bytes: u64,
}
