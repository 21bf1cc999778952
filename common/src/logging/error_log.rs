//! The error log: records of the `log` macros as gunicorn's lines.
//!
//! ```text
//!   [2026-11-23 10:00:00 +0000] [4711] [INFO] text
//! ```

use std::io::Write;
use std::sync::{PoisonError, RwLock};

use env_logger::{Builder, Logger};
use log::{LevelFilter, Log, Metadata, Record};

use super::{EXCEPTION, Level, date};

/// A library that logs whole SQL scripts at level debug.
const CHATTY: &str = "rusqlite_migration";

/// What the latest settings let through.
static CURRENT: RwLock<Option<Current>> = RwLock::new(None);

struct Current {
    filter: Logger,
    least: Level,
}

/// Makes the `log` macros write to the error log what weighs at least `least`. The variable
/// RUST_LOG may name other levels for some modules. When records are `counted`, warnings and errors
/// are seen here even if the log does not take them.
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
    // Fails when there is one: ours from before, or one that a program embedding us chose.
    let _ = log::set_logger(&ErrorLog);
    log::set_max_level(most);
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
        super::count(level, exception);
        let takes = CURRENT
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .is_some_and(|current| current.takes(record, level));
        // Nothing is locked here: whoever takes the record may have one of its own to log.
        if takes {
            match record.args().as_str() {
                Some(text) => super::deliver(level, exception, text),
                None => super::deliver(level, exception, &record.args().to_string()),
            }
        }
    }

    fn flush(&self) {
        super::flush();
    }
}

impl Current {
    fn takes(&self, record: &Record<'_>, level: Level) -> bool {
        self.filter.matches(record) && (self.least < Level::Critical || level == Level::Critical)
    }
}

/// The line of a record, line feed included. The process id is asked for with every line: children
/// inherit the logger.
pub(super) fn line(level: Level, text: &str) -> Vec<u8> {
    let mut line = Vec::with_capacity(text.len() + 64);
    let (date, pid) = (date::error_date(), std::process::id());
    // Writing into memory cannot fail.
    let _ = writeln!(line, "[{date}] [{pid}] [{level}] {text}");
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging::CRITICAL;

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
    fn a_critical_record_is_told_by_its_target() {
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
