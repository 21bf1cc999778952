//! The sizes a client may not exceed, from the settings.

use oxicorn_common::Settings;

/// Sizes in bytes; `usize::MAX` stands for the setting's 0, "unlimited".
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) request_line: usize,
    pub(crate) fields: usize,
    pub(crate) field_size: usize,
    /// The whole head, including its empty line.
    pub(crate) head: usize,
    pub(crate) body: u64,
}

impl Default for Limits {
    /// No limits.
    fn default() -> Self {
        Self {
            request_line: usize::MAX,
            fields: usize::MAX,
            field_size: usize::MAX,
            head: usize::MAX,
            body: u64::MAX,
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
            head: unlimited(settings.limit_request_head),
            body: match settings.limit_request_body {
                0 => u64::MAX,
                size => size,
            },
        }
    }
}
