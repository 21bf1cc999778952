//! Exceptions as text for the error log.

use pyo3::prelude::*;

/// The traceback, as Python prints it, without the last line feed.
pub(crate) fn text(py: Python<'_>, error: &PyErr) -> String {
    let format = || -> PyResult<String> {
        let lines = py.import("traceback")?.call_method1(
            "format_exception",
            (error.get_type(py), error.value(py), error.traceback(py)),
        )?;
        let lines: Vec<String> = lines.extract()?;
        Ok(lines.concat().trim_end().to_owned())
    };
    // An exception whose text cannot be had still has a type.
    format().unwrap_or_else(|_| line(py, error))
}

/// Type and text of the exception in one line.
pub(crate) fn line(py: Python<'_>, error: &PyErr) -> String {
    let name = error.get_type(py).to_string();
    let name = error
        .get_type(py)
        .name()
        .map_or(name, |name| name.to_string());
    match error.value(py).str() {
        Ok(text) => format!("{name}: {text}").trim_end().replace('\n', " "),
        Err(_) => name,
    }
}
