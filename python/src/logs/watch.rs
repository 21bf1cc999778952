//! Notices whether the loggers have changed since the last check, by comparing pointers and
//! lengths. It runs no Python code.

use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyType};

/// Only locked while holding the interpreter's lock, and never while Python code runs, so that it
/// is free during a fork.
static FACTS: Mutex<Vec<Fact>> = Mutex::new(Vec::new());

/// Something that was true at the last check.
#[derive(Debug)]
enum Fact {
    /// The value of a dictionary under a key.
    Item(Py<PyDict>, Py<PyString>, Option<Py<PyAny>>),
    /// The first item of a list.
    First(Py<PyList>, Option<Py<PyAny>>),
    Entries(Py<PyDict>, usize),
    Length(Py<PyList>, usize),
    Class(Py<PyAny>, Py<PyType>),
}

/// Remembers the present values of the `facts` that `state` in `oxicorn/logs.py` lists.
pub(super) fn remember(facts: &Bound<'_, PyAny>) -> PyResult<()> {
    let facts = facts.try_iter()?.map(|fact| Fact::of(&fact?));
    let facts = facts.collect::<PyResult<Vec<_>>>()?;
    let before = std::mem::replace(&mut *lock(), facts);
    drop(before);
    Ok(())
}

/// Whether one of the remembered facts has changed.
pub(super) fn has_changed(py: Python<'_>) -> bool {
    lock().iter().any(|fact| !fact.holds(py))
}

impl Fact {
    fn of(fact: &Bound<'_, PyAny>) -> PyResult<Self> {
        let (kind, thing) = (fact.get_item(0)?, fact.get_item(1)?);
        Ok(match &*kind.extract::<String>()? {
            "item" => {
                let dictionary = thing.cast_into::<PyDict>()?;
                let key = fact.get_item(2)?.cast_into::<PyString>()?;
                let value = dictionary.get_item(&key)?.map(Bound::unbind);
                Self::Item(dictionary.unbind(), key.unbind(), value)
            }
            "first" => {
                let list = thing.cast_into::<PyList>()?;
                let first = list.get_item(0).ok().map(Bound::unbind);
                Self::First(list.unbind(), first)
            }
            "length" => match thing.cast_into::<PyDict>() {
                Ok(dictionary) => {
                    let length = dictionary.len();
                    Self::Entries(dictionary.unbind(), length)
                }
                Err(other) => {
                    let list = other.into_inner().cast_into::<PyList>()?;
                    let length = list.len();
                    Self::Length(list.unbind(), length)
                }
            },
            "class" => {
                let class = thing.get_type().unbind();
                Self::Class(thing.unbind(), class)
            }
            kind => return Err(PyValueError::new_err(format!("no fact is called {kind}"))),
        })
    }

    fn holds(&self, py: Python<'_>) -> bool {
        let is = |now: Option<Bound<'_, PyAny>>, then: &Option<Py<PyAny>>| {
            now.as_ref().map(Bound::as_ptr) == then.as_ref().map(Py::as_ptr)
        };
        match self {
            Self::Item(dictionary, key, value) => dictionary
                .bind(py)
                .get_item(key)
                .is_ok_and(|now| is(now, value)),
            Self::First(list, first) => is(list.bind(py).get_item(0).ok(), first),
            Self::Entries(dictionary, length) => dictionary.bind(py).len() == *length,
            Self::Length(list, length) => list.bind(py).len() == *length,
            Self::Class(thing, class) => thing.bind(py).get_type().is(class),
        }
    }
}

fn lock() -> std::sync::MutexGuard<'static, Vec<Fact>> {
    FACTS.lock().unwrap_or_else(PoisonError::into_inner)
}
