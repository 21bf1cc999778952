//! `wsgi.input`: the body of a request, which has arrived whole.
//!
//! A body in a file is read with the interpreter's lock released. The stream's own lock is then
//! taken and given back inside that stretch: whoever waits for it may hold the interpreter's.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::{Mutex, PoisonError};

use oxicorn_common::Body;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

/// How much of a spooled body is read at a time, for lines.
const BLOCK: usize = 64 * 1024;

/// The stream of one request.
#[pyclass(frozen)]
#[derive(Debug)]
pub(crate) struct Input(Mutex<Source>);

#[derive(Debug)]
enum Source {
    Memory(Cursor<Vec<u8>>),
    Spooled { file: BufReader<File>, left: u64 },
}

impl Input {
    pub(crate) fn new(body: Body) -> Self {
        Self(Mutex::new(match body {
            Body::Memory(bytes) => Source::Memory(bytes),
            Body::Spooled { file, length } => Source::Spooled {
                file: BufReader::with_capacity(BLOCK, file),
                left: length,
            },
        }))
    }
}

#[pymethods]
impl Input {
    #[pyo3(signature = (size = None))]
    fn read<'py>(&self, py: Python<'py>, size: Option<isize>) -> PyResult<Bound<'py, PyBytes>> {
        self.take(py, size, Source::read)
    }

    #[pyo3(signature = (size = None))]
    fn readline<'py>(&self, py: Python<'py>, size: Option<isize>) -> PyResult<Bound<'py, PyBytes>> {
        self.take(py, size, Source::read_line)
    }

    /// All lines that are left; about `hint` bytes of them where there is a hint.
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

impl Input {
    fn take<'py>(
        &self,
        py: Python<'py>,
        size: Option<isize>,
        read: fn(&mut Source, usize) -> io::Result<Vec<u8>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        // A negative size is none.
        let most = size.map_or(usize::MAX, |size| {
            usize::try_from(size).unwrap_or(usize::MAX)
        });
        let reading = || {
            let mut source = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            read(&mut source, most)
        };
        Ok(PyBytes::new(py, &py.detach(reading)?))
    }
}

impl Source {
    fn left(&self) -> u64 {
        match self {
            Self::Memory(bytes) => (bytes.get_ref().len() as u64).saturating_sub(bytes.position()),
            Self::Spooled { left, .. } => *left,
        }
    }

    fn read(&mut self, most: usize) -> io::Result<Vec<u8>> {
        let size = usize::try_from(self.left()).unwrap_or(usize::MAX).min(most);
        let mut bytes = vec![0; size];
        match self {
            Self::Memory(from) => from.read_exact(&mut bytes)?,
            Self::Spooled { file, left } => {
                file.read_exact(&mut bytes)?;
                *left -= size as u64;
            }
        }
        Ok(bytes)
    }

    fn read_line(&mut self, most: usize) -> io::Result<Vec<u8>> {
        let size = self.left().min(most as u64);
        let mut line = Vec::new();
        match self {
            Self::Memory(from) => from.take(size).read_until(b'\n', &mut line)?,
            Self::Spooled { file, left } => {
                let count = file.take(size).read_until(b'\n', &mut line)?;
                *left -= count as u64;
                count
            }
        };
        Ok(line)
    }
}
