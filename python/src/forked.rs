//! Ends a process forked by the application as soon as it returns from the application's code to the server.

use oxicorn_common::forks;
use pyo3::prelude::*;

/// Ends this process if the application forked it. The exit code depends on `outcome`.
pub(crate) fn end_child<T>(py: Python<'_>, outcome: &PyResult<T>) {
    if !forks::is_child() {
        return;
    }
    let error = outcome.as_ref().err().map(|exception| exception.value(py));
    let left = py
        .import("oxicorn.forks")
        .and_then(|module| module.call_method1("leave", (error,)));
    // Reached only if the module is missing.
    forks::end_child(i32::from(left.is_err()));
}
