//! `wsgi.errors`: text that goes to the error log unchanged, or as JSON if its records are.

use std::sync::{Mutex, MutexGuard, PoisonError};

use oxicorn_common::logging;
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyString};

use crate::text::to_utf8;

/// An unfinished line is held back up to this length, so that lines of several processes do not
/// mix.
const LONGEST_LINE: usize = 16 * 1024;

/// The stream, shared by all requests of a worker.
#[pyclass(frozen)]
#[derive(Debug, Default)]
pub(crate) struct Errors(Mutex<Vec<u8>>);

#[pymethods]
impl Errors {
    fn write(&self, text: &Bound<'_, PyString>) -> PyResult<usize> {
        let written = to_utf8(text)?;
        let mut line = self.lock();
        line.extend_from_slice(written.as_bytes());
        let end = memchr::memrchr(b'\n', &line).map_or(0, |at| at + 1);
        let end = match line.len() > LONGEST_LINE {
            true => line.len(),
            false => end,
        };
        if end > 0 {
            logging::stream_text(&line[..end]);
            line.drain(..end);
        }
        drop(line);
        text.len()
    }

    fn writelines(&self, lines: &Bound<'_, PyAny>) -> PyResult<()> {
        for line in PyIterator::from_object(lines)? {
            self.write(line?.cast::<PyString>()?)?;
        }
        Ok(())
    }

    fn flush(&self) {
        let mut line = self.lock();
        if !line.is_empty() {
            logging::stream_text(&line);
            line.clear();
        }
    }
}

impl Errors {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
