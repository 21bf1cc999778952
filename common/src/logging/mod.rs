//! Error and access log: gunicorn's line shape, `-` or a file, reopened on request by every process.
//!
//! ```text
//!   error!, warn!, info!, debug! --> env_logger: filter, line --\
//!                                                                >-- one write(2) --> sink
//!   access(line) -----------------------------------------------/
//! ```
//!
//! The master opens both sinks before it forks; children inherit them. A sink keeps its descriptor
//! number for ever, so that writing takes no lock, and a reload or a rotation only changes what is
//! behind the number. Files are opened to append, and each line is one write: lines of many
//! processes do not mix (write(2); in a pipe up to `PIPE_BUF` bytes, pipe(7)).

mod access_format;
mod access_render;
mod clock;
mod error_log;
mod sink;

use std::io;

use log::error;

use crate::settings::Settings;
use sink::{Owner, Sink, Stream};

pub use access_format::{AccessFormat, AccessFormatError};
pub use access_render::AccessEntry;

/// The `target` of an error record that stands in the log as CRITICAL, which `log` does not have.
pub const CRITICAL: &str = "oxicorn::critical";

static ERROR: Sink = Sink::new(Stream::Stderr);
static ACCESS: Sink = Sink::new(Stream::Stdout);

/// Opens both logs and directs the `log` macros to the error log. May be called again with other
/// settings. On an error the logs stay as they were; it says which file cannot be opened.
pub fn init(settings: &Settings) -> io::Result<()> {
    let owner = Owner {
        user: settings.user,
        group: settings.group,
    };
    let error = ERROR.prepare(Some(&settings.errorlog), owner)?;
    let access = ACCESS.prepare(settings.accesslog.as_deref(), owner)?;
    ERROR.replace(error)?;
    ACCESS.replace(access)?;
    error_log::install(settings.loglevel);
    Ok(())
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
}

/// Writes text that is no record to the error log: what an application prints there.
pub fn error_text(text: &[u8]) {
    ERROR.write(text);
}

/// Whether anybody reads access lines; nobody need render them if not.
pub fn access_enabled() -> bool {
    ACCESS.is_open()
}

/// Writes one access line, line feed included, as [`AccessFormat::render`] makes it.
pub fn access(line: &[u8]) {
    ACCESS.write(line);
}
