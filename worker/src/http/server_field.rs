//! The `Server` field of every response. It is chosen once per process, because a process has one generation of
//! settings.

use std::sync::OnceLock;

/// The whole line, or nothing.
static LINE: OnceLock<Vec<u8>> = OnceLock::new();

/// Must be called once, before the first request.
pub(crate) fn choose(value: &str) {
    let line = match value {
        "" => String::new(),
        value => format!("Server: {value}\r\n"),
    };
    LINE.get_or_init(|| line.into_bytes());
}

pub(crate) fn line() -> &'static [u8] {
    LINE.get().map_or(b"Server: oxicorn\r\n", Vec::as_slice)
}
