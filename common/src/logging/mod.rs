//! Error and access log with gunicorn's lines: to a file or a standard stream, to syslog, and to the loggers of
//! a hosting process; metrics to statsd.
//!
//! ```text
//!   error!, warn!, .. --> filter --.                  .--> files: a file or a standard stream per log
//!                                   >--> redirect? --+--> syslog
//!   access(format, entry) ---------'    (Python)      '--> (what the redirect does with it)
//!            |
//!            '--> statsd
//! ```
//!
//! The master opens all of it before it forks, and children inherit it. An output keeps its descriptor number
//! for ever, so that writing takes no lock; a reload or a rotation only changes the file behind the number.
//! Files are opened to append, and each line is one write, so that lines of many processes do not mix
//! (write(2); in a pipe up to `PIPE_BUF` bytes, pipe(7)).
//!
//! The modules import each other downwards only:
//!
//! ```text
//!   mod           what the server calls
//!   access_log    error_log         one line for all of its destinations
//!   files         receivers         the destinations that are in use now
//!   output        syslog  statsd  redirect
//!   line_writer  log_file  senders  losses  access  error_object  level
//!   json_object  request_tag  child_facts  log_time  date  escape
//! ```

mod access;
mod access_log;
mod child_facts;
mod date;
mod error_log;
mod error_object;
mod escape;
mod files;
mod host_port;
mod json_object;
mod level;
mod line_writer;
mod log_file;
mod log_time;
mod losses;
mod options;
mod output;
mod receivers;
mod redirect;
mod request_tag;
mod senders;
mod statsd;
mod syslog;

use std::io;
use std::os::fd::RawFd;

use receivers::Receivers;
use redirect::InstalledRedirect;

pub use access::{AccessEntry, AccessFormat, AccessFormatError, AtomValue};
pub use access_log::{access, access_enabled, write_access};
pub use child_facts::note_child;
pub use error_log::{exception, is_json, record, stream_text, write_error, write_error_line};
pub use error_object::{ErrorObject, ExceptionText};
pub use escape::Escape;
pub use files::{attach, streams_are_full};
pub use host_port::HostPort;
pub use level::{CRITICAL, EXCEPTION, Level};
pub use log_file::FileOwner;
pub use log_time::LogTime;
pub use options::LoggingOptions;
pub use redirect::{LogEntry, Redirect};
pub use request_tag::{RequestScope, RequestTag};
pub use statsd::{StatsdAddress, StatsdOptions};
pub use syslog::{SyslogAddress, SyslogFacility, SyslogOptions, UnixSocketKind};

/// Opens both logs and directs the `log` macros to the error log. May be called again with other options. On an
/// error the logs stay as they were; it says which file cannot be opened, or which daemon cannot be found.
pub fn init(options: &LoggingOptions) -> io::Result<()> {
    let files = files::prepare(options)?;
    let receivers = Receivers::prepare(options)?;
    files::replace(files)?;
    error_log::set_json(options.error_json);
    let counted = receivers.statsd.is_some();
    let redirect = receivers.redirect.as_ref();
    let least = redirect.map_or(options.level, |redirect| redirect.least);
    receivers.install();
    error_log::install(least, counted);
    files::capture()
}

/// Whether [`init`] would find the daemons that the options name.
pub fn check(options: &LoggingOptions) -> io::Result<()> {
    Receivers::prepare(options).map(drop)
}

/// Opens the log files again by their names, after a log rotation has moved them away. A file that cannot be
/// opened is reported to the error log, and the old one stays in use. The master does it before its children
/// do, so that they find files that they may open.
pub fn reopen() {
    files::reopen();
    if let Some(redirect) = Receivers::current().and_then(|it| it.redirect) {
        redirect.take(LogEntry::Reopen);
    }
}

/// Sends all records and access entries to `redirect` instead of the logs, or to the logs again. `least` is the
/// least level of the error log from now on. `access` says whether the redirect takes access entries.
pub fn redirect(redirect: Option<Redirect>, least: Level, access: bool) {
    Receivers::set_redirect(redirect.map(|it| InstalledRedirect::new(it, least, access)));
    let counted = Receivers::current().is_some_and(|it| it.statsd.is_some());
    error_log::install(least, counted);
}

/// From now on this process logs records to the files and to syslog, and nothing else: no requests, and nothing through
/// the process that hosts the server. For a child whose requests are not those of the server's clients.
pub fn log_records_only(least: Level) {
    Receivers::leave_host();
    files::close_access();
    let counted = Receivers::current().is_some_and(|it| it.statsd.is_some());
    error_log::install(least, counted);
}

/// The connection of this process to a daemon that logs, as the kernel calls it.
pub fn connection() -> Option<RawFd> {
    Receivers::current()?.syslog?.connection()
}

/// Reports the number of workers to statsd.
pub fn note_workers(count: usize) {
    if let Some(statsd) = Receivers::current().and_then(|it| it.statsd) {
        statsd.workers(count);
    }
}

/// Reports to statsd how many connections wait to be accepted.
pub fn note_backlog(count: u64) {
    if let Some(statsd) = Receivers::current().and_then(|it| it.statsd) {
        statsd.backlog(count);
    }
}

/// Sends what waits for syslog, and logs that lines have been lost. Every process calls it at least once per
/// second, and ten times per second while it returns true: something waits.
pub fn tend() -> bool {
    files::report_losses();
    Receivers::current().is_some_and(|receivers| {
        receivers.tend();
        receivers.syslog.is_some_and(|it| it.is_waiting())
    })
}
