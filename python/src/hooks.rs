//! Calls the functions of a config file. `oxicorn/hooks.py` makes their arguments.

use std::sync::{Arc, OnceLock};

use oxicorn_common::Settings;
use oxicorn_common::hooks::{HookError, HookEvent, Hooks};
use oxicorn_common::settings::{HookFunctions, Kind, SETTINGS};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::{logs, trace, values};

/// The functions from one reading of the config file.
#[derive(Debug)]
pub(crate) struct PythonFunctions {
    /// An `oxicorn.hooks.Hooks`.
    table: Arc<Py<PyAny>>,
}

/// The functions from one reading, with the settings that belong to them.
#[derive(Debug)]
pub(crate) struct PythonHooks {
    table: Arc<Py<PyAny>>,
    settings: Settings,
    settled: OnceLock<()>,
}

impl PythonFunctions {
    pub(crate) fn new(functions: Bound<'_, PyDict>) -> PyResult<Self> {
        let module = functions.py().import("oxicorn.hooks")?;
        let table = module.getattr("Hooks")?.call1((functions,))?;
        Ok(Self {
            table: Arc::new(table.unbind()),
        })
    }
}

impl HookFunctions for PythonFunctions {
    fn with_settings(&self, settings: &Settings) -> Arc<dyn Hooks> {
        Arc::new(PythonHooks {
            table: Arc::clone(&self.table),
            settings: settings.clone(),
            settled: OnceLock::new(),
        })
    }
}

impl PythonHooks {
    /// The table; it gets its settings on first use.
    pub(crate) fn table<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyAny>> {
        let table = self.table.bind(py);
        if self.settled.get().is_none() {
            let hooks = SETTINGS
                .iter()
                .filter(|row| matches!(row.kind, Kind::Hook(_)));
            let names: Vec<_> = hooks.map(|row| row.name).collect();
            table.call_method1("settle", (values::of(py, &self.settings)?, names))?;
            let _ = self.settled.set(());
        }
        Ok(table)
    }

    fn dispatch(&self, py: Python<'_>, event: HookEvent) -> PyResult<()> {
        let table = self.table(py)?;
        let name = event.hook().unwrap_or("forked");
        match event {
            HookEvent::Starting
            | HookEvent::Ready
            | HookEvent::Reloaded
            | HookEvent::PreExec
            | HookEvent::Exit => table.call_method0(name)?,
            HookEvent::Upgrade {
                old_master,
                new_master,
            } => table.call_method1("upgrade", (old_master, new_master))?,
            HookEvent::MoldExit { pid } => table.call_method1("mold_exit", (pid,))?,
            HookEvent::WorkersChanged { new, old } => table.call_method1(name, (new, old))?,
            HookEvent::Forked { age, pid } => table.call_method1(name, (age, pid))?,
            HookEvent::PreFork { age }
            | HookEvent::ChildExit { age }
            | HookEvent::PostFork { age }
            | HookEvent::PostWorkerInit { age }
            | HookEvent::WorkerInt { age }
            | HookEvent::WorkerAbort { age }
            | HookEvent::WorkerExit { age } => table.call_method1(name, (age,))?,
        };
        Ok(())
    }
}

impl Hooks for PythonHooks {
    fn call(&self, event: HookEvent) -> Result<(), HookError> {
        Python::attach(|py| {
            let called = self.dispatch(py, event);
            logs::follow(py, &self.settings);
            called.map_err(|exception| HookError {
                hook: event.hook().unwrap_or("forked"),
                traceback: trace::text(py, &exception),
            })
        })
    }
}
