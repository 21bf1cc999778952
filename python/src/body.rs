//! The return value of the application's callable as the body of a response.
//!
//! A list or tuple of bytes is complete at once and so has a length. Anything else is iterated on a
//! request thread as fast as the client reads, with the interpreter's lock taken once per piece.
//! `close` is called once: after the last piece, or when the rest is not needed.

use std::io;

use http::StatusCode;
use oxicorn_common::logging;
use oxicorn_common::response::{BodyStream, Piece, Pieces, Response, ResponseBody};
use pyo3::exceptions::{PyAssertionError, PyTypeError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyIterator, PyList, PyTuple};

use crate::file_wrapper::FileWrapper;
use crate::forked;
use crate::response_head::ResponseHead;
use crate::response_state::ResponseState;
use crate::trace;

/// Pieces up to this size are copied; longer ones stay in Python's memory until they are sent.
const COPIED: usize = 16 * 1024;
/// Lists up to this many octets are joined.
const JOINED: usize = 64 * 1024;

/// What the body of a response depends on, apart from the return value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyOptions<'a> {
    pub(crate) state: &'a ResponseState,
    pub(crate) head_only: bool,
    /// The kernel may send files (sendfile(2)).
    pub(crate) sendfile: bool,
}

/// Makes a response from what the callable has `returned`. Runs the application's code up to the
/// first piece of the body, because some applications call `start_response` only then.
pub(crate) fn response(returned: Bound<'_, PyAny>, options: BodyOptions<'_>) -> PyResult<Response> {
    let py = returned.py();
    if let Some(whole) = whole(&returned)? {
        let (head, written) = head_of(options.state)?;
        // Only the application knows the length that a GET would get (RFC 9110 section 8.6).
        let unchanged = head.status == StatusCode::NOT_MODIFIED;
        let untold = unchanged || (options.head_only && whole.length() == 0);
        let length = match (head.length, untold) {
            (Some(declared), _) => Some(declared),
            (None, true) => None,
            (None, false) => Some(whole.length()),
        };
        if unchanged || options.head_only || written || length != Some(whole.length()) {
            let nothing = Box::new(std::iter::empty());
            return Ok(streamed(head, Some(whole), nothing, length));
        }
        let body = match whole {
            Piece::Bytes(bytes) => ResponseBody::Bytes(bytes),
            Piece::Foreign(bytes) => ResponseBody::Foreign(bytes),
            Piece::File(_) => ResponseBody::Empty,
        };
        return Ok(with_body(head, body));
    }
    // From here on, `close` is called at the latest when `source` is dropped.
    let mut source = BodyIterator::new(returned);
    let range = match options.sendfile {
        true => source.file_range(py),
        false => None,
    };
    if let Some(mut range) = range
        && !options.state.is_written()
    {
        let (head, _) = head_of(options.state)?;
        let length = head.length.unwrap_or(range.length);
        range.length = range.length.min(length);
        source.skip_to_end();
        return Ok(streamed(
            head,
            Some(Piece::File(range)),
            Box::new(source),
            Some(length),
        ));
    }
    source.iterate(py)?;
    let first = source.pull(py)?;
    let (head, _) = head_of(options.state)?;
    let length = match (&first, head.length) {
        (None, None) if !options.head_only && head.status != StatusCode::NOT_MODIFIED => Some(0),
        (_, declared) => declared,
    };
    Ok(streamed(head, first, Box::new(source), length))
}

/// Cuts off a response that has begun; the log gets `reason`.
pub(crate) fn broken(head: Response, reason: String) -> Response {
    let failing = std::iter::once(Err(io::Error::other(reason)));
    let body = ResponseBody::stream(Box::new(failing));
    Response { body, ..head }
}

fn head_of(state: &ResponseState) -> PyResult<(ResponseHead, bool)> {
    match state.take_head() {
        (Some(head), written) => Ok((head, written)),
        // The head has already been sent.
        (None, true) => Ok((ResponseHead::default(), true)),
        (None, false) => Err(PyAssertionError::new_err(
            "the application has returned a body without having called start_response",
        )),
    }
}

fn with_body(head: ResponseHead, body: ResponseBody) -> Response {
    Response {
        status: head.status,
        reason: head.reason,
        fields: head.fields,
        body,
    }
}

fn streamed(
    head: ResponseHead,
    first: Option<Piece>,
    rest: Pieces,
    length: Option<u64>,
) -> Response {
    let stream = BodyStream {
        first,
        rest,
        length,
    };
    with_body(head, ResponseBody::Stream(stream))
}

