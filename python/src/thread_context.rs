//! What a request thread keeps from request to request: its thread state, the callables, the
//! beginning of an environ.
//!
//! The state is made with the first request and goes with the thread. Between two requests the thread
//! is detached: attaching again is a matter of taking the lock.

use std::cell::RefCell;

use oxicorn_common::Settings;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::environ::{Filler, base};
use crate::errors::Errors;
use crate::response_state::Callables;

thread_local! {
    static CONTEXT: RefCell<Option<ThreadContext>> = const { RefCell::new(None) };
}

/// A request thread's own.
#[derive(Debug)]
pub(crate) struct ThreadContext {
    pub(crate) callables: Callables,
    pub(crate) base: Py<PyDict>,
    pub(crate) filler: Filler,
    // Dropped last: what is above needs an interpreter.
    state: ThreadState,
}

impl ThreadContext {
    fn new(
        py: Python<'_>,
        settings: &Settings,
        errors: &Py<Errors>,
        state: ThreadState,
    ) -> PyResult<Self> {
        let callables = Callables::new(py)?;
        let hints = &callables.early_hints;
        let base = base(py, settings, errors, hints)?.unbind();
        Ok(Self {
            callables,
            base,
            filler: Filler::default(),
            state,
        })
    }

    /// Whether the application has kept nothing that belongs to this context.
    fn can_stay(&self, py: Python<'_>) -> bool {
        self.callables.are_ours(py)
    }
}

/// Runs `work` with the context of this thread, attached to the interpreter.
pub(crate) fn with_context<T>(
    settings: &Settings,
    errors: &Py<Errors>,
    work: impl FnOnce(Python<'_>, &mut ThreadContext) -> T,
) -> PyResult<T> {
    let known = CONTEXT.with_borrow_mut(Option::take);
    let state = match &known {
        Some(_) => None,
        None => Some(ThreadState::new()),
    };
    let new = |py: Python<'_>, state| ThreadContext::new(py, settings, errors, state);
    Python::attach(|py| {
        if state.is_some() {
            py.import("oxicorn.threads")?.call_method0("begin")?;
        }
        let mut context = match (known, state) {
            (Some(context), _) => context,
            (None, Some(state)) => new(py, state)?,
            (None, None) => new(py, ThreadState::new())?,
        };
        let result = work(py, &mut context);
        let context = match context.can_stay(py) {
            true => context,
            false => {
                let ThreadContext { state, .. } = context;
                new(py, state)?
            }
        };
        CONTEXT.with_borrow_mut(|free| *free = Some(context));
        Ok(result)
    })
}

/// The thread's state in the interpreter, kept for as long as the thread lives.
#[derive(Debug)]
struct ThreadState {
    ensured: ffi::PyGILState_STATE,
    state: *mut ffi::PyThreadState,
}

impl ThreadState {
    /// Makes the state and leaves the thread detached.
    fn new() -> Self {
        // SAFETY: the interpreter runs: this process is its own. The thread is attached in between,
        // and both calls are undone when the value is dropped.
        unsafe {
            let ensured = ffi::PyGILState_Ensure();
            Self {
                ensured,
                state: ffi::PyEval_SaveThread(),
            }
        }
    }
}

impl Drop for ThreadState {
    fn drop(&mut self) {
        // SAFETY: by the thread that has made it, which is detached: a context is dropped at the end of
        // its thread. The release deletes the state.
        unsafe {
            ffi::PyEval_RestoreThread(self.state);
            ffi::PyGILState_Release(self.ensured);
        }
    }
}
