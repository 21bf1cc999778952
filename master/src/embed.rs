//! A whole `main` for a program that brings its own application.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use oxicorn_common::{App, Application, LoadError, Settings, WorkerContext};

use crate::run::serve;

/// Serves the application that `load` makes. `load` runs once in each worker, after the fork; what
/// it returns is shared by the worker's request threads.
///
/// The program has the command line, environment and exit codes of the `oxicorn` command, except
/// that it takes no positional argument. To be called first in `main`, before any thread is
/// started.
pub fn run<A, L>(load: L) -> ExitCode
where
    A: App,
    L: Fn(&WorkerContext) -> anyhow::Result<A> + Send + Sync + 'static,
{
    run_application(Arc::new(Embedded { load }))
}

/// As [`run`], for an application with a name of its own or with background work.
pub fn run_application(application: Arc<dyn Application>) -> ExitCode {
    serve(move |settings: &Settings| {
        if let Some(name) = &settings.application {
            bail!("unexpected argument {name}: this program serves its own application");
        }
        Ok(Arc::clone(&application))
    })
}

struct Embedded<L> {
    load: L,
}

impl<A, L> Application for Embedded<L>
where
    A: App,
    L: Fn(&WorkerContext) -> anyhow::Result<A> + Send + Sync,
{
    fn name(&self) -> &str {
        "application"
    }

    fn load(&self, context: &WorkerContext) -> Result<Box<dyn App>, LoadError> {
        Ok(Box::new((self.load)(context)?))
    }
}
