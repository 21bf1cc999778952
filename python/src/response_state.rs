//! The application's callables for one response: `start_response`, the `write` that it returns, and
//! `wsgi.early_hints`.
//!
//! A request thread reuses the three, unless the application has kept one of them. A kept one
//! belongs to a finished response and has no effect any more.

use std::io;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use oxicorn_common::response::{BodyStream, Response, ResponseBody};
use oxicorn_common::{EarlyOutput, ResponseSink};
use pyo3::exceptions::{PyAssertionError, PyOSError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::response_head::{self, ResponseHead};

/// A response that the application has not finished.
#[derive(Debug, Default)]
pub(crate) struct ResponseState {
    progress: Mutex<State>,
    pointer: Mutex<Option<SinkPointer>>,
}

#[derive(Debug, Default)]
struct State {
    head: Option<ResponseHead>,
    /// The server has taken the head, so the status cannot change any more.
    sent: bool,
    /// The application has used `write`.
    written: bool,
}

/// A sink whose borrow the compiler cannot track through Python objects.
struct SinkPointer(NonNull<ResponseSink<'static>>);

// SAFETY: any thread may use a sink, one at a time; the mutex around the pointer ensures that.
unsafe impl Send for SinkPointer {}

impl std::fmt::Debug for SinkPointer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SinkPointer")
    }
}

/// As long as it lives, the callables can send to the client.
pub(crate) struct Connected<'a>(&'a ResponseState);

impl ResponseState {
    /// Begins a response. The callables may use `sink` until the result is dropped.
    pub(crate) fn connect<'a>(&'a self, sink: &'a mut ResponseSink<'_>) -> Connected<'a> {
        *lock(&self.progress) = State::default();
        let sink = NonNull::from(sink).cast();
        *lock(&self.pointer) = Some(SinkPointer(sink));
        Connected(self)
    }

    /// Passes the head to the server. `None` if there is none; the flag says whether `write` has
    /// already sent it.
    pub(crate) fn take_head(&self) -> (Option<ResponseHead>, bool) {
        let mut progress = lock(&self.progress);
        progress.sent = true;
        (progress.head.take(), progress.written)
    }

    /// Whether the application has used `write`.
    pub(crate) fn is_written(&self) -> bool {
        lock(&self.progress).written
    }

    fn start(
        &self,
        status: &Bound<'_, PyAny>,
        headers: &Bound<'_, PyAny>,
        exception: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let mut progress = lock(&self.progress);
        match exception.filter(|it| !it.is_none()) {
            Some(exception) if progress.sent => {
                // Dropped first, because raising may run Python code.
                drop(progress);
                return Err(raised(exception)?);
            }
            None if progress.head.is_some() || progress.sent => {
                return Err(PyAssertionError::new_err(
                    "start_response was called a second time, without exc_info",
                ));
            }
            _ => {}
        }
        drop(progress);
        // Reading may run code of the application, if it uses types of its own.
        let head = ResponseHead::read(status, headers)?;
        progress = lock(&self.progress);
        progress.head = Some(head);
        Ok(())
    }

    fn write(&self, py: Python<'_>, data: &[u8]) -> PyResult<()> {
        let mut progress = lock(&self.progress);
        let response = match (progress.written, progress.head.take()) {
            (true, _) => None,
            (false, Some(head)) => {
                progress.written = true;
                progress.sent = true;
                Some(announced(head))
            }
            (false, None) => {
                return Err(PyAssertionError::new_err("the response is over"));
            }
        };
        drop(progress);
        self.send(py, move |sink| {
            if let Some(response) = response {
                sink.send(EarlyOutput::Head(&response))?;
            }
            match data.is_empty() {
                true => Ok(()),
                false => sink.send(EarlyOutput::Piece(data)),
            }
        })
    }

    fn hint(&self, headers: &Bound<'_, PyAny>) -> PyResult<()> {
        if lock(&self.progress).sent {
            return Ok(());
        }
        let fields = response_head::read_hints(headers)?;
        self.send(headers.py(), |sink| sink.send(EarlyOutput::Hints(&fields)))
    }

    /// Sends with the interpreter's lock released.
    fn send<F>(&self, py: Python<'_>, send: F) -> PyResult<()>
    where
        F: FnOnce(&mut ResponseSink<'static>) -> io::Result<()> + Send,
    {
        let sent = py.detach(|| {
            let mut pointer = lock(&self.pointer);
            let pointer = pointer.as_mut().ok_or(io::ErrorKind::NotConnected)?;
            // SAFETY: the pointer exists only while `Connected` lives, which borrows the sink; and
            // `Connected` waits for this lock before it ends.
            send(unsafe { pointer.0.as_mut() })
        });
        sent.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput => PyValueError::new_err(error.to_string()),
            io::ErrorKind::NotConnected => PyAssertionError::new_err("the response is over"),
            _ => PyOSError::new_err(format!("the client is gone: {error}")),
        })
    }
}

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        let pointer = &self.0.pointer;
        match pointer.try_lock() {
            Ok(mut pointer) => *pointer = None,
            Err(TryLockError::Poisoned(pointer)) => *pointer.into_inner() = None,
            // Another thread of the application is sending. Release the interpreter's lock, which
            // it may need.
            Err(TryLockError::WouldBlock) => {
                Python::attach(|py| py.detach(|| *lock(pointer) = None));
            }
        }
    }
}

