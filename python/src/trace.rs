//! Exceptions as text for the error log.

use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::text::to_utf8;

/// The traceback as Python prints it, without the final line feed.
pub(crate) fn text(py: Python<'_>, error: &PyErr) -> String {
    let format = || -> PyResult<String> {
        let lines = py.import("traceback")?.call_method1(
            "format_exception",
            (error.get_type(py), error.value(py), error.traceback(py)),
        )?;
        let text = PyString::new(py, "").call_method1("join", (lines,))?;
        Ok(to_utf8(text.cast::<PyString>()?)?.trim_end().to_owned())
    };
    // If the text cannot be made, the type still can.
    format().unwrap_or_else(|_| line(py, error))
}

/// Type and text of an exception in one line.
pub(crate) fn line(py: Python<'_>, error: &PyErr) -> String {
    let name = error.get_type(py).to_string();
    let name = error
        .get_type(py)
        .name()
        .map_or(name, |name| name.to_string());
    match error.value(py).str() {
        Ok(text) => {
            let text = to_utf8(&text).unwrap_or_default();
            format!("{name}: {text}").trim_end().replace('\n', " ")
        }
        Err(_) => name,
    }
}
