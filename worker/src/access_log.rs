//! Reports finished responses to the access log and statsd.

use std::time::Instant;

use oxicorn_common::Settings;
use oxicorn_common::logging::{self, AccessEntry, AccessFormat, AccessFormatError};
use oxicorn_common::request::{Peer, RequestHead};

use crate::connection::Connection;
use crate::response::AccessRecord;

#[derive(Debug)]
pub(crate) struct AccessLog {
    format: AccessFormat,
}

impl AccessLog {
    pub(crate) fn new(settings: &Settings) -> Result<Self, AccessFormatError> {
        let format = AccessFormat::parse(&settings.access_log_format)?;
        Ok(Self { format })
    }

    /// The current response is over, whether all of it was sent or not.
    pub(crate) fn end_response(&self, connection: &mut Connection, now: Instant) {
        if let Some((head, peer, record)) = connection.end_record() {
            self.write(head, &peer, &record, now);
        }
    }

    pub(crate) fn write(
        &self,
        head: &RequestHead,
        peer: &Peer,
        record: &AccessRecord,
        now: Instant,
    ) {
        if !logging::access_enabled() {
            return;
        }
        let entry = AccessEntry {
            head,
            peer,
            scheme: record.scheme,
            variables: &record.variables,
            status: record.status,
            fields: &record.fields,
            body_bytes: record.body_bytes,
            duration: now.saturating_duration_since(record.started),
            pid: std::process::id(),
        };
        logging::access(&self.format, &entry);
    }
}
