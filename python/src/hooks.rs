//! The functions of a config file, called with the lock held. `oxicorn/hooks.py` has the objects that
//! they are given.

use std::sync::OnceLock;

use oxicorn_common::Settings;
use oxicorn_common::hooks::{HookError, HookEvent, Hooks};
use oxicorn_common::settings::{Kind, SETTINGS};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::{logs, trace, values};

/// The functions of one reading.
#[derive(Debug)]
pub(crate) struct PythonHooks {
    /// An `oxicorn.hooks.Hooks`.
    table: Py<PyAny>,
    settled: OnceLock<()>,
}

impl PythonHooks {
    pub(crate) fn new(functions: Bound<'_, PyDict>) -> PyResult<Self> {
        let module = functions.py().import("oxicorn.hooks")?;
        let table = module.getattr("Hooks")?.call1((functions,))?;
        Ok(Self {
            table: table.unbind(),
            settled: OnceLock::new(),
        })
    }

    /// The table, which knows the settings that go with it.
    pub(crate) fn table<'py>(
        &self,
        py: Python<'py>,
        settings: &Settings,
    ) -> PyResult<&Bound<'py, PyAny>> {
        let table = self.table.bind(py);
        if self.settled.get().is_none() {
            let hooks = SETTINGS
                .iter()
                .filter(|row| matches!(row.kind, Kind::Hook(_)));
            let names: Vec<_> = hooks.map(|row| row.name).collect();
            table.call_method1("settle", (values::of(py, settings)?, names))?;
            let _ = self.settled.set(());
        }
        Ok(table)
    }

    fn tell(&self, py: Python<'_>, event: HookEvent, settings: &Settings) -> PyResult<()> {
        let table = self.table(py, settings)?;
        let name = event.hook().unwrap_or("forked");
        match event {
            HookEvent::Starting
            | HookEvent::Ready
            | HookEvent::Reloaded
            | HookEvent::PreExec
            | HookEvent::Exit => table.call_method0(name)?,
            HookEvent::Succession {
                predecessor,
                successor,
            } => table.call_method1("succession", (predecessor, successor))?,
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
    fn call(&self, event: HookEvent, settings: &Settings) -> Result<(), HookError> {
        Python::attach(|py| {
            let told = self.tell(py, event, settings);
            logs::follow(py, settings);
            told.map_err(|exception| HookError {
                hook: event.hook().unwrap_or("forked"),
                traceback: trace::text(py, &exception),
            })
        })
    }
}
