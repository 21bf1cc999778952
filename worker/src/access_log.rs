//! Reports finished responses: to the scoreboard, the access log and statsd; slow ones also to the error log. Each response comes here once.

use std::time::Instant;

use oxicorn_common::Settings;
use oxicorn_common::logging::{self, AccessEntry, AccessFormat, AccessFormatError};
use oxicorn_common::request::RequestHead;
use oxicorn_common::scoreboard::ThreadStats;

use crate::connection::{ClientIdentity, Connection};
use crate::response::AccessRecord;
use crate::slow_requests::SlowRequests;

#[derive(Debug)]
pub(crate) struct AccessLog {
    format: AccessFormat,
    /// The setting `request_id`.
    id_field: Option<String>,
    pub(crate) slow: SlowRequests,
}

impl AccessLog {
    pub(crate) fn new(settings: &Settings) -> Result<Self, AccessFormatError> {
        let format = settings.access_format()?;
        let slow = SlowRequests::new(settings);
        Ok(Self {
            format,
            id_field: settings.request_id.clone(),
            slow,
        })
    }

    /// The current response is over, whether all of it was sent or not. `stats` are those of the thread that ends it.
    pub(crate) fn end_response(
        &self,
        connection: &mut Connection,
        now: Instant,
        stats: ThreadStats<'_>,
    ) {
        if let Some((head, identity, record)) = connection.end_record() {
            self.slow.end_response(head, &record, now);
            self.write(head, &identity, &record, now, stats);
        }
    }

    pub(crate) fn write(
        &self,
        head: &RequestHead,
        identity: &ClientIdentity,
        record: &AccessRecord,
        now: Instant,
        stats: ThreadStats<'_>,
    ) {
        stats.record(record.figures(head, now));
        if !logging::access_enabled() {
            return;
        }
        let entry = AccessEntry {
            head,
            peer: &identity.peer(),
            sender: &identity.sender(),
            id_field: self.id_field.as_deref(),
            scheme: record.scheme,
            variables: &record.variables,
            status: record.status,
            fields: &record.fields,
            body_bytes: record.body_bytes,
            duration: now.saturating_duration_since(record.started),
            queue: record.queue(),
            proxy_queue: record.arrival.and_then(|it| it.proxy_queue),
            application: record.application(),
            pid: std::process::id(),
        };
        logging::access(&self.format, &entry);
    }
}
