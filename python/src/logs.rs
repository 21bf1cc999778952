//! Sends log records to Python's `logging`, if the settings configure it or some code has changed
//! its loggers.
//!
//! ```text
//!                                          .-- untouched --> log files, syslog
//!   record, access line --> redirect? -----+
//!                                          '-- master: oxicorn.logs
//!                                              worker: bounded queue --> one thread --> oxicorn.logs
//! ```
//!
//! In a worker, no thread that logs waits for a handler or for the interpreter's lock, because it
//! may be the event loop. Records that do not fit the queue are dropped and reported.

mod queue;
mod record;
mod request;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::anyhow;
use oxicorn_common::Settings;
use oxicorn_common::logging::{self, Level, LogEntry};
use pyo3::prelude::*;

use crate::search_path::extend_search_path;
use crate::{trace, values};
use queue::RecordQueue;
use record::Record;

const MODULE: &str = "oxicorn.logs";

/// The process that opened the logs. It has a single thread and logs little.
static MASTER: AtomicU32 = AtomicU32::new(0);
/// `graceful_timeout`.
static GRACEFUL_MILLIS: AtomicU64 = AtomicU64::new(0);
/// Whether the logger class needs requests as objects.
static WANTS_OBJECTS: AtomicBool = AtomicBool::new(false);

