//! The hooks of gunicorn, as the master and the workers see them: they report events and know nothing of
//! Python. A config file has the functions that are called.
//!
//! ```text
//!   master   on_starting  when_ready  pre_fork   child_exit  on_reload  nworkers_changed  pre_exec  on_exit
//!                                        |           ^
//!   worker                            post_fork  post_worker_init  worker_int|abort  worker_exit
//! ```
//!
//! `pre_request` and `post_request` are called where the request is: by the host of the application.

use std::any::Any;
use std::fmt;

/// Calls the functions of one generation's config file.
///
/// ```
/// use std::sync::Mutex;
/// use oxicorn_common::hooks::{HookError, HookEvent, Hooks};
///
/// /// Remembers the names of the functions.
/// #[derive(Debug, Default)]
/// struct Seen(Mutex<Vec<&'static str>>);
///
/// impl Hooks for Seen {
///     fn call(&self, event: HookEvent) -> Result<(), HookError> {
///         let mut seen = self.0.lock().expect("no panic");
///         seen.extend(event.hook());
///         Ok(())
///     }
/// }
///
/// let hooks = Seen::default();
/// hooks.call(HookEvent::PreFork { age: 1 })?;
/// hooks.call(HookEvent::Forked { age: 1, pid: 4711 })?;
/// assert_eq!(*hooks.0.lock().expect("no panic"), ["pre_fork"]);
/// # Ok::<(), HookError>(())
/// ```
pub trait Hooks: fmt::Debug + Send + Sync + Any {
    /// Calls the function for `event`, if there is one. The error is the exception that it raised.
    fn call(&self, event: HookEvent) -> Result<(), HookError>;
}

/// No functions: there is no config file, or it sets none.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHooks;

impl Hooks for NoHooks {
    fn call(&self, _event: HookEvent) -> Result<(), HookError> {
        Ok(())
    }
}

/// What has happened when a hook is called. Workers are identified by their age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookEvent {
    // In the master
    Starting,
    Ready,
    Reloaded,
    WorkersChanged {
        new: usize,
        old: Option<usize>,
    },
    PreFork {
        age: u64,
    },
    /// Calls no function: the worker of the last `PreFork` has its process.
    Forked {
        age: u64,
        pid: i32,
    },
    ChildExit {
        age: u64,
    },
    /// A mold has ended: it is no worker, but it ran the application's code too.
    MoldExit {
        pid: i32,
    },
    /// Calls no function: another master has come or gone during an upgrade. Pids; 0 is none.
    Upgrade {
        old_master: i32,
        new_master: i32,
    },
    Exit,

    // In the process that is to be the next master
    PreExec,

    // In a worker
    PostFork {
        age: u64,
    },
    PostWorkerInit {
        age: u64,
    },
    WorkerInt {
        age: u64,
    },
    WorkerAbort {
        age: u64,
    },
    WorkerExit {
        age: u64,
    },
}

impl HookEvent {
    /// The name of the function, which is that of its setting. `None` if the event calls none.
    pub fn hook(self) -> Option<&'static str> {
        Some(match self {
            Self::Starting => "on_starting",
            Self::Ready => "when_ready",
            Self::Reloaded => "on_reload",
            Self::WorkersChanged { .. } => "nworkers_changed",
            Self::PreFork { .. } => "pre_fork",
            Self::Forked { .. } | Self::Upgrade { .. } => return None,
            Self::ChildExit { .. } | Self::MoldExit { .. } => "child_exit",
            Self::Exit => "on_exit",
            Self::PreExec => "pre_exec",
            Self::PostFork { .. } => "post_fork",
            Self::PostWorkerInit { .. } => "post_worker_init",
            Self::WorkerInt { .. } => "worker_int",
            Self::WorkerAbort { .. } => "worker_abort",
            Self::WorkerExit { .. } => "worker_exit",
        })
    }
}

/// A hook's function has raised an exception.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Exception in the hook {hook}:\n{traceback}")]
pub struct HookError {
    pub hook: &'static str,
    pub traceback: String,
}
