//! Error and access log: gunicorn's line shape, `-` or a file, reopened on request by every process;
//! syslog, statsd, and the loggers of a hosting process beside them.
//!
//! ```text
//!   error!, warn!, ... --> filter --.                  .--> sink: file or standard stream
//!                                    >--> redirect? ---+--> syslog
//!   access(format, entry) ----------'    (Python)      '--> (what the redirect does with it)
//!            |
//!            '--> statsd
//! ```
//!
//! The master opens all of it before it forks; children inherit it. A sink keeps its descriptor
//! number for ever, so that writing takes no lock, and a reload or a rotation only changes what is
//! behind the number. Files are opened to append, and each line is one write: lines of many
//! processes do not mix (write(2); in a pipe up to `PIPE_BUF` bytes, pipe(7)).

mod access_format;
mod access_json;
mod access_render;
mod atoms;
mod date;
mod error_log;
mod escape;
mod level;
mod line_writer;
mod losses;
mod receivers;
mod redirect;
mod sink;
mod statsd;
mod syslog;
mod wire;

use std::cell::RefCell;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use log::error;

use crate::settings::Settings;
use crate::sys;
use receivers::Receivers;
use redirect::Redirected;
use sink::{Owner, Sink, Stream};

use losses::LossReport;

pub use access_format::{AccessFormat, AccessFormatError};
pub use access_render::AccessEntry;
pub use atoms::AtomValue;
pub use escape::Escape;
pub use level::Level;
pub use redirect::{Entry, Redirect};

/// The `target` of an error record that stands in the log as CRITICAL, which `log` does not have.
pub const CRITICAL: &str = "oxicorn::critical";
/// The `target` of an error record that tells of an exception of the application: statsd counts
/// those by themselves.
pub const EXCEPTION: &str = "oxicorn::exception";

/// How long a process that ends waits for syslog to take its last lines.
const LAST_LINES: Duration = Duration::from_millis(300);

static ERROR: Sink = Sink::new(Stream::Stderr);
static ACCESS: Sink = Sink::new(Stream::Stdout);
/// `capture_output` is on, and there is a file to capture it in.
static CAPTURES: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The access line in the making, in a buffer that each thread uses again.
    static ACCESS_LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Opens both logs and directs the `log` macros to the error log. May be called again with other
/// settings. On an error the logs stay as they were; it says which file cannot be opened, or which
/// daemon cannot be found.
pub fn init(settings: &Settings) -> io::Result<()> {
    let owner = Owner {
        user: settings.user,
        group: settings.group,
    };
    let error = ERROR.prepare(Some(&settings.errorlog), owner)?;
    let access = ACCESS.prepare(settings.accesslog.as_deref(), owner)?;
    let receivers = Receivers::prepare(settings)?;
    ERROR.replace(error)?;
    ACCESS.replace(access)?;
    let counted = receivers.statsd.is_some();
    let redirect = receivers.redirect.as_ref();
    let least = redirect.map_or(settings.loglevel, |redirect| redirect.least);
    receivers.install();
    error_log::install(least, counted);
    let captures = settings.capture_output && settings.errorlog != "-";
    CAPTURES.store(captures, Ordering::Release);
    if captures { attach() } else { Ok(()) }
}

/// Whether [`init`] would find whom the settings name besides files.
pub fn check(settings: &Settings) -> io::Result<()> {
    Receivers::prepare(settings).map(drop)
}

/// Whether whoever writes to standard output or error now would wait for a reader that has stopped.
pub fn streams_are_full() -> bool {
    line_writer::is_full(io::stdout().as_fd()) || line_writer::is_full(io::stderr().as_fd())
}

/// Puts the logs where they belong after standard output and standard error were changed, as when
/// the process goes into the background.
pub fn attach() -> io::Result<()> {
    if CAPTURES.load(Ordering::Acquire)
        && let Some(file) = ERROR.file()
    {
        sys::replace_standard_streams(file)?;
    }
    ERROR.follow_stream()?;
    ACCESS.follow_stream()
}

/// Opens the log files again by their names, after a log rotation moved them away. A file that
/// cannot be opened is reported to the error log, and the old one stays in use. The master does it
/// before it tells its children, so that they find files that they may open.
pub fn reopen() {
    for sink in [&ERROR, &ACCESS] {
        if let Err(problem) = sink.reopen() {
            error!("{problem}");
        }
    }
    if CAPTURES.load(Ordering::Acquire)
        && let Err(problem) = attach()
    {
        error!("cannot capture what the application prints: {problem}");
    }
    if let Some(redirect) = Receivers::current().and_then(|it| it.redirect) {
        redirect.take(Entry::Reopen);
    }
}

/// Writes text that is no record to the error log: what an application prints there.
pub fn error_text(text: &[u8]) {
    ERROR.write(text);
}

