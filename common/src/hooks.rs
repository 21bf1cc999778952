//! The functions of a config file that the server calls, as the master and the workers see them:
//! they say what happens, and know nothing of Python.
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

use crate::settings::Settings;

/// Calls functions at the moments of the server's life.
pub trait Hooks: fmt::Debug + Send + Sync + Any {
    /// Calls the function for `event`, if there is one. The error is what it raised.
    fn call(&self, event: HookEvent, settings: &Settings) -> Result<(), HookError>;
}

/// No functions: there is no config file, or it sets none.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHooks;

impl Hooks for NoHooks {
    fn call(&self, _event: HookEvent, _settings: &Settings) -> Result<(), HookError> {
        Ok(())
    }
}

/// What happens. Workers go by their age.
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
    /// No function is called: the worker that was announced has got its process.
    Forked {
        age: u64,
        pid: i32,
    },
    ChildExit {
        age: u64,
    },
    /// A mold has ended: no worker, but a process of the application too.
    MoldExit {
        pid: i32,
    },
    /// No function is called: another master has come or gone, by its pid; 0 is none.
    Succession {
        predecessor: i32,
        successor: i32,
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
    /// The setting that holds the function.
    pub fn hook(self) -> Option<&'static str> {
        Some(match self {
            Self::Starting => "on_starting",
            Self::Ready => "when_ready",
            Self::Reloaded => "on_reload",
            Self::WorkersChanged { .. } => "nworkers_changed",
            Self::PreFork { .. } => "pre_fork",
            Self::Forked { .. } | Self::Succession { .. } => return None,
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

/// A function has raised an exception.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Exception in the hook {hook}:\n{traceback}")]
pub struct HookError {
    pub hook: &'static str,
    pub traceback: String,
}
