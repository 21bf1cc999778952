//! Python as the host of the server: it is told about each fork, and finishes a child before its
//! exit.
//!
//! ```text
//!   master's loop (lock released) --lock--> PyOS_BeforeFork, fork --+--> AfterFork_Parent --unlock--> loop
//!                                                                   '--> AfterFork_Child  --unlock--> worker
//! ```

use std::ffi::OsString;
use std::io;

use log::warn;
use nix::unistd::Pid;
use oxicorn::{Fork, Host, ShowTitle};
use oxicorn_common::Settings;
use pyo3::ffi;
use pyo3::prelude::*;

use crate::{fork_lock, logs, trace};

#[derive(Debug)]
pub(crate) struct Interpreter;

impl Host for Interpreter {
    /// Config files and applications may start some. A fork waits for the interpreter's lock and
    /// for threads in [`fork_lock::outside_forks`], so no thread holds a lock that the child needs.
    fn allows_threads(&self) -> bool {
        true
    }

    fn around_fork(&self, fork: Fork<'_>) -> io::Result<Option<Pid>> {
        Python::attach(|_| {
            // First, as it waits for handlers of `logging`, which may still have to log outside forks.
            // SAFETY: this thread holds the lock, as the function requires.
            unsafe { ffi::PyOS_BeforeFork() };
            let forking = fork_lock::forking();
            let forked = fork();
            drop(forking);
            match forked {
                // SAFETY: in the child, on the thread that forked, as the function requires.
                Ok(None) => unsafe { ffi::PyOS_AfterFork_Child() },
                // SAFETY: in the parent, whether or not the fork has succeeded.
                _ => unsafe { ffi::PyOS_AfterFork_Parent() },
            }
            forked
        })
    }

    fn open_logs(&self, settings: &Settings) -> anyhow::Result<()> {
        logs::open(settings)
    }

    /// The command line of the interpreter: the program may be a script or a module.
    fn command(&self) -> Option<Vec<OsString>> {
        let command = Python::attach(|py| {
            py.import("oxicorn.command")?
                .call_method0("line")?
                .extract()
        });
        command
            .inspect_err(|error| warn!("cannot tell the command line: {error}"))
            .ok()
    }

    /// Uses the same library as applications do, if it is installed, like gunicorn: only the first
    /// to overwrite the memory of the arguments finds it.
    fn title(&self) -> Option<ShowTitle> {
        let show = Python::attach(|py| {
            let module = py.import("setproctitle").ok()?;
            Some(module.getattr("setproctitle").ok()?.unbind())
        })?;
        Some(Box::new(move |title| {
            Python::attach(|py| {
                if let Err(error) = show.call1(py, (title,)) {
                    warn!("cannot set the title: {}", trace::line(py, &error));
                }
            });
        }))
    }

    fn share(&self) {
        Python::attach(|py| {
            if let Err(error) = call(py, "oxicorn.shared", "load") {
                warn!("cannot share: {}", trace::line(py, &error));
            }
        });
    }

    /// Waits for the application's threads, runs its `atexit` functions and flushes the standard
    /// streams, like the end of any Python process.
    fn leave(&self) {
        Python::attach(|py| {
            for (module, path) in [
                ("threading", "_shutdown"),
                ("atexit", "_run_exitfuncs"),
                ("sys", "stdout.flush"),
                ("sys", "stderr.flush"),
            ] {
                if let Err(error) = call(py, module, path) {
                    let text = trace::text(py, &error);
                    warn!("Exception at the end of the worker, in {module}.{path}:\n{text}");
                }
            }
        });
        logs::finish();
    }
}

/// Calls the function at an attribute path of `module`.
fn call(py: Python<'_>, module: &str, path: &str) -> PyResult<()> {
    let mut found = py.import(module)?.into_any();
    for name in path.split('.') {
        found = found.getattr(name)?;
        if found.is_none() {
            // A process may have no standard streams.
            return Ok(());
        }
    }
    found.call0()?;
    Ok(())
}
