//! The data for one access log entry, collected from the start of the response until the client has taken its last
//! byte.

use std::time::{Duration, Instant};

use oxicorn_common::Fields;
use oxicorn_common::request::{RequestHead, Scheme};
use oxicorn_common::scoreboard::{RequestTimes, ResponseFigures};

use super::sent_head::SentHead;

/// How a whole request came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    /// When its last octet was read.
    pub(crate) whole_at: Instant,
    /// How long it was at a trusted proxy before, if that has said so.
    pub(crate) proxy_queue: Option<Duration>,
}

/// The data that the access log shows when a response is over.
#[derive(Debug)]
pub(crate) struct AccessRecord {
    pub(crate) started: Instant,
    /// `None` if the request never became whole.
    pub(crate) arrival: Option<Arrival>,
    pub(crate) scheme: Scheme,
    /// Variables that the application adds to its environment.
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) status: u16,
    pub(crate) fields: Fields,
    pub(crate) body_bytes: u64,
    /// How long threads have worked for it.
    pub(crate) busy: Duration,
    /// How much of that they waited for the client.
    waited: Duration,
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
            arrival: None,
            scheme,
            variables,
            status: head.status.as_u16(),
            fields: head.fields,
            body_bytes: head.body_bytes,
            busy: Duration::ZERO,
            waited: head.waited,
        }
    }

    /// With the arrival of the request.
    pub(crate) fn with_arrival(self, arrival: Option<Arrival>) -> Self {
        Self { arrival, ..self }
    }

    /// What counts of the response when it is over.
    pub(crate) fn figures<'a>(&self, head: &'a RequestHead, now: Instant) -> ResponseFigures<'a> {
        let times = self.arrival.map(|arrival| RequestTimes {
            queue: self.started.saturating_duration_since(arrival.whole_at),
            total: now.saturating_duration_since(arrival.whole_at),
        });
        ResponseFigures {
            method: head.method_octets(),
            status: self.status,
            times,
            proxy_queue: self.arrival.and_then(|arrival| arrival.proxy_queue),
        }
    }

    /// How long the whole request waited for a thread.
    pub(crate) fn queue(&self) -> Duration {
        let waited = |it: Arrival| self.started.saturating_duration_since(it.whole_at);
        self.arrival.map_or(Duration::ZERO, waited)
    }

    /// How long the application has worked for the request.
    pub(crate) fn application(&self) -> Duration {
        self.busy.saturating_sub(self.waited)
    }
}
