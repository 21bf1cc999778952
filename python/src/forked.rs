//! Processes that the application forks: where one comes back out of it, it ends.

use oxicorn_common::forks;
use pyo3::prelude::*;

/// Ends the process, if the application has forked it, by what its code has come to.
pub(crate) fn end_child<T>(py: Python<'_>, outcome: &PyResult<T>) {
    if !forks::is_child() {
        return;
    }
    let error = outcome.as_ref().err().map(|exception| exception.value(py));
    let left = py
        .import("oxicorn.forks")
        .and_then(|module| module.call_method1("leave", (error,)));
    // Not reached, unless there is no such module.
    forks::end_child(i32::from(left.is_err()));
}
