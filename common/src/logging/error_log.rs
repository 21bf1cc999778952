//! The error log: takes the records of the `log` macros and writes them as gunicorn's lines.
//!
//! ```text
//!   [2026-11-23 10:00:00 +0000] [4711] [INFO] text
//! ```
//!
//! A line about a request that has an id begins its text with it, in brackets. The lines may be JSON instead
//! (`error_object`).

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use env_logger::{Builder, Logger};
use log::{LevelFilter, Log, Metadata, Record};

use super::error_object::ErrorObject;
use super::level::{CRITICAL, EXCEPTION, Level};
use super::receivers::Receivers;
use super::redirect::LogEntry;
use super::request_tag::RequestTag;
use super::{date, files};

/// A library that logs whole SQL scripts at level debug.
const CHATTY: &str = "rusqlite_migration";

/// How long a process that ends waits for syslog to take its last lines.
const LAST_LINES: Duration = Duration::from_millis(300);

/// Whether records are written as JSON.
static JSON: AtomicBool = AtomicBool::new(false);

/// What the latest options let through.
static CURRENT: RwLock<Option<Current>> = RwLock::new(None);

struct Current {
    filter: Logger,
    least: Level,
}

/// Makes the `log` macros write records of level `least` and above to the error log. The variable RUST_LOG may
/// name other levels for some modules. When records are `counted`, warnings and errors come here even if the
/// log does not take them.
pub(super) fn install(least: Level, counted: bool) {
    let level = least.filter();
    let filter = Builder::new()
        .filter_level(level)
        .filter_module(CHATTY, level.min(LevelFilter::Info))
        .parse_env("RUST_LOG")
        .build();
    let most = match counted {
        true => filter.filter().max(LevelFilter::Warn),
        false => filter.filter(),
    };
    let current = Current { filter, least };
    *CURRENT.write().unwrap_or_else(PoisonError::into_inner) = Some(current);
    // Fails if there is one: ours from an earlier call, or that of a program that embeds the server.
    let _ = log::set_logger(&ErrorLog);
    log::set_max_level(most);
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

/// Whether records are written as JSON.
pub fn is_json() -> bool {
    JSON.load(Ordering::Relaxed)
}

pub(super) fn set_json(json: bool) {
    JSON.store(json, Ordering::Relaxed);
}

/// Writes one record to the error log and to syslog, whatever its level.
pub fn write_error(level: Level, text: &str) {
    if is_json() {
        let mut object = ErrorObject::of(level, text).to_json();
        let json = String::from_utf8_lossy(&object).into_owned();
        object.push(b'\n');
        return write_error_line(level, &json, &object);
    }
    write_error_line(level, text, &line(level, text));
}

/// Writes to the error log what an application writes to its stream for errors: as it is, or as one record if records
/// are JSON.
pub fn stream_text(text: &[u8]) {
    if !is_json() {
        return files::error_text(text);
    }
    let text = String::from_utf8_lossy(text);
    let mut record = ErrorObject::of(Level::Error, text.trim_end_matches('\n'));
    record.logger = Some("wsgi.errors");
    let mut line = record.to_json();
    line.push(b'\n');
    files::error_text(&line);
}

/// As [`write_error`], with a line of another shape, including the line feed, for the error log. If records are JSON,
/// `text` is too.
pub fn write_error_line(level: Level, text: &str, line: &[u8]) {
    files::error_text(line);
    if let Some(syslog) = Receivers::current().and_then(|it| it.syslog) {
        match RequestTag::current().id.filter(|_| !is_json()) {
            Some(id) => syslog.error(level, &format!("[{id}] {text}")),
            None => syslog.error(level, text),
        }
    }
}

struct ErrorLog;

impl Log for ErrorLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let current = CURRENT.read().unwrap_or_else(PoisonError::into_inner);
        current
            .as_ref()
            .is_some_and(|current| current.filter.enabled(metadata))
    }

    fn log(&self, record: &Record<'_>) {
        let level = Level::of(record);
        let exception = record.target() == EXCEPTION;
        if let Some(statsd) = Receivers::current().and_then(|it| it.statsd) {
            statsd.record(level, exception);
        }
        let takes = CURRENT
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .is_some_and(|current| current.takes(record, level));
        // Nothing is locked here: a receiver of the record may log one of its own.
        if takes {
            match record.args().as_str() {
                Some(text) => deliver(level, exception, text),
                None => deliver(level, exception, &record.args().to_string()),
            }
        }
    }

    fn flush(&self) {
        if let Some(syslog) = Receivers::current().and_then(|it| it.syslog) {
            syslog.drain(Instant::now() + LAST_LINES);
        }
    }
}

impl Current {
    fn takes(&self, record: &Record<'_>, level: Level) -> bool {
        self.filter.matches(record) && (self.least < Level::Critical || level == Level::Critical)
    }
}

fn deliver(level: Level, exception: bool, text: &str) {
    match Receivers::current().and_then(|it| it.redirect) {
        Some(redirect) => redirect.take(LogEntry::Error {
            level,
            exception,
            text,
            tag: RequestTag::current(),
        }),
        None => write_error(level, text),
    }
}

/// The line of a record, including the line feed. Every line asks for the process id, because children inherit
/// the logger.
fn line(level: Level, text: &str) -> Vec<u8> {
    let mut line = Vec::with_capacity(text.len() + 64);
    let (date, pid) = (date::error_date(), std::process::id());
    // Writing into memory cannot fail.
    let _ = write!(line, "[{date}] [{pid}] [{level}] ");
    if let Some(id) = RequestTag::current().id {
        let _ = write!(line, "[{id}] ");
    }
    line.extend_from_slice(text.as_bytes());
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_gunicorns_shape() {
        let line = String::from_utf8(line(Level::Warning, "two\nlines")).expect("UTF-8");
        let pid = std::process::id();
        let (date, rest) = line.split_at("[2026-11-23 10:00:00 +0000]".len());
        assert_eq!(rest, format!(" [{pid}] [WARNING] two\nlines\n"));
        let digits: String = date
            .chars()
            .map(|c| if c.is_ascii_digit() { '0' } else { c })
            .collect();
        assert_eq!(digits.replace(" -", " +"), "[0000-00-00 00:00:00 +0000]");
    }

    #[test]
    fn a_critical_record_is_recognised_by_its_target() {
        let level = |target| {
            let mut record = Record::builder();
            Level::of(&record.level(log::Level::Error).target(target).build())
        };
        assert_eq!(level(CRITICAL), Level::Critical);
        assert_eq!(level("other"), Level::Error);
    }

    #[test]
    fn at_level_critical_errors_are_too_light() {
        let filter = Builder::new().filter_level(LevelFilter::Error).build();
        let current = Current {
            filter,
            least: Level::Critical,
        };
        let takes = |target| {
            let mut record = Record::builder();
            let record = record.level(log::Level::Error).target(target).build();
            current.takes(&record, Level::of(&record))
        };
        assert!(takes(CRITICAL) && !takes("oxicorn"));
    }
}