/// All octets of a list or tuple, unless it is too long to join.
fn whole(returned: &Bound<'_, PyAny>) -> PyResult<Option<Piece>> {
    if let Ok(list) = returned.cast_exact::<PyList>() {
        return match list.len() {
            1 => piece(list.get_item(0)?).map(Some),
            _ => joined(list.iter()),
        };
    }
    match returned.cast_exact::<PyTuple>() {
        Ok(tuple) if tuple.len() == 1 => piece(tuple.get_item(0)?).map(Some),
        Ok(tuple) => joined(tuple.iter()),
        Err(_) => Ok(None),
    }
}

fn joined<'py>(items: impl Iterator<Item = Bound<'py, PyAny>>) -> PyResult<Option<Piece>> {
    let mut all = Vec::new();
    for item in items {
        let bytes = octets(&item)?.as_bytes();
        if all.len() + bytes.len() > JOINED {
            return Ok(None);
        }
        all.extend_from_slice(bytes);
    }
    Ok(Some(Piece::Bytes(all)))
}

fn octets<'a, 'py>(item: &'a Bound<'py, PyAny>) -> PyResult<&'a Bound<'py, PyBytes>> {
    item.cast::<PyBytes>().map_err(|_| {
        PyTypeError::new_err(format!(
            "the application's body has {}, where only bytes may be",
            item.get_type()
        ))
    })
}

fn piece(item: Bound<'_, PyAny>) -> PyResult<Piece> {
    let bytes = octets(&item)?;
    Ok(match bytes.as_bytes() {
        short if short.len() <= COPIED => Piece::Bytes(short.to_vec()),
        _ => Piece::Foreign(Box::new(PyBackedBytes::from(bytes.clone()))),
    })
}

/// Iterates over the rest of a body.
struct BodyIterator {
    iterator: Option<Py<PyIterator>>,
    /// The return value; `None` once it is closed.
    iterable: Option<Py<PyAny>>,
}

impl BodyIterator {
    fn new(iterable: Bound<'_, PyAny>) -> Self {
        Self {
            iterator: None,
            iterable: Some(iterable.unbind()),
        }
    }

    fn file_range(&self, py: Python<'_>) -> Option<oxicorn_common::response::FileRange> {
        let iterable = self.iterable.as_ref()?.bind(py);
        iterable.cast::<FileWrapper>().ok()?.get().range(py)
    }

    /// Only `close` is left to do.
    fn skip_to_end(&mut self) {
        self.iterator = None;
    }

    fn iterate(&mut self, py: Python<'_>) -> PyResult<()> {
        if let Some(iterable) = &self.iterable {
            self.iterator = Some(PyIterator::from_object(iterable.bind(py))?.unbind());
        }
        Ok(())
    }

    /// The next piece that is not empty. Runs the application's code.
    fn pull(&mut self, py: Python<'_>) -> PyResult<Option<Piece>> {
        let Some(iterator) = &self.iterator else {
            return Ok(None);
        };
        let mut iterator = iterator.bind(py).clone();
        for item in &mut iterator {
            let piece = piece(item?)?;
            if piece.length() > 0 {
                return Ok(Some(piece));
            }
        }
        self.iterator = None;
        Ok(None)
    }

    fn close(&mut self, py: Python<'_>) {
        self.iterator = None;
        let Some(iterable) = self.iterable.take() else {
            return;
        };
        let close = || -> PyResult<()> {
            if let Some(close) = iterable.bind(py).getattr_opt("close")? {
                close.call0()?;
            }
            Ok(())
        };
        let outcome = close();
        forked::end_child(py, &outcome);
        if let Err(exception) = outcome {
            let text = trace::text(py, &exception);
            logging::exception(&format!("Exception in close() of a response body\n{text}"));
        }
    }
}

impl Iterator for BodyIterator {
    type Item = io::Result<Piece>;

    fn next(&mut self) -> Option<Self::Item> {
        self.iterable.as_ref()?;
        Python::attach(|py| {
            let pulled = self.pull(py);
            forked::end_child(py, &pulled);
            match pulled {
                Ok(Some(piece)) => Some(Ok(piece)),
                Ok(None) => {
                    self.close(py);
                    None
                }
                Err(exception) => {
                    let text = trace::text(py, &exception);
                    self.close(py);
                    Some(Err(io::Error::other(format!("an exception\n{text}"))))
                }
            }
        })
    }
}

impl Drop for BodyIterator {
    fn drop(&mut self) {
        if self.iterable.is_some() {
            Python::attach(|py| self.close(py));
        }
    }
}