/// `start_response`.
#[pyclass(frozen)]
#[derive(Debug)]
pub(crate) struct StartResponse {
    state: Arc<ResponseState>,
    write: Py<Write>,
}

#[pymethods]
impl StartResponse {
    #[pyo3(signature = (status, response_headers, exc_info = None))]
    fn __call__(
        &self,
        py: Python<'_>,
        status: &Bound<'_, PyAny>,
        response_headers: &Bound<'_, PyAny>,
        exc_info: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<Write>> {
        self.state.start(status, response_headers, exc_info)?;
        Ok(self.write.clone_ref(py))
    }
}

/// What `start_response` returns.
#[pyclass(frozen)]
#[derive(Debug)]
pub(crate) struct Write(Arc<ResponseState>);

#[pymethods]
impl Write {
    fn __call__(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let bytes = data
            .cast::<PyBytes>()
            .map_err(|_| PyTypeError::new_err(format!("{} is not bytes", data.get_type())))?;
        self.0.write(py, bytes.as_bytes())
    }
}

/// `wsgi.early_hints`.
#[pyclass(frozen)]
#[derive(Debug)]
pub(crate) struct EarlyHints(Arc<ResponseState>);

#[pymethods]
impl EarlyHints {
    fn __call__(&self, headers: &Bound<'_, PyAny>) -> PyResult<()> {
        self.0.hint(headers)
    }
}

/// The callables of one response, and its state.
#[derive(Debug)]
pub(crate) struct Callables {
    pub(crate) state: Arc<ResponseState>,
    pub(crate) start_response: Py<StartResponse>,
    pub(crate) early_hints: Py<EarlyHints>,
}

impl Callables {
    pub(crate) fn new(py: Python<'_>) -> PyResult<Self> {
        let state = Arc::<ResponseState>::default();
        let write = Py::new(py, Write(Arc::clone(&state)))?;
        let start = StartResponse {
            state: Arc::clone(&state),
            write,
        };
        Ok(Self {
            start_response: Py::new(py, start)?,
            early_hints: Py::new(py, EarlyHints(Arc::clone(&state)))?,
            state,
        })
    }

    /// Whether only we hold references, of which one is in the base environ (early hints).
    pub(crate) fn are_unshared(&self, py: Python<'_>) -> bool {
        let count = |object: *mut pyo3::ffi::PyObject| {
            // SAFETY: each object is alive, because we hold it.
            unsafe { pyo3::ffi::Py_REFCNT(object) }
        };
        let write = self.start_response.bind(py).get().write.as_ptr();
        count(self.start_response.as_ptr()) == 1
            && count(write) == 1
            && count(self.early_hints.as_ptr()) == 2
    }
}

/// The exception of an `exc_info` triple.
fn raised(exc_info: &Bound<'_, PyAny>) -> PyResult<PyErr> {
    let triple = exc_info.cast::<PyTuple>()?;
    Ok(PyErr::from_value(triple.get_item(1)?))
}

/// The head of a response whose body the application will write.
fn announced(head: ResponseHead) -> Response {
    let stream = BodyStream {
        first: None,
        rest: Box::new(std::iter::empty()),
        length: head.length,
    };
    Response {
        status: head.status,
        reason: head.reason,
        fields: head.fields,
        body: ResponseBody::Stream(stream),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
