//! Python's `logging` in place of the log files, where the settings configure it or somebody has touched it.
//!
//! ```text
//!                                          .-- untouched --> log files, syslog
//!   record, access line --> redirect? -----+
//!                                          '-- master: oxicorn.logs
//!                                              worker: bounded queue --> one thread --> oxicorn.logs
//! ```
//!
//! In a worker nobody waits for a handler, nor for the interpreter's lock: what logs may be the event
//! loop. What the queue has no room for is dropped and told.

mod queue;
mod record;
mod request;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use anyhow::anyhow;
use oxicorn_common::Settings;
use oxicorn_common::logging::{self, AccessFormat, Level, LogEntry};
use pyo3::prelude::*;

use crate::search_path::extend_search_path;
use crate::{trace, values};
use queue::RecordQueue;
use record::Record;

const MODULE: &str = "oxicorn.logs";

/// The process that opened the logs: it has one thread for ever, and logs little.
static MASTER: AtomicU32 = AtomicU32::new(0);
/// Whether the class that logs wants requests as objects.
static WANTS_OBJECTS: AtomicBool = AtomicBool::new(false);

/// Makes the logger of `settings`, and sends it what is logged where that is Python's business.
pub(crate) fn open(settings: &Settings) -> anyhow::Result<()> {
    Python::attach(|py| {
        let opened = configure(py, settings).and_then(|()| {
            MASTER.store(std::process::id(), Ordering::Relaxed);
            follow_anew(py, settings)
        });
        opened.map_err(|exception| {
            let config = &settings.logconfig;
            let reason = trace::line(py, &exception);
            match config.dict.is_some() || config.json.is_some() || config.file.is_some() {
                true => anyhow!("logconfig: {reason}"),
                false => anyhow!("logger_class: {reason}"),
            }
        })
    })
}

/// To be called whenever code of the application's or of a hook's has run: what it may have changed of the
/// loggers holds from here on. Costs next to nothing where it has not.
pub(crate) fn follow(py: Python<'_>, settings: &Settings) {
    if watch::has_changed(py)
        && let Err(exception) = follow_anew(py, settings)
    {
        let reason = trace::line(py, &exception);
        logging::write_error(
            Level::Error,
            &format!("cannot follow the loggers: {reason}"),
        );
    }
}

/// Whether the class that logs is to have the variables of a request.
pub(crate) fn wants_variables() -> bool {
    WANTS_OBJECTS.load(Ordering::Relaxed)
}

/// Before a process ends: what waits is handed over.
pub(crate) fn finish() {
    queue::finish();
}

fn configure(py: Python<'_>, settings: &Settings) -> PyResult<()> {
    // Handlers, filters and the class may be the application's.
    extend_search_path(py, settings)?;
    let values = values::of(py, settings)?;
    let settings = py
        .import("oxicorn.cfg")?
        .getattr("Config")?
        .call1((values,))?;
    py.import(MODULE)?.call_method1("open", (settings,))?;
    Ok(())
}

/// Directs what is logged by what the loggers are now, and remembers that.
fn follow_anew(py: Python<'_>, settings: &Settings) -> PyResult<()> {
    let module = py.import(MODULE)?;
    let state = module.call_method0("state")?;
    let (is_plain, least, access, wants_objects, facts) = state.extract::<LoggerState<'_>>()?;
    watch::remember(&facts)?;
    WANTS_OBJECTS.store(!is_plain && wants_objects, Ordering::Relaxed);
    if is_plain {
        logging::redirect(None, settings.loglevel, false);
        return Ok(());
    }
    let form: Arc<str> = access_format(settings).into();
    let queue = RecordQueue::new(module.unbind().into_any(), MASTER.load(Ordering::Relaxed));
    let redirect = move |entry: LogEntry<'_>| {
        queue.put(Record::of(entry, &form, wants_objects));
    };
    let least = Level::named(&least).unwrap_or(Level::Debug);
    logging::redirect(Some(Box::new(redirect)), least, access);
    Ok(())
}

/// As `state` of the module documents it.
type LoggerState<'py> = (bool, String, bool, bool, Bound<'py, PyAny>);

/// The format as Python's `%` can have it without doing harm.
fn access_format(settings: &Settings) -> String {
    let format = AccessFormat::parse(&settings.access_log_format);
    format.map_or_else(|_| settings.access_log_format.clone(), |it| it.python())
}

/// What the handlers that write to our own logs call.
#[pymodule]
pub(crate) mod _logs {
    use oxicorn_common::logging::{self, AccessFormat, Escape, Level};
    use pyo3::prelude::*;
    use pyo3::types::PyString;

    use crate::fork_lock::outside_forks;
    use crate::text::to_utf8;

    /// Writes a record to the error log, and to syslog where that is on. `line` is it in another shape.
    #[pyfunction]
    fn write_error(
        py: Python<'_>,
        number: i64,
        text: &Bound<'_, PyString>,
        line: Option<&Bound<'_, PyString>>,
    ) -> PyResult<()> {
        let level = match number {
            ..20 => Level::Debug,
            20..30 => Level::Info,
            30..40 => Level::Warning,
            40..50 => Level::Error,
            50.. => Level::Critical,
        };
        let (text, line) = (to_utf8(text)?, line.map(to_utf8).transpose()?);
        outside_forks(py, || match line {
            Some(line) => logging::write_error_line(level, &text, line.as_bytes()),
            None => logging::write_error(level, &text),
        });
        Ok(())
    }

    /// The text without anything that ends a line, commands a terminal, or closes quotation marks.
    #[pyfunction]
    fn escape(text: &Bound<'_, PyString>, json: bool) -> PyResult<String> {
        let escape = match json {
            true => Escape::Json,
            false => Escape::Line,
        };
        Ok(escape.text(&to_utf8(text)?))
    }

    /// A format of the access log as Python's `%` can have it without doing harm, and whether it makes JSON.
    #[pyfunction]
    fn access_format(text: &str) -> (String, bool) {
        AccessFormat::parse(text).map_or_else(
            |_| (text.to_owned(), false),
            |format| (format.python(), format.escape() == Escape::Json),
        )
    }

    /// Writes a line without its end to the access log, and to syslog where that is on.
    #[pyfunction]
    fn write_access(py: Python<'_>, line: &Bound<'_, PyString>) -> PyResult<()> {
        let line = format!("{}\n", to_utf8(line)?);
        outside_forks(py, || logging::write_access(line.as_bytes()));
        Ok(())
    }

    /// Writes text as it is to the file of the error log.
    #[pyfunction]
    fn error_text(py: Python<'_>, text: &Bound<'_, PyString>) -> PyResult<()> {
        let text = to_utf8(text)?;
        outside_forks(py, || logging::error_text(text.as_bytes()));
        Ok(())
    }

    /// Writes text as it is to the access log.
    #[pyfunction]
    fn access_text(py: Python<'_>, text: &Bound<'_, PyString>) -> PyResult<()> {
        let text = to_utf8(text)?;
        outside_forks(py, || logging::write_access(text.as_bytes()));
        Ok(())
    }
}
