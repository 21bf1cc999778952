//! One request: environ in, response out, with the interpreter's lock taken once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use log::error;
use oxicorn_common::logging;
use oxicorn_common::{App, Request, Response, ResponseSink, Settings, WorkerContext};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::body::{self, BodyOptions};
use crate::environ::Interned;
use crate::errors::Errors;
use crate::forked;
use crate::request_hooks::{RequestEnd, RequestHooks, WsgiCall};
use crate::stacks::Stacks;
use crate::thread_context::{ThreadContext, with_context};
use crate::{logs, trace};

/// Set when a hook has set `worker.alive` to false.
static RETIRES: AtomicBool = AtomicBool::new(false);

/// Asks the master to replace this worker.
pub(crate) fn retire() {
    RETIRES.store(true, Ordering::Relaxed);
}

/// A worker begins, perhaps as a fork of one that was to be replaced.
pub(crate) fn begin() {
    RETIRES.store(false, Ordering::Relaxed);
}

/// How many unlogged requests may pass between two checks of the loggers.
const CALLS_BETWEEN_LOOKS: u32 = 16;

/// The application of a worker, and everything that its threads share.
#[derive(Debug)]
pub(crate) struct WsgiApp {
    callable: Py<PyAny>,
    settings: Arc<Settings>,
    errors: Py<Errors>,
    hooks: Option<RequestHooks>,
    strings: Interned,
    /// `None` if the application uses the signal.
    stacks: Option<Stacks>,
    /// The value of `threading.stack_size`, in octets, if the application has set it.
    stack_size: Option<usize>,
    /// Variables of the environ that the access log needs, in lower case; usually none.
    logged: Vec<String>,
    /// The mount point of the application, percent-encoded as in targets.
    script_name: String,
    /// The approximate number of requests so far.
    calls: AtomicU32,
}

impl WsgiApp {
    pub(crate) fn new(callable: Bound<'_, PyAny>, context: &WorkerContext) -> PyResult<Self> {
        let py = callable.py();
        let settings = Arc::clone(&context.settings);
        let script_name = match settings.proxy.root_path.as_str() {
            "" => std::env::var("SCRIPT_NAME").unwrap_or_default(),
            root_path => root_path.to_owned(),
        };
        let logged = logged_variables(&settings);
        Ok(Self {
            hooks: RequestHooks::of(&callable, context)?,
            callable: callable.unbind(),
            settings,
            errors: Py::new(py, Errors::default())?,
            strings: Interned::new(py),
            stacks: Stacks::new(py).ok(),
            stack_size: stack_size(py)?,
            logged,
            script_name,
            calls: AtomicU32::new(0),
        })
    }

    /// Their values after the call: the application may have set them.
    fn note_variables(&self, environ: &Bound<'_, PyDict>) -> PyResult<Vec<(String, String)>> {
        let mut noted = Vec::new();
        for (name, value) in environ {
            if logs::wants_variables() {
                if let (Ok(name), Ok(value)) = (name.cast::<PyString>(), value.cast::<PyString>()) {
                    let (name, value) = (name.to_string_lossy(), value.to_string_lossy());
                    noted.push((name.into_owned(), value.into_owned()));
                }
                continue;
            }
            let name: String = name.str()?.to_string_lossy().to_lowercase();
            if self.logged.contains(&name) {
                noted.push((name, value.str()?.to_string_lossy().into_owned()));
            }
        }
        Ok(noted)
    }

    /// Notices changes of the loggers by the application. If requests are not logged, an occasional
    /// check is enough.
    fn check_loggers(&self, py: Python<'_>, failed: bool) {
        let calls = self.calls.fetch_add(1, Ordering::Relaxed);
        if failed || logging::access_enabled() || calls.is_multiple_of(CALLS_BETWEEN_LOOKS) {
            logs::follow(py, &self.settings);
        }
    }

