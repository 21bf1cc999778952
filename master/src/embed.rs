//! `run` and `run_application`: the complete `main` of a program with its own application.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use oxicorn_common::settings::ApplicationSettings;
use oxicorn_common::{App, Application, LoadError, Settings, WorkerContext};

use crate::run::{UsageError, serve};

/// Serves the application that `load` makes. `load` runs once in each worker, after the fork; what
/// it returns is shared by the worker's request threads.
///
/// The program has the command line, environment and exit codes of the `oxicorn` command, except that it takes no
/// positional argument. Must be called first in `main`, before any thread is started.
pub fn run<A, L>(load: L) -> ExitCode
where
    A: App,
    L: Fn(&WorkerContext) -> anyhow::Result<A> + Send + Sync + 'static,
{
    // The file name is the only name of the program.
    let program = std::env::args_os().next().map(PathBuf::from);
    let name = program.as_deref().and_then(Path::file_name);
    let name = name.map_or_else(|| "application".into(), OsStr::to_string_lossy);
    run_application(Arc::new(Embedded {
        name: name.into_owned(),
        load,
    }))
}

/// As [`run`], for an application with a name of its own or with background work.
pub fn run_application(application: Arc<dyn Application>) -> ExitCode {
    let own = ApplicationSettings::of_program(application.settings());
    serve(own, move |settings: &Settings| {
        if let Some(name) = &settings.application {
            let text = format!("unexpected argument {name}: this serves its own application");
            return Err(UsageError(text).into());
        }
        Ok(Arc::clone(&application))
    })
}

struct Embedded<L> {
    name: String,
    load: L,
}

impl<A, L> Application for Embedded<L>
where
    A: App,
    L: Fn(&WorkerContext) -> anyhow::Result<A> + Send + Sync,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn load(&self, context: &WorkerContext) -> Result<Box<dyn App>, LoadError> {
        Ok(Box::new((self.load)(context)?))
    }
}