/// Makes the logger of `settings`, and sends records to it if needed.
pub(crate) fn open(settings: &Settings) -> anyhow::Result<()> {
    Python::attach(|py| {
        let opened = configure(py, settings).and_then(|()| {
            MASTER.store(std::process::id(), Ordering::Relaxed);
            let graceful = u64::try_from(settings.graceful_timeout.as_millis());
            GRACEFUL_MILLIS.store(graceful.unwrap_or(u64::MAX), Ordering::Relaxed);
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

/// Notices changes of the loggers. Call this after code of the application or of a hook has run.
/// Costs almost nothing if nothing has changed.
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

/// Whether the logger class needs the variables of a request.
pub(crate) fn wants_variables() -> bool {
    WANTS_OBJECTS.load(Ordering::Relaxed)
}

/// Hands over the waiting records before the process ends. A slow handler may take as long as a drain.
pub(crate) fn finish() {
    queue::finish(Duration::from_millis(
        GRACEFUL_MILLIS.load(Ordering::Relaxed),
    ));
}

fn configure(py: Python<'_>, settings: &Settings) -> PyResult<()> {
    // Handlers, filters and the class may be in modules of the application.
    extend_search_path(py, settings)?;
    let values = values::of(py, settings)?;
    let settings = py
        .import("oxicorn.cfg")?
        .getattr("Config")?
        .call1((values,))?;
    py.import(MODULE)?.call_method1("open", (settings,))?;
    Ok(())
}

/// Directs records according to the present state of the loggers, and remembers that state.
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

/// The result of `state` in `oxicorn/logs.py`.
type LoggerState<'py> = (bool, String, bool, bool, Bound<'py, PyAny>);

/// The format, made safe for Python's `%`.
fn access_format(settings: &Settings) -> String {
    let format = settings.access_format();
    format.map_or_else(|_| settings.access_log_format.clone(), |it| it.python())
}

/// The functions that the server's own handlers call.
#[pymodule]
pub(crate) mod _logs {
    use std::time::Duration;

    use oxicorn_common::logging::{
        self, AccessFormat, ErrorObject, Escape, ExceptionText, Level, LogTime, RequestTag,
    };
    use pyo3::prelude::*;
    use pyo3::types::PyString;

    use crate::fork_lock::outside_forks;
    use crate::text::to_utf8;

    /// Writes a record to the error log and to syslog. `line` is the record in a format of the
    /// user.
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

    /// Id, trace and span of the request that this thread works for; a missing one is empty.
    #[pyfunction]
    fn request() -> (String, String, String) {
        let RequestTag { id, trace } = RequestTag::current();
        let id = id.map_or_else(String::new, |it| it.to_string());
        trace.map_or_else(
            || (id.clone(), String::new(), String::new()),
            |it| {
                (
                    id.clone(),
                    it.trace_id().to_owned(),
                    it.span_id().to_owned(),
                )
            },
        )
    }

    /// Escapes characters that break a line, control a terminal or close quotation marks.
    #[pyfunction]
    fn escape(text: &Bound<'_, PyString>, json: bool) -> PyResult<String> {
        let escape = match json {
            true => Escape::Json,
            false => Escape::Line,
        };
        Ok(escape.text(&to_utf8(text)?))
    }

    /// A format of the access log, made safe for Python's `%`, whether it produces JSON, and whether that is the
    /// server's own object. `json` is the setting `access_log_json`.
    #[pyfunction]
    fn access_format(text: &str, json: bool) -> (String, bool, bool) {
        let format = match json {
            true => AccessFormat::json(text).ok().flatten(),
            false => None,
        };
        let Ok(format) = format.map_or_else(|| AccessFormat::parse(text), Ok) else {
            return (text.to_owned(), false, false);
        };
        let is_json = format.escape() == Escape::Json;
        (format.python(), is_json, format.is_object())
    }

    /// A record as a JSON object, without a line feed. `created` is in seconds, `exception` a type, a message and a
    /// traceback, `request` the result of `request`, and `members` JSON already.
    #[pyfunction]
    #[pyo3(signature = (created, severity, message, logger, exception, request, members))]
    fn error_object(
        created: f64,
        severity: &Bound<'_, PyString>,
        message: &Bound<'_, PyString>,
        logger: Option<&Bound<'_, PyString>>,
        exception: Option<(
            Bound<'_, PyString>,
            Bound<'_, PyString>,
            Bound<'_, PyString>,
        )>,
        request: (String, String, String),
        members: &str,
    ) -> PyResult<String> {
        let (severity, message) = (to_utf8(severity)?, to_utf8(message)?);
        let logger = logger.map(to_utf8).transpose()?;
        let exception = match &exception {
            Some((kind, message, traceback)) => {
                Some((to_utf8(kind)?, to_utf8(message)?, to_utf8(traceback)?))
            }
            None => None,
        };
        let known = exception
            .as_ref()
            .map(|(kind, message, traceback)| ExceptionText {
                kind,
                message,
                traceback,
            });
        // A traceback in the text itself, as `traceback.format_exc()` makes it.
        let found = ExceptionText::find(&message).filter(|_| known.is_none());
        let (before, found) = found.map_or((&*message, None), |(before, it)| (before, Some(it)));
        let object = ErrorObject {
            at: LogTime::after_epoch(Duration::try_from_secs_f64(created).unwrap_or_default()),
            severity: &severity,
            message: before,
            logger: logger.as_deref(),
            exception: known.or(found),
            tag: RequestTag::named(&request.0, &request.1, &request.2),
            members,
        };
        Ok(String::from_utf8(object.to_json()).unwrap_or_default())
    }

    /// Writes a line, without its line feed, to the access log and to syslog.
    #[pyfunction]
    fn write_access(py: Python<'_>, line: &Bound<'_, PyString>) -> PyResult<()> {
        let line = format!("{}\n", to_utf8(line)?);
        outside_forks(py, || logging::write_access(line.as_bytes()));
        Ok(())
    }

    /// Writes text to the file of the error log: unchanged, or as JSON if its records are.
    #[pyfunction]
    fn error_text(py: Python<'_>, text: &Bound<'_, PyString>) -> PyResult<()> {
        let text = to_utf8(text)?;
        outside_forks(py, || logging::stream_text(text.as_bytes()));
        Ok(())
    }

    /// Writes text unchanged to the access log.
    #[pyfunction]
    fn access_text(py: Python<'_>, text: &Bound<'_, PyString>) -> PyResult<()> {
        let text = to_utf8(text)?;
        outside_forks(py, || logging::write_access(text.as_bytes()));
        Ok(())
    }
}
