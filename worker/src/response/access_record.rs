//! The data for one access log entry, collected from the start of the response until the client has taken its last
//! byte.

use std::time::Instant;

use oxicorn_common::Fields;
use oxicorn_common::request::{RequestHead, RequestId, Scheme};
use oxicorn_common::scoreboard::{RequestTimes, ResponseFigures};

use super::sent_head::SentHead;

/// The data that the access log shows when a response is over.
#[derive(Debug)]
pub(crate) struct AccessRecord {
    pub(crate) started: Instant,
    /// When the request became whole; `None` if it never did.
    pub(crate) whole_at: Option<Instant>,
    pub(crate) scheme: Scheme,
    /// Variables that the application adds to its environment.
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) status: u16,
    pub(crate) fields: Fields,
    pub(crate) body_bytes: u64,
    pub(crate) id: Option<RequestId>,
}

impl AccessRecord {
    pub(crate) fn new(
        head: SentHead,
        started: Instant,
        scheme: Scheme,
        variables: Vec<(String, String)>,
    ) -> Self {
        Self {
            started,
            whole_at: None,
            scheme,
            variables,
            status: head.status.as_u16(),
            fields: head.fields,
            body_bytes: head.body_bytes,
            id: None,
        }
    }

    /// With the id of the request.
    pub(crate) fn with_id(self, id: Option<RequestId>) -> Self {
        Self { id, ..self }
    }

    /// Of a request that became whole at that time.
    pub(crate) fn of_whole(self, whole_at: Option<Instant>) -> Self {
        Self { whole_at, ..self }
    }

    /// What counts of the response when it is over.
    pub(crate) fn figures<'a>(&self, head: &'a RequestHead, now: Instant) -> ResponseFigures<'a> {
        let times = self.whole_at.map(|whole_at| RequestTimes {
            queue: self.started.saturating_duration_since(whole_at),
            total: now.saturating_duration_since(whole_at),
        });
        ResponseFigures {
            method: head.method(),
            status: self.status,
            times,
            proxy_queue: None,
        }
    }
}