/// Sends all records and access lines to `redirect` instead of the logs, or to the logs again. The
/// filter of the error log is `least` then; without `access`, nobody wants to know of requests.
pub fn redirect(redirect: Option<Redirect>, least: Level, access: bool) {
    Receivers::set_redirect(redirect.map(|it| Redirected::new(it, least, access)));
    let counted = Receivers::current().is_some_and(|it| it.statsd.is_some());
    error_log::install(least, counted);
}

/// Writes `text` to the error log if that takes records of `level`, as the `log` macros do.
pub fn record(level: Level, text: &str) {
    match level {
        Level::Debug => log::debug!("{text}"),
        Level::Info => log::info!("{text}"),
        Level::Warning => log::warn!("{text}"),
        Level::Error => log::error!("{text}"),
        Level::Critical => log::error!(target: CRITICAL, "{text}"),
    }
}

/// As [`record`] at level error, for an exception of the application with its traceback.
pub fn exception(text: &str) {
    log::error!(target: EXCEPTION, "{text}");
}

/// Whether anybody wants to know of requests.
pub fn access_enabled() -> bool {
    ACCESS.is_open() || Receivers::take_requests()
}

/// Tells the access log and statsd of a request.
pub fn access(format: &AccessFormat, entry: &AccessEntry<'_>) {
    let receivers = Receivers::current();
    if let Some(statsd) = receivers.as_ref().and_then(|it| it.statsd.as_ref()) {
        statsd.request(entry.status, entry.duration);
    }
    if let Some(redirect) = receivers.as_ref().and_then(|it| it.redirect.as_ref()) {
        if redirect.access {
            redirect.take(Entry::Access { format, entry });
        }
        return;
    }
    let to_syslog = receivers.as_ref().is_some_and(Receivers::want_access_lines);
    if ACCESS.is_open() || to_syslog {
        ACCESS_LINE.with_borrow_mut(|line| {
            line.clear();
            format.render(line, entry);
            put_access(receivers.as_ref(), line);
        });
    }
}

/// Writes one access line, line feed included, to the access log and to syslog.
pub fn write_access(line: &[u8]) {
    put_access(Receivers::current().as_ref(), line);
}

/// Writes one record to the error log and to syslog, whatever it weighs.
pub fn write_error(level: Level, text: &str) {
    write_error_line(level, text, &error_log::line(level, text));
}

/// As [`write_error`], with a line of another shape, line feed included, for the error log.
pub fn write_error_line(level: Level, text: &str, line: &[u8]) {
    ERROR.write(line);
    if let Some(syslog) = Receivers::current().and_then(|it| it.syslog) {
        syslog.error(level, text);
    }
}

/// The number of workers has changed.
pub fn note_workers(count: usize) {
    if let Some(statsd) = Receivers::current().and_then(|it| it.statsd) {
        statsd.workers(count);
    }
}

/// So many connections wait to be accepted.
pub fn note_backlog(count: u64) {
    if let Some(statsd) = Receivers::current().and_then(|it| it.statsd) {
        statsd.backlog(count);
    }
}

/// Sends what waits for syslog, and tells of lines that were lost. Every process calls it at least
/// once a second, and ten times a second while something waits, which is what it returns.
pub fn tend() -> bool {
    for (sink, log) in [(&ERROR, "error log"), (&ACCESS, "access log")] {
        match sink.report() {
            Some(LossReport::Begun { reason }) => log::warn!(
                "the {log} takes no more lines ({}: {reason}); they are dropped until it does",
                sink.name()
            ),
            Some(LossReport::Ended { lost }) => log::warn!(
                "the {log} takes lines again ({}); {lost} were dropped",
                sink.name()
            ),
            None => {}
        }
    }
    Receivers::current().is_some_and(|receivers| {
        receivers.tend();
        receivers.syslog.is_some_and(|it| it.is_waiting())
    })
}

fn put_access(receivers: Option<&Receivers>, line: &[u8]) {
    ACCESS.write(line);
    if let Some(syslog) = receivers.and_then(|it| it.syslog.as_ref())
        && syslog.options.access
    {
        syslog.access(line.strip_suffix(b"\n").unwrap_or(line));
    }
}

fn count(level: Level, exception: bool) {
    if let Some(statsd) = Receivers::current().and_then(|it| it.statsd) {
        statsd.record(level, exception);
    }
}

fn deliver(level: Level, exception: bool, text: &str) {
    match Receivers::current().and_then(|it| it.redirect) {
        Some(redirect) => redirect.take(Entry::Error {
            level,
            exception,
            text,
        }),
        None => write_error(level, text),
    }
}

fn flush() {
    if let Some(syslog) = Receivers::current().and_then(|it| it.syslog) {
        syslog.drain(Instant::now() + LAST_LINES);
    }
}
