//! A program that embeds the server and brings its own settings and application.

use std::ffi::OsString;
use std::sync::Arc;

use oxicorn::Source;
use oxicorn_common::Application;
use oxicorn_common::settings::{ConfigError, ConfigFile, ConfigPlace, ConfigReader};
use pyo3::prelude::*;

use crate::application::{AppSource, WsgiApplication};
use crate::config_file::{file, hook_arities};
use crate::trace;

/// Variables that are read even if the program has its own settings.
const KEPT: [&str; 10] = [
    "FORWARDED_ALLOW_IPS",
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "NOTIFY_SOCKET",
    "PORT",
    "SENDFILE",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "WEB_CONCURRENCY",
];

/// An `oxicorn.app.base.BaseApplication`.
#[derive(Debug)]
pub(crate) struct Program {
    object: Arc<Py<PyAny>>,
    name: String,
    /// The server's arguments, which override the settings of the program.
    arguments: Option<Vec<OsString>>,
}

impl Program {
    pub(crate) fn new(object: Py<PyAny>, name: String, arguments: Option<Vec<OsString>>) -> Self {
        Self {
            object: Arc::new(object),
            name,
            arguments,
        }
    }

    /// The sources of the settings. Unless the program passes `arguments`, its command line and
    /// most of its environment are its own.
    pub(crate) fn source(&self, process: Source) -> Source {
        let name = &self.name;
        let reader = Arc::new(ProgramSettings(Arc::clone(&self.object)));
        let place = ["-c".into(), format!("python:{name}").into()];
        if let Some(arguments) = &self.arguments {
            return Source {
                // The last one of a flag counts.
                arguments: arguments.iter().cloned().chain(place).collect(),
                reader,
                ..process
            };
        }
        let environment = process.environment.into_iter();
        Source {
            arguments: ["oxicorn".into()].into_iter().chain(place).collect(),
            environment: environment
                .filter(|(name, _)| name.starts_with("OXICORN_") || KEPT.contains(&&**name))
                .collect(),
            reader,
            ..process
        }
    }

    pub(crate) fn application(&self) -> Arc<dyn Application> {
        let object = Python::attach(|py| self.object.clone_ref(py));
        Arc::new(WsgiApplication::new(
            self.name.clone(),
            AppSource::Program(object),
        ))
    }
}

/// Reads the settings from the program.
#[derive(Debug)]
struct ProgramSettings(Arc<Py<PyAny>>);

impl ConfigReader for ProgramSettings {
    fn read(&self, place: &ConfigPlace) -> Result<ConfigFile, ConfigError> {
        Python::attach(|py| {
            let read = || {
                let module = py.import("oxicorn.config_file")?;
                let arguments = (&*self.0, hook_arities(py)?);
                file(place, &module.call_method1("of_program", arguments)?)
            };
            read().map_err(|exception| ConfigError::Failed(trace::text(py, &exception)))
        })
    }

    /// The program always serves its own application.
    fn serves_python(&self, _application: Option<&str>) -> bool {
        true
    }
}
