//! `module:callable` as an application of the server. Each worker loads it, or the mold loads it
//! once for all workers.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use anyhow::anyhow;
use log::warn;
use oxicorn::UsageError;
use oxicorn_common::{App, Application, LoadError, Settings, WorkerContext, logging, signals};
use pyo3::prelude::*;

use crate::app::WsgiApp;
use crate::search_path::extend_search_path;
use crate::{app, logs, thread_context, trace, values};

/// The application that the settings name, native or Python.
pub(crate) fn resolve(settings: &Settings) -> anyhow::Result<Arc<dyn Application>> {
    match settings.application.as_deref() {
        _ if settings.python.paste.is_some() => {
            let file = settings.python.paste.clone().unwrap_or_default();
            Ok(Arc::new(WsgiApplication::new(file, AppSource::Paste)))
        }
        Some(spec) if !spec.starts_with("native:") => Ok(Arc::new(WsgiApplication::new(
            spec.to_owned(),
            AppSource::Module,
        ))),
        None => {
            let text = "no application named: oxicorn MODULE:CALLABLE, such as wsgi:application, or \
                        wsgi_app in a config file";
            Err(UsageError(text.to_owned()).into())
        }
        _ => oxicorn::by_name(settings),
    }
}

/// A WSGI application that is not loaded yet.
#[derive(Debug)]
pub(crate) struct WsgiApplication {
    spec: String,
    source: AppSource,
    /// Set in a process that others are forked from, or may be.
    preloaded: OnceLock<Py<PyAny>>,
}

/// Where an application comes from.
#[derive(Debug)]
pub(crate) enum AppSource {
    /// `module:callable`.
    Module,
    /// A PasteDeploy file.
    Paste,
    /// What the program's own `wsgi` method returns.
    Program(Py<PyAny>),
}

impl Application for WsgiApplication {
    fn name(&self) -> &str {
        &self.spec
    }

    fn check(&self, settings: &Settings) -> Result<(), LoadError> {
        Python::attach(|py| {
            self.import(py, settings).map_err(|exception| {
                match is_app_error(py, &exception) {
                    true => LoadError::Unusable(anyhow!(trace::line(py, &exception))),
                    // There is no log for the traceback yet.
                    false => LoadError::Broken(anyhow!(trace::text(py, &exception))),
                }
            })
        })
        .map(drop)
    }

    fn preload(&self, settings: &Settings) -> Result<(), LoadError> {
        Python::attach(|py| {
            let failed = |exception: PyErr| LoadError::Broken(exception.into());
            let preload = py.import("oxicorn.preload").map_err(failed)?;
            let before = preload.call_method0("present").map_err(failed)?;
            let callable = self.find(py, settings)?;
            let _ = self.preloaded.set(callable);
            let concerns = preload.call_method1("settle", (before,)).map_err(failed)?;
            let concerns: Vec<String> = concerns.extract().map_err(failed)?;
            for concern in concerns {
                warn!("{}: {concern}", self.spec);
            }
            Ok(())
        })
    }

    fn can_preload(&self) -> bool {
        true
    }

    fn can_refork(&self) -> bool {
        true
    }

    fn settle(&self) -> Result<(), String> {
        thread_context::forget();
        Python::attach(|py| {
            let preload = py.import("oxicorn.preload");
            let threads = preload.and_then(|it| it.call_method0("settle_worker")?.extract());
            match threads {
                Ok(None) => Ok(()),
                Ok(Some(obstacle)) => Err(obstacle),
                Err(exception) => Err(trace::line(py, &exception)),
            }
        })
    }

    fn source_files(&self) -> Vec<PathBuf> {
        let files = Python::attach(module_files);
        files.unwrap_or_else(|exception| {
            warn!("cannot tell what to watch: {exception}");
            Vec::new()
        })
    }

