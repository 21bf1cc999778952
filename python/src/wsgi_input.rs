//! `wsgi.input`: the body of a request, which has already arrived.
//!
//! A body in memory is copied once, into the bytes object of the application. A body in a file is
//! read with the interpreter's lock released. The lock of the file is taken and released only while
//! the interpreter's is not held, so that the two cannot deadlock.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use memchr::memchr;
use oxicorn_common::Body;
use oxicorn_common::body_memory::BodyBuffer;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

/// How many octets of a spooled body are read at a time, for lines.
const BLOCK: usize = 64 * 1024;

/// The stream of one request.
#[pyclass(frozen)]
#[derive(Debug)]
pub(crate) struct WsgiInput(InputSource);

#[derive(Debug)]
enum InputSource {
    /// With the number of octets read so far. Only read while holding the interpreter's lock.
    Memory(BodyBuffer, AtomicUsize),
    Spooled(Mutex<Spooled>),
}

#[derive(Debug)]
struct Spooled {
    file: BufReader<File>,
    left: u64,
}

impl WsgiInput {
    pub(crate) fn new(body: Body) -> Self {
        Self(match body {
            Body::Memory(bytes) => InputSource::Memory(bytes.into_inner(), AtomicUsize::new(0)),
            Body::Spooled { file, length } => InputSource::Spooled(Mutex::new(Spooled {
                file: BufReader::with_capacity(BLOCK, file),
                left: length,
            })),
        })
    }
}

#[pymethods]
impl WsgiInput {
    #[pyo3(signature = (size = None))]
    fn read<'py>(&self, py: Python<'py>, size: Option<isize>) -> PyResult<Bound<'py, PyBytes>> {
        match &self.0 {
            InputSource::Memory(bytes, at) => Ok(take(py, bytes, at, size, <[u8]>::len)),
            InputSource::Spooled(spooled) => {
                let size = py.detach(|| lock(spooled).claim(most(size)));
                PyBytes::new_with(py, size, |bytes| {
                    Ok(py.detach(|| lock(spooled).file.read_exact(bytes))?)
                })
            }
        }
    }

    #[pyo3(signature = (size = None))]
    fn readline<'py>(&self, py: Python<'py>, size: Option<isize>) -> PyResult<Bound<'py, PyBytes>> {
        match &self.0 {
            InputSource::Memory(bytes, at) => {
                let line = |rest: &[u8]| memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
                Ok(take(py, bytes, at, size, line))
            }
            InputSource::Spooled(spooled) => {
                let line = py.detach(|| lock(spooled).read_line(most(size)))?;
                Ok(PyBytes::new(py, &line))
            }
        }
    }

    /// The remaining lines; with a hint, about `hint` bytes of them.
    #[pyo3(signature = (hint = None))]
    fn readlines<'py>(&self, py: Python<'py>, hint: Option<isize>) -> PyResult<Bound<'py, PyList>> {
        let lines = PyList::empty(py);
        let mut length = 0;
        loop {
            let line = self.readline(py, None)?;
            if line.as_bytes().is_empty() {
                return Ok(lines);
            }
            length += line.as_bytes().len().cast_signed();
            lines.append(line)?;
            if hint.is_some_and(|hint| hint > 0 && length >= hint) {
                return Ok(lines);
            }
        }
    }

    fn __iter__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let line = self.readline(py, None)?;
        Ok(Some(line).filter(|line| !line.as_bytes().is_empty()))
    }
}

/// Takes up to `size` of the remaining bytes; `count` decides how many of these.
fn take<'py>(
    py: Python<'py>,
    bytes: &BodyBuffer,
    at: &AtomicUsize,
    size: Option<isize>,
    count: impl FnOnce(&[u8]) -> usize,
) -> Bound<'py, PyBytes> {
    let start = at.load(Ordering::Relaxed);
    let left = &bytes.as_ref()[start..];
    let left = &left[..left.len().min(most(size))];
    let taken = &left[..count(left)];
    at.store(start + taken.len(), Ordering::Relaxed);
    PyBytes::new(py, taken)
}

/// No size, or a negative one, is no limit.
fn most(size: Option<isize>) -> usize {
    size.map_or(usize::MAX, |size| {
        usize::try_from(size).unwrap_or(usize::MAX)
    })
}

impl Spooled {
    /// Reserves up to `most` bytes for the caller, and returns how many there are.
    fn claim(&mut self, most: usize) -> usize {
        let size = usize::try_from(self.left).unwrap_or(usize::MAX).min(most);
        self.left -= size as u64;
        size
    }

    fn read_line(&mut self, most: usize) -> io::Result<Vec<u8>> {
        let size = self.left.min(most as u64);
        let mut line = Vec::new();
        let count = (&mut self.file).take(size).read_until(b'\n', &mut line)?;
        self.left -= count as u64;
        Ok(line)
    }
}

fn lock(spooled: &Mutex<Spooled>) -> std::sync::MutexGuard<'_, Spooled> {
    spooled.lock().unwrap_or_else(PoisonError::into_inner)
}
