//! `pre_request` and `post_request`, called before and after the application on the request's
//! thread.

use std::any::Any;
use std::io;

use oxicorn_common::logging;
use oxicorn_common::request::{Peer, Request, Scheme, Version};
use oxicorn_common::response::{BodyStream, Piece, Pieces, Response, ResponseBody};
use oxicorn_common::{Scoreboard, Settings, WorkerContext};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::hooks::PythonHooks;
use crate::text::from_latin1;
use crate::trace;

/// What a worker needs to call the two hooks and to count its requests. Exists only if the config
/// file has hooks.
#[derive(Debug)]
pub(crate) struct RequestHooks {
    table: Py<PyAny>,
    wants_request: bool,
    wants_begin: bool,
    wants_end: bool,
}

/// The application and the request after `pre_request`.
pub(crate) struct WsgiCall<'py> {
    /// `worker.wsgi`, which a hook may have replaced or wrapped.
    pub(crate) application: Bound<'py, PyAny>,
    /// With the changes of `pre_request`, if that hook is set.
    pub(crate) request: Option<Bound<'py, PyAny>>,
}

impl RequestHooks {
    /// Tells `oxicorn/hooks.py` that the worker has loaded its application.
    pub(crate) fn of(
        application: &Bound<'_, PyAny>,
        context: &WorkerContext,
    ) -> PyResult<Option<Self>> {
        let py = application.py();
        let hooks: &dyn Any = &*context.hooks;
        let Some(hooks) = hooks.downcast_ref::<PythonHooks>() else {
            return Ok(None);
        };
        let settings: &Settings = &context.settings;
        let has = |name| settings.hooks.has(name);
        let table = hooks.table(py)?;
        let connections = Connections {
            board: context.scoreboard.clone(),
            slot: context.slot,
        };
        table.call_method1("loaded", (context.age, application, connections))?;
        Ok(Some(Self {
            table: table.clone().unbind(),
            wants_request: has("pre_request") || has("post_request"),
            wants_begin: has("pre_request"),
            wants_end: has("post_request"),
        }))
    }

    /// Counts the request and calls `pre_request`. Prepares `end`, also if the hook raises.
    pub(crate) fn begin<'py>(
        &self,
        py: Python<'py>,
        request: &Request,
        end: &mut RequestEnd,
    ) -> PyResult<WsgiCall<'py>> {
        let table = self.table.bind(py);
        let object = match self.wants_request {
            true => Some(self.describe(py, request)?),
            false => None,
        };
        if let Some(object) = &object
            && self.wants_end
        {
            *end = RequestEnd(Some(Box::new(PostRequestCall {
                table: self.table.clone_ref(py),
                request: object.clone().unbind(),
                environ: PyDict::new(py).unbind(),
                response: None,
                sent: 0,
            })));
        }
        let application = table.call_method1("pre_request", (&object,))?;
        Ok(WsgiCall {
            application,
            request: object.filter(|_| self.wants_begin),
        })
    }

    /// The `Request` that the hooks get.
    fn describe<'py>(&self, py: Python<'py>, request: &Request) -> PyResult<Bound<'py, PyAny>> {
        let head = &request.head;
        let headers = PyList::empty(py);
        for (name, value) in head.fields() {
            headers.append((name.to_ascii_uppercase(), from_latin1(py, value)))?;
        }
        let version = match head.version {
            Version::Http10 => (1, 0),
            Version::Http11 => (1, 1),
        };
        let address = match request.peer {
            Peer::Tcp(address) => Some((address.ip().to_string(), address.port())),
            _ => None,
        };
        let module = py.import("oxicorn.request")?;
        module.getattr("Request")?.call1((
            from_latin1(py, head.method().as_bytes()),
            from_latin1(py, head.target().as_bytes()),
            from_latin1(py, head.path().as_bytes()),
            from_latin1(py, head.query().unwrap_or_default().as_bytes()),
            version,
            headers,
            address,
            match request.scheme {
                Scheme::Http => "http",
                Scheme::Https => "https",
            },
        ))
    }
}

/// A callable that returns the number of clients of this worker.
#[pyclass(frozen)]
#[derive(Debug)]
struct Connections {
    board: Scoreboard,
    slot: usize,
}

#[pymethods]
impl Connections {
    fn __call__(&self) -> usize {
        let slot = self.board.slot(self.slot);
        slot.connections()
    }
}

