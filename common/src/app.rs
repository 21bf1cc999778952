//! [`App`]: the loaded application of one worker. Several threads call it, each for one request at a time.
//!
//! A panic in an application is caught by the worker and becomes a 500.

use crate::request::Request;
use crate::response::Response;
use crate::response_sink::ResponseSink;

/// Answers requests. All request threads of a worker share it and call it at the same time, with ordinary
/// blocking code.
///
/// A function of a request is one:
///
/// ```
/// use oxicorn_common::{App, Request, Response};
///
/// fn hello(request: &mut Request) -> Response {
///     match request.path() {
///         "/" => Response::text("Hello, World!"),
///         _ => Response::new(http::StatusCode::NOT_FOUND),
///     }
/// }
///
/// let app: Box<dyn App> = Box::new(hello);
/// ```
pub trait App: Send + Sync + 'static {
    /// Answers one request. Runs on a request thread and may block. The body has arrived whole.
    ///
    /// Most applications do not use `sink`: it sends parts of the response before this returns. If it has
    /// sent a head, only the body of the returned response counts, and continues what the sink has sent.
    fn call(&self, request: &mut Request, sink: &mut ResponseSink<'_>) -> Response;

    /// The longest body that the application takes, in bytes, if `limit_request_body` sets no limit. Longer
    /// ones are rejected before they are read.
    fn body_limit(&self) -> Option<u64> {
        None
    }

    /// The stack of thread `thread`, which has been in the application for too long, with one call per line,
    /// for the log. `None` if the application has no stack of its own. Called from another thread.
    fn stack_of(&self, thread: i32) -> Option<String> {
        let _ = thread;
        None
    }

    /// The size of a request thread's stack in bytes; `None` leaves it to the server.
    fn stack_size(&self) -> Option<usize> {
        None
    }

    /// Whether calls on several threads compute at the same time. False where a lock lets only one of them, as the global
    /// interpreter lock of Python does: more threads are then of use only while calls wait.
    fn is_parallel(&self) -> bool {
        true
    }

    /// Whether this worker should be replaced, because the application or a hook asks for it. Called each
    /// time that the event loop turns.
    fn retires(&self) -> bool {
        false
    }

    /// A signal may have come to the process's main thread while the application did not run there. Called on
    /// that thread, for a host whose signal handlers run nowhere else.
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
