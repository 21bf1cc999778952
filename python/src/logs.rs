//! Python's `logging` in place of the log files, where the settings configure it.
//!
//! ```text
//!   master   record --------------------------> gunicorn.error
//!   worker   record, access line --bounded queue--> one thread --> gunicorn.error, gunicorn.access
//! ```
//!
//! In a worker nobody waits for a handler, nor for the interpreter's lock: what logs may be the event
//! loop. What the queue has no room for is dropped and told.

mod queue;

use std::sync::Arc;

use anyhow::anyhow;
use oxicorn_common::Settings;
use oxicorn_common::logging::{self, AccessEntry, AccessFormat, AtomValue, Entry, Level};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::application::extend_search_path;
use crate::trace;
use queue::Queue;

/// One thing for a Python logger.
#[derive(Debug)]
pub(crate) enum Record {
    Error { level: Level, text: String },
    Access { atoms: Vec<(String, AtomValue)> },
    Reopen,
}

/// Configures the loggers by `settings` and sends them what is logged, or ends that.
pub(crate) fn open(settings: &Settings) -> anyhow::Result<()> {
    let config = &settings.logconfig;
    if config.dict.is_none() && config.json.is_none() && config.file.is_none() {
        logging::redirect(None, settings.loglevel);
        return Ok(());
    }
    let configured = Python::attach(|py| {
        configure(py, settings).map_err(|exception| trace::line(py, &exception))
    });
    let (loggers, least) = configured.map_err(|reason| anyhow!("logconfig: {reason}"))?;
    let queue = Arc::new(Queue::new(loggers));
    let redirect = Box::new(move |entry: Entry<'_>| queue.put(Record::of(entry)));
    logging::redirect(Some(redirect), least);
    Ok(())
}

/// Before a process ends: what waits is handed over.
pub(crate) fn finish() {
    queue::finish();
}

/// The functions of `oxicorn.logs` that take records, and the least level that is worth one.
fn configure(py: Python<'_>, settings: &Settings) -> PyResult<(Py<PyAny>, Level)> {
    let config = &settings.logconfig;
    // Handlers and filters may be the application's.
    extend_search_path(py, settings)?;
    let options = PyDict::new(py);
    options.set_item("level", settings.loglevel.name())?;
    options.set_item("access_format", access_format(settings))?;
    options.set_item("dictionary", config.dict.as_deref())?;
    options.set_item("json_file", config.json.as_deref())?;
    options.set_item("file", config.file.as_deref())?;
    let loggers = py
        .import("oxicorn.logs")?
        .getattr("Loggers")?
        .call((), Some(&options))?;
    let least: String = loggers.getattr("level")?.extract()?;
    let least = Level::named(&least).unwrap_or(Level::Debug);
    Ok((loggers.unbind(), least))
}

impl Record {
    fn of(entry: Entry<'_>) -> Self {
        match entry {
            Entry::Error { level, text, .. } => Self::Error {
                level,
                text: text.to_owned(),
            },
            Entry::Access { format, entry } => Self::Access {
                atoms: atoms_of(format, entry),
            },
            Entry::Reopen => Self::Reopen,
        }
    }

    /// Calls the loggers; an exception of theirs goes to the file of the error log.
    fn hand_over(self, py: Python<'_>, loggers: &Bound<'_, PyAny>) {
        let outcome = match self {
            Self::Error { level, text } => loggers.call_method1("error", (number(level), text)),
            Self::Access { atoms } => {
                dictionary(py, atoms).and_then(|atoms| loggers.call_method1("access", (atoms,)))
            }
            Self::Reopen => loggers.call_method0("reopen"),
        };
        if let Err(exception) = outcome {
            let text = trace::text(py, &exception);
            logging::write_error(Level::Error, &format!("Exception while logging\n{text}"));
        }
    }
}

/// The format as Python's `%` can have it without doing harm.
fn access_format(settings: &Settings) -> String {
    let format = AccessFormat::parse(&settings.access_log_format);
    format.map_or_else(|_| settings.access_log_format.clone(), |it| it.python())
}

fn atoms_of(format: &AccessFormat, entry: &AccessEntry<'_>) -> Vec<(String, AtomValue)> {
    let mut atoms = Vec::with_capacity(32);
    entry.atoms(format, |name, value| atoms.push((name.to_owned(), value)));
    atoms
}

fn dictionary(py: Python<'_>, atoms: Vec<(String, AtomValue)>) -> PyResult<Bound<'_, PyDict>> {
    let dictionary = PyDict::new(py);
    for (name, value) in atoms {
        match value {
            AtomValue::Number(number) => dictionary.set_item(name, number)?,
            AtomValue::Text(text) => dictionary.set_item(name, text)?,
        }
    }
    Ok(dictionary)
}

/// Of Python's `logging`.
fn number(level: Level) -> u8 {
    match level {
        Level::Debug => 10,
        Level::Info => 20,
        Level::Warning => 30,
        Level::Error => 40,
        Level::Critical => 50,
    }
}

/// What the handler that writes to our own logs calls.
#[pymodule]
pub(crate) mod _logs {
    use oxicorn_common::logging::{self, Level};
    use pyo3::prelude::*;

    use crate::interpreter::outside_forks;

    /// Writes a record to the error log, and to syslog where that is on.
    #[pyfunction]
    fn write_error(py: Python<'_>, number: i64, text: &str) {
        let level = match number {
            ..20 => Level::Debug,
            20..30 => Level::Info,
            30..40 => Level::Warning,
            40..50 => Level::Error,
            50.. => Level::Critical,
        };
        outside_forks(py, || logging::write_error(level, text));
    }

    /// Writes a line without its end to the access log, and to syslog where that is on.
    #[pyfunction]
    fn write_access(py: Python<'_>, line: &str) {
        let line = format!("{line}\n");
        outside_forks(py, || logging::write_access(line.as_bytes()));
    }
}
