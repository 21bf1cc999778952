//! Python as the host of the server: it hears of each fork, and has the last word in a child.
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
    /// Config files and applications may start some. A fork waits for the interpreter's lock and for those that
    /// are [`fork_lock::outside_forks`], so it cuts none off where it holds what a child may need.
    fn allows_threads(&self) -> bool {
        true
    }

    fn around_fork(&self, fork: Fork<'_>) -> io::Result<Option<Pid>> {
        Python::attach(|_| {
            let _forking = fork_lock::forking();
            // SAFETY: this thread has the lock, as the function asks.
            unsafe { ffi::PyOS_BeforeFork() };
            let forked = fork();
            match forked {
                // SAFETY: in the child, by the thread that forked, as the function asks.
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

    /// The interpreter's own: a script may begin with it, or be a module's.
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

    /// By the library that applications use for it, where it is there, as in gunicorn: only the first to write
    /// to the memory of the arguments finds it.
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

    /// Waits for the threads that the application has started, runs what it has registered with
    /// `atexit`, and flushes the standard streams, as the end of any Python process does.
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

/// Calls what is found in `module` at the end of the attribute path.
fn call(py: Python<'_>, module: &str, path: &str) -> PyResult<()> {
    let mut found = py.import(module)?.into_any();
    for name in path.split('.') {
        found = found.getattr(name)?;
        if found.is_none() {
            // A process may be without standard streams.
            return Ok(());
        }
    }
    found.call0()?;
    Ok(())
}
