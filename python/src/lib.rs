//! The extension module of the wheel: master and workers in the Python process, and the WSGI host.
//!
//! ```text
//!   interpreter      Python as the host of the server: forks, titles, the end of a child
//!   fork_lock        no thread holds a lock of ours during a fork
//!   application      `module:callable`: finds and loads it
//!   app              one request: environ in, response out
//!   thread_context   what a request thread keeps between requests
//!   environ          the environ of a request
//!   wsgi_input       wsgi.input
//!   response_state   start_response, write and early hints
//!   response_head    status and fields, validated
//!   body             the return value of the application as a body
//!   hooks            calls the functions of the config file; request_hooks around requests
//!   config_file      executes config files
//!   program          programs that embed the server
//!   logs             Python's logging
//!   forked           processes that the application forks
//! ```
//!
//! The interpreter's lock is held while Python code runs, and never during I/O or in the event
//! loop.
#![allow(
    unsafe_code,
    reason = "the edge of the interpreter: each block says why it is sound"
)]

mod app;
mod application;
mod body;
mod config_file;
mod environ;
mod errors;
mod file_wrapper;
mod fork_lock;
mod forked;
mod hooks;
mod interpreter;
mod logs;
mod program;
mod request_hooks;
mod response_head;
mod response_state;
mod search_path;
mod stacks;
mod text;
mod thread_context;
mod trace;
mod values;
mod wsgi_input;

use pyo3::prelude::*;

#[pymodule]
mod _oxicorn {
    use std::ffi::OsString;
    use std::sync::Arc;

    use oxicorn::{Settings, Source};
    use oxicorn_common::SERVER_SOFTWARE;
    use oxicorn_common::settings::{Loaded, SETTINGS};
    use oxicorn_common::signals;
    use pyo3::exceptions::PyValueError;
    use pyo3::prelude::*;
    use pyo3::types::PyDict;

    use crate::application::resolve;
    use crate::config_file::PythonConfigReader;
    use crate::interpreter::Interpreter;
    use crate::program::Program;
    use crate::values;

    #[pymodule_export]
    use crate::file_wrapper::FileWrapper;
    #[pymodule_export]
    use crate::logs::_logs;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("SERVER_SOFTWARE", SERVER_SOFTWARE)
    }

    /// Serves by the command line `arguments`, program name first, or controls a server that runs. Returns the exit code.
    #[pyfunction]
    fn main(py: Python<'_>, arguments: Vec<OsString>) -> PyResult<u8> {
        announce(py)?;
        let source = Source::process()?;
        let directory = source.directory.clone();
        let source = Source {
            arguments,
            reader: Arc::new(PythonConfigReader { directory }),
            applications: oxicorn::native_settings(),
            ..source
        };
        if let Some(code) = py.detach(|| oxicorn::control(&source)) {
            return Ok(code);
        }
        let resolve = |settings: &Settings| resolve(settings);
        Ok(py.detach(|| oxicorn::serve_in(Arc::new(Interpreter), source, resolve)))
    }

    /// Serves `application`, an `oxicorn.app.base.BaseApplication` called `name`, by its own
    /// settings. If `arguments` are given, that command line and the environment take precedence.
    /// Returns the exit code.
    #[pyfunction]
    #[pyo3(signature = (application, name, arguments=None))]
    fn serve(
        py: Python<'_>,
        application: Py<PyAny>,
        name: String,
        arguments: Option<Vec<OsString>>,
    ) -> PyResult<u8> {
        announce(py)?;
        let program = Arc::new(Program::new(application, name, arguments));
        let source = program.source(Source::process()?);
        let resolve = move |_: &Settings| Ok(program.application());
        Ok(py.detach(|| oxicorn::serve_in(Arc::new(Interpreter), source, resolve)))
    }

    /// Publishes the name of the server to applications and hooks.
    fn announce(py: Python<'_>) -> PyResult<()> {
        py.import("oxicorn.identity")?.call_method0("announce")?;
        // Imported before a directory of the project is on the search path.
        py.import("oxicorn.hooks")?;
        py.import("oxicorn.gunicorn_names")?
            .call_method0("install")?;
        Ok(())
    }

    /// The settings in `arguments`, program name first: lists of strings by name.
    #[pyfunction]
    fn command_line(py: Python<'_>, arguments: Vec<OsString>) -> PyResult<Bound<'_, PyDict>> {
        let given = PyDict::new(py);
        let found = Settings::on_command_line(&arguments);
        for (name, values) in found.map_err(|error| PyValueError::new_err(error.to_string()))? {
            given.set_item(name, values)?;
        }
        Ok(given)
    }

    /// The config file named by `arguments`, program name first, the environment or the env file.
    #[pyfunction]
    fn config_given(arguments: Vec<OsString>) -> PyResult<Option<String>> {
        let source = Source {
            arguments,
            ..Source::process()?
        };
        Loaded::config_given(&source).map_err(|error| PyValueError::new_err(error.to_string()))
    }

    /// Restores the server's signal handlers. False if `number` is not one of its signals.
    #[pyfunction]
    fn reclaim_signal(number: i32) -> PyResult<bool> {
        signals::reclaim()?;
        Ok(signals::caught().any(|signal| signal as i32 == number))
    }

    /// Asks the master to replace this worker.
    #[pyfunction]
    fn retire() {
        crate::app::retire();
    }

    /// Validates `value` for the setting `name`, and returns what the server makes of it; `kind`
    /// and `what` come from `oxicorn.config_file.convert`.
    #[pyfunction]
    fn checked<'py>(
        name: &str,
        kind: &str,
        what: &Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let row = SETTINGS.iter().find(|row| row.name == name);
        match row.filter(|row| !row.is_hook()) {
            Some(row) => crate::config_file::checked(row, kind, what),
            None if value.is_none() || value.is_callable() => Ok(value.clone()),
            None => Err(PyValueError::new_err(format!("{name} is no function"))),
        }
    }

    /// The default of each setting by its name; `None` for a hook.
    #[pyfunction]
    fn defaults(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
        let defaults = values::of(py, &Settings::default())?;
        for row in SETTINGS.iter().filter(|row| row.is_hook()) {
            defaults.set_item(row.name, py.None())?;
        }
        Ok(defaults)
    }
}
