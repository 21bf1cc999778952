//! `sys.path`: where the modules of the application, its loggers and its hooks are found.

use std::path::Path;

use oxicorn_common::Settings;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyListMethods};

/// Adds the working directory and the directories of `pythonpath`.
pub(crate) fn extend_search_path(py: Python<'_>, settings: &Settings) -> PyResult<()> {
    py.import("oxicorn.standard_library")?
        .call_method0("protect")?;
    put_first(py, &std::env::current_dir()?)?;
    let mut directories = settings.python.path.iter();
    directories.try_for_each(|directory| put_first(py, directory))
}

/// Puts a directory first, unless the path already has it.
fn put_first(py: Python<'_>, directory: &Path) -> PyResult<()> {
    let path = py.import("sys")?.getattr("path")?.cast_into::<PyList>()?;
    let directory = directory.as_os_str();
    if !path.contains(directory)? {
        path.insert(0, directory)?;
    }
    Ok(())
}