    fn load(&self, context: &WorkerContext) -> Result<Box<dyn App>, LoadError> {
        Python::attach(|py| {
            show_signals(py).map_err(|exception| LoadError::Broken(exception.into()))?;
            let callable = match self.preloaded.get() {
                Some(callable) => callable.bind(py).clone(),
                None => self.find(py, &context.settings)?.into_bound(py),
            };
            if context.settings.recycling.refork_after > 0 {
                // Workers that are forked from this one have it then.
                let _ = self.preloaded.set(callable.clone().unbind());
            }
            app::begin();
            let worker = WsgiApp::new(callable, context);
            let worker = worker.map_err(|exception| LoadError::Broken(exception.into()))?;
            Ok(Box::new(worker) as Box<dyn App>)
        })
    }
}

/// The source file of every loaded module.
fn module_files(py: Python<'_>) -> PyResult<Vec<PathBuf>> {
    let files = py.import("oxicorn.modules")?.call_method0("files")?;
    files.extract()
}

impl WsgiApplication {
    /// `spec` names the application in the log.
    pub(crate) fn new(spec: String, source: AppSource) -> Self {
        Self {
            spec,
            source,
            preloaded: OnceLock::new(),
        }
    }

    fn find(&self, py: Python<'_>, settings: &Settings) -> Result<Py<PyAny>, LoadError> {
        let found = self.import(py, settings);
        logs::follow(py, settings);
        found.map_err(|exception| {
            let reason = anyhow!(trace::line(py, &exception));
            if is_app_error(py, &exception) {
                return LoadError::Unusable(reason);
            }
            let text = trace::text(py, &exception);
            logging::exception(&format!("Exception while loading {}\n{text}", self.spec));
            match settings.reload.enabled {
                // Clients may have to see it.
                true => LoadError::Broken(anyhow!(text)),
                false => LoadError::Broken(reason),
            }
        })
    }

    fn import(&self, py: Python<'_>, settings: &Settings) -> PyResult<Py<PyAny>> {
        extend_search_path(py, settings)?;
        set_environment(py, settings)?;
        py.import("oxicorn.standard_library")?
            .call_method0("give_way")?;
        let module = py.import("oxicorn.spec")?;
        let callable = match &self.source {
            AppSource::Module => module.call_method1("load", (&self.spec,))?,
            AppSource::Paste => {
                let globals = values::pairs(py, &settings.python.paste_global)?;
                module.call_method1("load_paste", (&self.spec, globals))?
            }
            AppSource::Program(program) => program.bind(py).call_method0("wsgi")?,
        };
        Ok(callable.unbind())
    }
}

/// Shows Python code that the server's signals have handlers, and keeps these handlers.
fn show_signals(py: Python<'_>) -> PyResult<()> {
    let numbers: Vec<i32> = signals::caught().map(|signal| signal as i32).collect();
    let module = py.import("oxicorn.signals")?;
    module.call_method1("install", (numbers,))?;
    Ok(signals::reclaim()?)
}

/// Variables of the master. They are already gone from the process, but not from `os.environ`.
const MASTER_VARIABLES: [&str; 10] = [
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "NOTIFY_SOCKET",
    "OXICORN_ADMIN_FD",
    "OXICORN_FD",
    "OXICORN_HANDOVER",
    "OXICORN_PID",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// Brings `os.environ`, which Python read at its start, up to date with `raw_env` and without the
/// variables of the master.
fn set_environment(py: Python<'_>, settings: &Settings) -> PyResult<()> {
    let environ = py.import("os")?.getattr("environ")?;
    for name in MASTER_VARIABLES {
        environ.call_method1("pop", (name, py.None()))?;
    }
    let mut pairs = settings.raw_env.iter();
    pairs.try_for_each(|(name, value)| environ.set_item(name, value))
}

fn is_app_error(py: Python<'_>, exception: &PyErr) -> bool {
    let module = py.import("oxicorn.spec");
    let kind = module.and_then(|module| module.getattr("AppError"));
    kind.is_ok_and(|kind| exception.is_instance(py, &kind))
}
