//! The two logs of a process, as files or standard streams.
//!
//! They are process-wide: the master opens them before it forks, and children inherit them.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

use log::error;

use super::line_writer;
use super::losses::LossReport;
use super::options::LoggingOptions;
use super::output::{LogOutput, Prepared, StandardStream};
use crate::sys;

static ERROR: LogOutput = LogOutput::new(StandardStream::Stderr);
static ACCESS: LogOutput = LogOutput::new(StandardStream::Stdout);
/// `capture_output` is on, and the error log is a file.
static CAPTURES: AtomicBool = AtomicBool::new(false);

/// Both logs, open but not in use yet.
pub(super) struct PreparedFiles {
    error: Prepared,
    access: Prepared,
    captures: bool,
}

/// Opens what `options` name. On an error the logs stay as they were.
pub(super) fn prepare(options: &LoggingOptions) -> io::Result<PreparedFiles> {
    Ok(PreparedFiles {
        error: ERROR.prepare(Some(&options.error_log), options.owner)?,
        access: ACCESS.prepare(options.access_log.as_deref(), options.owner)?,
        captures: options.capture_output && options.error_log != "-",
    })
}

pub(super) fn replace(prepared: PreparedFiles) -> io::Result<()> {
    ERROR.replace(prepared.error)?;
    ACCESS.replace(prepared.access)?;
    CAPTURES.store(prepared.captures, Ordering::Release);
    Ok(())
}

/// Lets the process print to the error log, if `capture_output` asks for it.
pub(super) fn capture() -> io::Result<()> {
    match CAPTURES.load(Ordering::Acquire) {
        true => attach(),
        false => Ok(()),
    }
}

/// Lets the logs follow standard output and standard error after those have been replaced, as when the
/// process goes into the background.
pub fn attach() -> io::Result<()> {
    if CAPTURES.load(Ordering::Acquire)
        && let Some(file) = ERROR.file()
    {
        sys::replace_standard_streams(file)?;
    }
    ERROR.follow_stream()?;
    ACCESS.follow_stream()
}

/// Opens the log files again by their names. A file that cannot be opened is reported to the error log, and
/// the old one stays in use.
pub(super) fn reopen() {
    for output in [&ERROR, &ACCESS] {
        if let Err(problem) = output.reopen() {
            error!("{problem}");
        }
    }
    if let Err(problem) = capture() {
        error!("cannot capture what the application prints: {problem}");
    }
}

/// Whether a write to standard output or standard error would wait now, because its reader has stopped.
pub fn streams_are_full() -> bool {
    line_writer::is_full(io::stdout().as_fd()) || line_writer::is_full(io::stderr().as_fd())
}

/// Writes text to the error log as it is: what an application prints there, or a line.
pub(super) fn error_text(text: &[u8]) {
    ERROR.write(text);
}

pub(super) fn access_is_open() -> bool {
    ACCESS.is_open()
}

/// Takes no more access lines in this process.
pub(super) fn close_access() {
    ACCESS.close();
}

/// Writes one access line, including the line feed.
pub(super) fn write_access(line: &[u8]) {
    ACCESS.write(line);
}

/// Logs that lines have been lost, or that no more are.
pub(super) fn report_losses() {
    for (output, log) in [(&ERROR, "error log"), (&ACCESS, "access log")] {
        match output.report() {
            Some(LossReport::Begun { reason }) => {
                let name = output.name();
                let text = format!(
                    "the {log} takes no more lines ({name}: {reason}); they are dropped until it does"
                );
                log::warn!("{text}");
                // On a full disk that line is lost as well.
                if ERROR.is_losing_file() && !line_writer::is_full(io::stderr().as_fd()) {
                    let _ = writeln!(io::stderr(), "oxicorn: {text}");
                }
            }
            Some(LossReport::Ended { lost }) => log::warn!(
                "the {log} takes lines again ({}); {lost} were dropped",
                output.name()
            ),
            None => {}
        }
    }
}
