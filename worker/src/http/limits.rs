//! The sizes a client may not exceed, from the settings.

use std::path::PathBuf;

use oxicorn_common::Settings;

/// Bodies up to this many bytes stay in memory; longer ones are spooled.
pub(crate) const BODY_IN_MEMORY: usize = 64 * 1024;

/// Sizes in bytes; `usize::MAX` stands for the setting's 0, "unlimited".
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) request_line: usize,
    pub(crate) fields: usize,
    pub(crate) field_size: usize,
    pub(crate) body: u64,
    /// Where bodies are spooled; the system's temporary directory when unset.
    pub(crate) spool_dir: Option<PathBuf>,
}

impl Default for Limits {
    /// No limit to anything.
    fn default() -> Self {
        Self {
            request_line: usize::MAX,
            fields: usize::MAX,
            field_size: usize::MAX,
            body: u64::MAX,
            spool_dir: None,
        }
    }
}

impl From<&Settings> for Limits {
    fn from(settings: &Settings) -> Self {
        let unlimited = |size: usize| if size == 0 { usize::MAX } else { size };
        Self {
            request_line: unlimited(settings.limit_request_line),
            fields: unlimited(settings.limit_request_fields),
            field_size: unlimited(settings.limit_request_field_size),
            body: match settings.limit_request_body {
                0 => u64::MAX,
                size => size,
            },
            spool_dir: settings.tmp_upload_dir.clone(),
        }
    }
}
