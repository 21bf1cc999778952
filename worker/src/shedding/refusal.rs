//! Why a request is refused, and what its client is told.

use std::time::Duration;

use http::StatusCode;
use oxicorn_common::scoreboard::RefusalReason;
use oxicorn_common::{Response, ResponseBody};

/// Clients that come back after a minute find another situation in any case.
const LATEST: u64 = 60;

/// A request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: RefusalReason,
    /// How long the queue is.
    wait: Duration,
}

impl Refusal {
    pub(crate) fn new(reason: RefusalReason, wait: Duration) -> Self {
        Self { reason, wait }
    }

    /// 503 with the time after which the requests that wait now will have been served (RFC 9110 section 10.2.3).
    pub(crate) fn response(self) -> Response {
        let seconds = self.wait.as_secs().saturating_add(1).min(LATEST);
        Response::new(StatusCode::SERVICE_UNAVAILABLE)
            .field("Content-Type", "text/plain")
            .field("Retry-After", seconds.to_string())
            .body(ResponseBody::Static(b"503 Service Unavailable\n"))
    }
}
