//! What the caller chooses about logging.

use super::level::Level;
use super::log_file::FileOwner;
use super::statsd::StatsdOptions;
use super::syslog::SyslogOptions;

/// Where log lines and metrics go, and which of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggingOptions {
    /// A file, or `-` for standard error.
    pub error_log: String,
    /// A file, or `-` for standard output. `None` is no access log.
    pub access_log: Option<String>,
    /// Write records as JSON.
    pub error_json: bool,
    /// The least level that the error log takes.
    pub level: Level,
    /// Send what the process prints to the file of the error log.
    pub capture_output: bool,
    /// The owner of new log files.
    pub owner: FileOwner,
    pub syslog: Option<SyslogOptions>,
    pub statsd: Option<StatsdOptions>,
}

/// Records of level info and above to standard error, and no access log.
impl Default for LoggingOptions {
    fn default() -> Self {
        Self {
            error_log: "-".to_owned(),
            access_log: None,
            error_json: false,
            level: Level::Info,
            capture_output: false,
            owner: FileOwner::default(),
            syslog: None,
            statsd: None,
        }
    }
}
