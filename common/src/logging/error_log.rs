//! The error log: records of the `log` macros as gunicorn's lines.
//!
//! ```text
//!   [2026-11-23 10:00:00 +0000] [4711] [INFO] text
//! ```

use std::io::{self, Write};
use std::sync::{PoisonError, RwLock};

use env_logger::{Builder, Logger, Target};
use log::{Level, LevelFilter, Log, Metadata, Record};

use super::{CRITICAL, ERROR, clock};

/// A library that logs whole SQL scripts at level debug.
const CHATTY: &str = "rusqlite_migration";

/// The filter of the latest settings, and the way to the sink.
static CURRENT: RwLock<Option<Logger>> = RwLock::new(None);

/// Makes the `log` macros write to the error log what weighs at least `level`. The variable
/// RUST_LOG may name other levels for some modules.
pub(super) fn install(level: LevelFilter) {
    let logger = Builder::new()
        .filter_level(level)
        .filter_module(CHATTY, level.min(LevelFilter::Info))
        .parse_env("RUST_LOG")
        .format(write_line)
        .target(Target::Pipe(Box::new(ErrorSink)))
        .build();
    let most = logger.filter();
    *CURRENT.write().unwrap_or_else(PoisonError::into_inner) = Some(logger);
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
            .is_some_and(|logger| logger.enabled(metadata))
    }

    fn log(&self, record: &Record<'_>) {
        let current = CURRENT.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(logger) = &*current {
            logger.log(record);
        }
    }

    fn flush(&self) {}
}

/// The sink, as `env_logger` wants it: it hands over each line whole.
struct ErrorSink;

impl Write for ErrorSink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        ERROR.write(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The process id is asked for with every line: children inherit the logger.
fn write_line(into: &mut impl Write, record: &Record<'_>) -> io::Result<()> {
    let level = match record.level() {
        Level::Error if record.target() == CRITICAL => "CRITICAL",
        Level::Error => "ERROR",
        Level::Warn => "WARNING",
        Level::Info => "INFO",
        Level::Debug | Level::Trace => "DEBUG",
    };
    let (date, pid) = (clock::error_date(), std::process::id());
    writeln!(into, "[{date}] [{pid}] [{level}] {}", record.args())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(level: Level, target: &str, text: &str) -> String {
        let mut line = Vec::new();
        let mut record = Record::builder();
        record.level(level).target(target);
        write_line(&mut line, &record.args(format_args!("{text}")).build()).expect("memory");
        String::from_utf8(line).expect("UTF-8")
    }

    #[test]
    fn a_line_has_gunicorns_shape() {
        let line = line(Level::Warn, "oxicorn", "two\nlines");
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
        assert!(line(Level::Error, CRITICAL, "x").ends_with(" [CRITICAL] x\n"));
        assert!(line(Level::Error, "other", "x").ends_with(" [ERROR] x\n"));
    }
}
