//! The seam between the server and what it serves.
//!
//! An [`Application`] is a recipe: the master holds it and never runs it. A worker, after the
//! fork, turns it into an [`App`], which its request threads then call concurrently with ordinary
//! blocking code. A panic in an application is caught by the worker and becomes a 500.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::bell::Bell;
use crate::hooks::Hooks;
use crate::news::News;
use crate::outages::Outages;
use crate::request::Request;
use crate::response::Response;
use crate::settings::Settings;

/// Answers requests; shared by all request threads of one worker.
pub trait App: Send + Sync + 'static {
    /// Answers one request. Runs on a request thread and may block; the body has arrived whole.
    fn call(&self, request: &mut Request) -> Response;
}

impl<F> App for F
where
    F: Fn(&mut Request) -> Response + Send + Sync + 'static,
{
    fn call(&self, request: &mut Request) -> Response {
        self(request)
    }
}

/// How to make the application in a child process. Never called in the master.
pub trait Application: Send + Sync {
    /// The positional argument that names it, such as `native:hello`.
    fn name(&self) -> &str;

    /// Makes the application of a web worker: opens pools, warms caches. Runs once, after the fork.
    fn load(&self, context: &WorkerContext) -> Result<Box<dyn App>, LoadError>;

    /// The files that the code of this process was loaded from, for `reload` to watch; more may come
    /// while it runs. Called in a worker, by a thread that serves no requests.
    fn source_files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Makes the background work of a runner process, where the application has any.
    fn runner(&self, context: &WorkerContext) -> Result<Option<Runner>, LoadError> {
        let _ = context;
        Ok(None)
    }

    /// Whether [`Application::runner`] yields one: the master forks `runners` processes if so.
    fn has_runner(&self) -> bool {
        false
    }
}

/// The body of a runner process: returns when [`Stop::requested`] is true, or with an error that
/// the master logs before it starts another.
pub type Runner = Box<dyn FnOnce(&Stop) -> anyhow::Result<()> + Send>;

/// What a child process knows of itself when its application is made.
#[derive(Debug, Clone)]
pub struct WorkerContext {
    pub settings: Arc<Settings>,
    /// The scoreboard slot, 0 for the first child; a replacement may reuse it.
    pub slot: usize,
    /// Counts reloads: children of one generation share settings and application.
    pub generation: u32,
    /// Counts children over the life of the master, as gunicorn's `worker.age`.
    pub age: u64,
    /// Rung by web workers, heard by runners.
    pub bell: Bell,
    /// Shared by all children.
    pub outages: Outages,
    /// Shared by all children.
    pub news: News,
    pub hooks: Arc<dyn Hooks>,
}

/// Why an application could not be made. The exit code of the child is 4, as gunicorn's.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
pub struct LoadError(#[from] pub anyhow::Error);

/// Tells a runner that its process is to end.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    pub fn request(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub fn requested(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// How long a runner may sleep before it looks at [`Stop`] again.
pub const RUNNER_PATIENCE: Duration = Duration::from_millis(500);