/// Calls `post_request` when it is dropped, if that hook is set.
#[derive(Debug)]
pub(crate) struct RequestEnd(Option<Box<PostRequestCall>>);

#[derive(Debug)]
struct PostRequestCall {
    table: Py<PyAny>,
    request: Py<PyAny>,
    environ: Py<PyDict>,
    response: Option<Py<PyAny>>,
    sent: u64,
}

impl RequestEnd {
    /// Calls nothing.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    pub(crate) fn note_environ(&mut self, environ: &Bound<'_, PyDict>) {
        if let Some(post) = &mut self.0 {
            post.environ = environ.clone().unbind();
        }
    }

    /// Calls `post_request` when `response` has been sent or dropped.
    pub(crate) fn follow(mut self, py: Python<'_>, response: Response) -> Response {
        let Some(post) = &mut self.0 else {
            return response;
        };
        match object(py, &response) {
            Ok(object) => post.response = Some(object.unbind()),
            Err(exception) => report(py, &exception),
        }
        let Response {
            status,
            reason,
            fields,
            body,
        } = response;
        let (first, rest, length): (_, Pieces, _) = match body {
            ResponseBody::Empty => (None, Box::new(std::iter::empty()), Some(0)),
            ResponseBody::Static(bytes) => whole(bytes.to_vec()),
            ResponseBody::Shared(bytes) => whole(bytes.to_vec()),
            ResponseBody::Bytes(bytes) => whole(bytes),
            ResponseBody::Foreign(bytes) => {
                let piece = Piece::Foreign(bytes);
                let length = piece.length();
                (Some(piece), Box::new(std::iter::empty()), Some(length))
            }
            ResponseBody::Stream(stream) => (stream.first, stream.rest, stream.length),
        };
        post.sent = first.as_ref().map_or(0, Piece::length);
        let rest = Box::new(TrackedBody {
            rest: Some(rest),
            end: self,
        });
        Response {
            status,
            reason,
            fields,
            body: ResponseBody::Stream(BodyStream {
                first,
                rest,
                length,
            }),
        }
    }
}

impl Drop for RequestEnd {
    fn drop(&mut self) {
        if let Some(post) = self.0.take() {
            Python::attach(|py| {
                let arguments = (&post.request, &post.environ, &post.response, post.sent);
                let called = post.table.bind(py).call_method1("post_request", arguments);
                if let Err(exception) = called {
                    report(py, &exception);
                }
                drop(post);
            });
        }
    }
}

/// The rest of a body, which counts the sent octets for `post_request`.
struct TrackedBody {
    /// Dropped before `end`, so that the body is closed first.
    rest: Option<Pieces>,
    end: RequestEnd,
}

impl Iterator for TrackedBody {
    type Item = io::Result<Piece>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.rest.as_mut()?.next();
        match (&next, &mut self.end.0) {
            (Some(Ok(piece)), Some(post)) => post.sent += piece.length(),
            (None, _) => {
                self.rest = None;
                drop(std::mem::replace(&mut self.end, RequestEnd::none()));
            }
            _ => {}
        }
        next
    }
}

fn whole(bytes: Vec<u8>) -> (Option<Piece>, Pieces, Option<u64>) {
    let length = bytes.len() as u64;
    let rest = Box::new(std::iter::empty());
    (Some(Piece::Bytes(bytes)), rest, Some(length))
}

/// The `Response` that `post_request` gets.
fn object<'py>(py: Python<'py>, response: &Response) -> PyResult<Bound<'py, PyAny>> {
    let headers = PyList::empty(py);
    let mut length = None;
    for (name, value) in &response.fields {
        if name.eq_ignore_ascii_case("content-length") {
            length = std::str::from_utf8(value)
                .ok()
                .and_then(|it| it.parse::<u64>().ok());
        }
        headers.append((&**name, from_latin1(py, value)))?;
    }
    let code = response.status.as_u16();
    let reason = match &response.reason {
        Some(reason) => String::from_utf8_lossy(reason).into_owned(),
        None => response
            .status
            .canonical_reason()
            .unwrap_or_default()
            .to_owned(),
    };
    let module = py.import("oxicorn.request")?;
    let status = format!("{code} {reason}");
    let response = module.getattr("Response")?;
    response.call1((status.trim_end(), code, headers, length))
}

fn report(py: Python<'_>, exception: &PyErr) {
    let text = trace::text(py, exception);
    logging::exception(&format!("Exception in the hook post_request:\n{text}"));
}
