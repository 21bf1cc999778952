//! How severe a record is: the levels of `log`, and gunicorn's fifth.

use std::fmt;

use log::{LevelFilter, Record};

/// The `target` of an error record that the log shows as CRITICAL, a level that `log` does not have.
pub const CRITICAL: &str = "oxicorn::critical";
/// The `target` of an error record about an exception of the application: statsd counts those separately.
pub const EXCEPTION: &str = "oxicorn::exception";

/// The severity of a record, and the least severity that a log takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Debug,
    Info,
    Warning,
    Error,
    Critical,
}

impl Level {
    pub const ALL: [Self; 5] = [
        Self::Debug,
        Self::Info,
        Self::Warning,
        Self::Error,
        Self::Critical,
    ];

    /// Its name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }

    /// As the error log shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
            Self::Critical => "CRITICAL",
        }
    }

    /// Reads [`Level::name`], or another name or number that Python has for it, in any case.
    pub fn named(name: &str) -> Option<Self> {
        match name.trim().to_ascii_lowercase().as_str() {
            "notset" | "trace" | "debug" => Some(Self::Debug),
            "info" => Some(Self::Info),
            "warn" | "warning" => Some(Self::Warning),
            "error" => Some(Self::Error),
            "critical" | "fatal" => Some(Self::Critical),
            number => Self::least_of(number.parse().ok()?),
        }
    }

    /// The least level that a log takes whose level is `number` in Python.
    fn least_of(number: u8) -> Option<Self> {
        match number {
            0..=10 => Some(Self::Debug),
            11..=20 => Some(Self::Info),
            21..=30 => Some(Self::Warning),
            31..=40 => Some(Self::Error),
            41..=50 => Some(Self::Critical),
            51.. => None,
        }
    }

    pub(super) fn of(record: &Record<'_>) -> Self {
        match record.level() {
            log::Level::Error if record.target() == CRITICAL => Self::Critical,
            log::Level::Error => Self::Error,
            log::Level::Warn => Self::Warning,
            log::Level::Info => Self::Info,
            log::Level::Debug | log::Level::Trace => Self::Debug,
        }
    }

    /// What the `log` macros must let through for it.
    pub(super) fn filter(self) -> LevelFilter {
        match self {
            Self::Debug => LevelFilter::Debug,
            Self::Info => LevelFilter::Info,
            Self::Warning => LevelFilter::Warn,
            Self::Error | Self::Critical => LevelFilter::Error,
        }
    }

    /// As syslog has it (RFC 5424 section 6.2.1).
    pub(super) fn severity(self) -> u8 {
        match self {
            Self::Debug => 7,
            Self::Info => 6,
            Self::Warning => 4,
            Self::Error => 3,
            Self::Critical => 2,
        }
    }
}

/// As the error log shows it.
impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
