//! The seam between the server and what it serves.
//!
//! An [`Application`] is a recipe: the master holds it and never runs it. A worker, after the
//! fork, turns it into an [`App`], which its request threads then call concurrently with ordinary
//! blocking code. A panic in an application is caught by the worker and becomes a 500.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::bell::Bell;
use crate::hooks::Hooks;
use crate::request::Request;
use crate::response::{Fields, Response};
use crate::scoreboard::Scoreboard;
use crate::settings::{Setting, Settings};
use crate::shared_memory::SharedMemory;

/// Answers requests; shared by all request threads of one worker.
pub trait App: Send + Sync + 'static {
    /// Answers one request. Runs on a request thread and may block; the body has arrived whole.
    ///
    /// Most applications leave `sink` alone. What it has sent of a response is sent: if it has sent
    /// a head, only the body of what is returned counts, and goes on where the sink ended.
    fn call(&self, request: &mut Request, sink: &mut ResponseSink<'_>) -> Response;

    /// The longest body that it takes, in bytes, where `limit_request_body` sets no limit. Longer ones are
    /// refused before they are read.
    fn body_limit(&self) -> Option<u64> {
        None
    }

    /// Where `thread`, which has been in the application for too long, is: one call a line, for the
    /// log. `None` where the application has no stack of its own. Called from another thread.
    fn stack_of(&self, thread: i32) -> Option<String> {
        let _ = thread;
        None
    }

    /// The stack of a request thread in octets, where the application has a say in that.
    fn stack_size(&self) -> Option<usize> {
        None
    }

    /// Whether this worker is to be replaced, because the application or a hook says so. Asked each time
    /// that the event loop goes round.
    fn retires(&self) -> bool {
        false
    }

    /// A signal may have come to the process's main thread while the application did not run there.
    /// Called on that thread, for a host whose signal handlers run there alone.
    fn interrupted(&self) {}
}

impl<F> App for F
where
    F: Fn(&mut Request) -> Response + Send + Sync + 'static,
{
    fn call(&self, request: &mut Request, _sink: &mut ResponseSink<'_>) -> Response {
        self(request)
    }
}

/// The way to the client while the application still runs.
#[allow(
    missing_debug_implementations,
    reason = "a closure has nothing to show"
)]
pub struct ResponseSink<'a>(&'a mut (dyn FnMut(EarlyOutput<'_>) -> io::Result<()> + Send + 'a));

/// What may leave before the application has returned its response.
#[derive(Debug)]
pub enum EarlyOutput<'a> {
    /// The fields of a 103 (RFC 8297): for a client of HTTP/1.1, and before any head.
    Hints(&'a Fields),
    /// The head of the response. Its body counts for its length only.
    Head(&'a Response),
    /// More of the body, after a head.
    Piece(&'a [u8]),
}

impl<'a> ResponseSink<'a> {
    /// `send` does what the server has to.
    pub fn new(send: &'a mut (dyn FnMut(EarlyOutput<'_>) -> io::Result<()> + Send + 'a)) -> Self {
        Self(send)
    }

    /// Sends at once. It waits for a client that has a lot to take already; the error is that the
    /// client is gone, or that `early` must not be sent.
    pub fn send(&mut self, early: EarlyOutput<'_>) -> io::Result<()> {
        (self.0)(early)
    }
}

/// How to make the application in a child process. Never called in the master.
pub trait Application: Send + Sync {
    /// The positional argument that names it, such as `native:hello`.
    fn name(&self) -> &str;

    /// The settings that it brings. While it is served they are read like the server's own: from the command line, the
    /// environment and the files, with `--help` and `--print-config`. The master asks before it reads any.
    ///
    /// Each row reads its text into a struct of the application's in [`Settings::application_values`].
    fn settings(&self) -> &'static [Setting] {
        &[]
    }

    /// How many 64-bit words of memory all of its processes share. The master makes them before the first fork, all
    /// 0, and keeps them over reloads for as long as an application of this name asks for as many.
    fn shared_words(&self) -> usize {
        0
    }

    /// Loads the application to see whether that works, in a process that ends afterwards: for
    /// `check_config`.
    fn check(&self, settings: &Settings) -> Result<(), LoadError> {
        let _ = settings;
        Ok(())
    }

    /// Loads the code once, in the process that web workers are then forked from: for `preload_app`.
    /// [`Application::load`] follows in each of them, and does no more than is left to do.
    fn preload(&self, settings: &Settings) -> Result<(), LoadError> {
        let _ = settings;
        Ok(())
    }

    /// Whether [`Application::preload`] has anything to do.
    fn can_preload(&self) -> bool {
        false
    }

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
    /// The words that [`Application::shared_words`] asks for.
    pub shared_memory: SharedMemory,
    pub hooks: Arc<dyn Hooks>,
    pub scoreboard: Scoreboard,
}

/// Why an application could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is no application of that name, or what it needs is not there. The exit code of the
    /// child is 4, as gunicorn's.
    #[error("{0:#}")]
    Unusable(anyhow::Error),
    /// Its own code has failed. The exit code is 3, as gunicorn's for a worker that cannot boot.
    #[error("{0:#}")]
    Broken(anyhow::Error),
}

impl From<anyhow::Error> for LoadError {
    fn from(reason: anyhow::Error) -> Self {
        Self::Unusable(reason)
    }
}

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
pub const RUNNER_POLL_INTERVAL: Duration = Duration::from_millis(500);
