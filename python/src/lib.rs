//! The extension module of the wheel: master and workers in the Python process, and the WSGI host.
//!
//! ```text
//!   interpreter  what Python is told around a fork and at the end of a child
//!   application  module:callable as an application of the server
//!   app          one request: environ in, response out
//!   place        what a request thread keeps between requests
//!   environ      the request as PEP 3333 wants it
//!   exchange     start_response, write and early hints
//!   logs         Python's logging in place of the log files
//!   body         what the callable returns, as a body
//! ```
//!
//! The interpreter's lock is held while Python code runs, and never while bytes move or the event
//! loop turns.
#![allow(
    unsafe_code,
    reason = "the edge of the interpreter: each block says why it is sound"
)]

mod app;
mod application;
mod body;
mod environ;
mod errors;
mod exchange;
mod file_wrapper;
mod head;
mod input;
mod interpreter;
mod logs;
mod place;
mod stacks;
mod text;
mod trace;

use pyo3::prelude::*;

#[pymodule]
mod _oxicorn {
    use std::ffi::OsString;
    use std::sync::Arc;

    use oxicorn::{Settings, Source};
    use pyo3::prelude::*;

    use crate::application::resolve;
    use crate::interpreter::Interpreter;

    #[pymodule_export]
    use crate::file_wrapper::FileWrapper;
    #[pymodule_export]
    use crate::logs::_logs;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }

    /// Serves as `arguments` say, program name first; returns the exit code.
    #[pyfunction]
    fn main(py: Python<'_>, arguments: Vec<OsString>) -> PyResult<u8> {
        let source = Source::process()?;
        let source = Source {
            arguments,
            ..source
        };
        let resolve = |settings: &Settings| resolve(settings);
        Ok(py.detach(|| oxicorn::serve_in(Arc::new(Interpreter), source, resolve)))
    }
}
