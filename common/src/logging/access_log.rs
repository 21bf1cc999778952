//! The access log: gives each request to all receivers that take requests.

use std::cell::RefCell;

use super::access::{AccessEntry, AccessFormat};
use super::files;
use super::receivers::Receivers;
use super::redirect::LogEntry;

thread_local! {
    /// The line that is being made, in a buffer that each thread uses again.
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Whether any receiver takes requests. If not, an [`AccessEntry`] need not be made.
pub fn access_enabled() -> bool {
    files::access_is_open() || Receivers::take_requests()
}

/// Reports a request to the access log and to statsd.
pub fn access(format: &AccessFormat, entry: &AccessEntry<'_>) {
    let receivers = Receivers::current();
    if let Some(statsd) = receivers.as_ref().and_then(|it| it.statsd.as_ref()) {
        statsd.request(entry.status, entry.duration);
    }
    if let Some(redirect) = receivers.as_ref().and_then(|it| it.redirect.as_ref()) {
        if redirect.access {
            redirect.take(LogEntry::Access { format, entry });
        }
        return;
    }
    let to_syslog = receivers.as_ref().is_some_and(Receivers::want_access_lines);
    if files::access_is_open() || to_syslog {
        LINE.with_borrow_mut(|line| {
            line.clear();
            format.render(line, entry);
            put(receivers.as_ref(), line);
        });
    }
}

/// Writes one access line, including the line feed, to the access log and to syslog.
pub fn write_access(line: &[u8]) {
    put(Receivers::current().as_ref(), line);
}

fn put(receivers: Option<&Receivers>, line: &[u8]) {
    files::write_access(line);
    if let Some(syslog) = receivers.and_then(|it| it.syslog.as_ref())
        && syslog.options.access
    {
        syslog.access(line.strip_suffix(b"\n").unwrap_or(line));
    }
}