    fn run(
        &self,
        py: Python<'_>,
        context: &mut ThreadContext,
        request: &mut Request,
        sink: &mut ResponseSink<'_>,
    ) -> Response {
        let state = Arc::clone(&context.callables.state);
        let connected = state.connect(sink);
        let options = BodyOptions {
            state: &state,
            head_only: request.method() == "HEAD",
            sendfile: self.settings.sendfile,
        };
        let mut end = RequestEnd::none();
        let call = match &self.hooks {
            None => Ok(WsgiCall {
                application: self.callable.bind(py).clone(),
                request: None,
            }),
            Some(hooks) => hooks.begin(py, request, &mut end),
        };
        let outcome = call
            .and_then(|call| self.call_application(py, context, request, options, &mut end, call));
        forked::end_child(py, &outcome);
        drop(connected);
        self.check_loggers(py, outcome.is_err());
        let response = outcome.unwrap_or_else(|exception| {
            let text = trace::text(py, &exception);
            let failure = Response::failure();
            if state.take_head().1 {
                return body::broken(failure, format!("an exception\n{text}"));
            }
            let (method, target) = (request.method(), request.head.target());
            logging::exception(&format!("Error handling request {method} {target}\n{text}"));
            failure
        });
        end.follow(py, response)
    }

    fn call_application(
        &self,
        py: Python<'_>,
        context: &mut ThreadContext,
        request: &mut Request,
        options: BodyOptions<'_>,
        end: &mut RequestEnd,
        call: WsgiCall<'_>,
    ) -> PyResult<Response> {
        let forwarded = forwarded_script_name(request);
        let script_name = forwarded.as_deref().unwrap_or(&self.script_name);
        // The pointer of an empty string is dangling, and comparing it is slow on some processors.
        if !script_name.is_empty() && !request.path().starts_with(script_name) {
            return Err(PyRuntimeError::new_err(format!(
                "the path {} does not begin with SCRIPT_NAME, which is {script_name}",
                request.path()
            )));
        }
        let environ = context.base.bind(py).copy()?;
        let script_name = script_name.as_bytes();
        context
            .filler
            .fill(&environ, request, &self.strings, script_name)?;
        if let Some(hooked) = call.request {
            hooked.call_method1("amend", (&environ,))?;
        }
        end.note_environ(&environ);
        let start_response = &context.callables.start_response;
        let returned = call.application.call1((&environ, start_response));
        if !self.logged.is_empty() || logs::wants_variables() {
            request.logged = self.note_variables(&environ)?;
        }
        body::response(returned?, options)
    }
}

/// The stack size that Python code has chosen for threads.
fn stack_size(py: Python<'_>) -> PyResult<Option<usize>> {
    let size: usize = py
        .import("threading")?
        .call_method0("stack_size")?
        .extract()?;
    Ok((size > 0).then_some(size))
}

/// Variables that the access log needs and only the application knows.
fn logged_variables(settings: &Settings) -> Vec<String> {
    match settings.access_format() {
        Ok(format) if logging::access_enabled() => format.variables().map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// The mount point that a trusted proxy has sent.
fn forwarded_script_name(request: &Request) -> Option<String> {
    // Without an underscore, the name cannot be there.
    if !request.trusted || memchr::memchr(b'_', &request.head.bytes).is_none() {
        return None;
    }
    let value = request.field("script_name")?;
    Some(String::from_utf8_lossy(value).into_owned())
}

impl App for WsgiApp {
    fn call(&self, request: &mut Request, sink: &mut ResponseSink<'_>) -> Response {
        let response = with_context(&self.settings, &self.errors, |py, context| {
            self.run(py, context, request, sink)
        });
        response.unwrap_or_else(|exception| {
            error!("Error handling request: no thread state: {exception}");
            Response::failure()
        })
    }

    fn stack_of(&self, thread: i32) -> Option<String> {
        self.stacks.as_ref()?.of_thread(thread)
    }

    fn stack_size(&self) -> Option<usize> {
        self.stack_size
    }

    /// The interpreter lock lets one thread compute at a time.
    fn is_parallel(&self) -> bool {
        false
    }

    fn retires(&self) -> bool {
        RETIRES.load(Ordering::Relaxed)
    }

    fn interrupted(&self) {
        Python::attach(|py| {
            let outcome = py.check_signals();
            forked::end_child(py, &outcome);
            if let Err(exception) = outcome {
                let text = trace::text(py, &exception);
                logging::exception(&format!("Exception in a signal handler:\n{text}"));
            }
        });
    }
}
