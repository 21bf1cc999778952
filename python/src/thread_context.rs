//! What a request thread keeps between requests: its thread state, the callables and the base of
//! the environ.
//!
//! The first request makes the thread state, and it lives as long as the thread. Between two
//! requests the thread is detached, so that attaching only takes the lock.

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

/// The context of one request thread.
#[derive(Debug)]
pub(crate) struct ThreadContext {
    pub(crate) callables: Callables,
    pub(crate) base: Py<PyDict>,
    pub(crate) filler: Filler,
    // Dropped last, because the other fields need an interpreter.
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
            filler: Filler::new(py, settings),
            state,
        })
    }

    /// Whether the application has kept no reference to the callables.
    fn is_reusable(&self, py: Python<'_>) -> bool {
        self.callables.are_unshared(py)
    }
}

/// Drops the context of this thread, which is detached.
pub(crate) fn forget() {
    drop(CONTEXT.with_borrow_mut(Option::take));
}

/// Runs `work` with the context of this thread while attached to the interpreter.
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
        let context = match context.is_reusable(py) {
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

/// The thread's state in the interpreter, which lives as long as the thread.
#[derive(Debug)]
struct ThreadState {
    ensured: ffi::PyGILState_STATE,
    state: *mut ffi::PyThreadState,
}

impl ThreadState {
    /// Makes the state and leaves the thread detached.
    fn new() -> Self {
        // SAFETY: the interpreter of this process is running. The thread is attached between the
        // calls, and `drop` undoes both.
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
        // SAFETY: a context is dropped at the end of the thread that made it, which is detached.
        // The release deletes the state.
        unsafe {
            ffi::PyEval_RestoreThread(self.state);
            ffi::PyGILState_Release(self.ensured);
        }
    }
}
