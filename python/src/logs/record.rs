//! One log record on its way to the logger of the settings, in a form that any thread can keep.

use std::sync::Arc;

use oxicorn_common::logging::{
    self, AccessEntry, AccessFormat, AtomValue, Level, LogEntry, RequestTag,
};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::request::SeenRequest;
use crate::trace;

/// A record of the error log or of the access log.
#[derive(Debug)]
pub(crate) enum Record {
    Error {
        level: Level,
        text: String,
        tag: Box<RequestTag>,
    },
    Access {
        /// The access log format, in Python's form.
        form: Arc<str>,
        atoms: Vec<(String, AtomValue)>,
        tag: Box<RequestTag>,
    },
    Request(Box<SeenRequest>, Box<RequestTag>),
    Reopen,
}

impl Record {
    pub(super) fn of(entry: LogEntry<'_>, form: &Arc<str>, wants_objects: bool) -> Self {
        match entry {
            LogEntry::Error {
                level, text, tag, ..
            } => Self::Error {
                level,
                text: text.to_owned(),
                tag: Box::new(tag),
            },
            LogEntry::Access { format, entry } if wants_objects => {
                let tag = Box::new(RequestTag::of(entry.head));
                Self::Request(Box::new(SeenRequest::of(format, entry)), tag)
            }
            LogEntry::Access { format, entry } => Self::Access {
                form: Arc::clone(form),
                atoms: atoms_of(format, entry),
                tag: Box::new(RequestTag::of(entry.head)),
            },
            LogEntry::Reopen => Self::Reopen,
        }
    }

    /// Calls the logger. If it raises, the traceback goes to the file of the error log.
    pub(super) fn hand_over(self, py: Python<'_>, module: &Bound<'_, PyAny>) {
        let outcome = match self {
            Self::Error { level, text, tag } => {
                let _scope = tag.enter();
                module.call_method1("error", (level.name(), text))
            }
            Self::Access { form, atoms, tag } => {
                let _scope = tag.enter();
                dictionary(py, atoms)
                    .and_then(|atoms| module.call_method1("atoms", (&*form, atoms)))
            }
            Self::Request(request, tag) => {
                let _scope = tag.enter();
                let request = request.to_python(py);
                request.and_then(|request| module.call_method1("request", (request,)))
            }
            Self::Reopen => module.call_method0("reopen"),
        };
        if let Err(exception) = outcome {
            let text = trace::text(py, &exception);
            logging::write_error(Level::Error, &format!("Exception while logging\n{text}"));
        }
    }
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
