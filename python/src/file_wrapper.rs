//! `wsgi.file_wrapper`: a file as a body, which the kernel sends if it can (sendfile(2)).

use std::fs::File;
use std::os::fd::BorrowedFd;

use oxicorn_common::response::FileRange;
use pyo3::exceptions::{PyIndexError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// A file-like object, read in blocks.
#[pyclass(frozen, subclass, module = "oxicorn")]
#[derive(Debug)]
pub(crate) struct FileWrapper {
    #[pyo3(get)]
    filelike: Py<PyAny>,
    #[pyo3(get)]
    blksize: usize,
}

#[pymethods]
impl FileWrapper {
    #[new]
    #[pyo3(signature = (filelike, blksize = 8192))]
    fn new(filelike: Py<PyAny>, blksize: usize) -> Self {
        Self { filelike, blksize }
    }

    fn __iter__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let block = self
            .filelike
            .bind(py)
            .call_method1("read", (self.blksize,))?;
        match block.cast_into::<PyBytes>() {
            Ok(bytes) if bytes.as_bytes().is_empty() => Ok(None),
            Ok(bytes) => Ok(Some(bytes)),
            Err(other) => Err(PyTypeError::new_err(format!(
                "read() of a wrapped file returned {}, not bytes",
                other.into_inner().get_type()
            ))),
        }
    }

    /// The iteration protocol before iterators; PEP 3333 still has it in an example.
    fn __getitem__<'py>(&self, py: Python<'py>, _index: isize) -> PyResult<Bound<'py, PyBytes>> {
        self.__next__(py)?
            .ok_or_else(|| PyIndexError::new_err("the file is at its end"))
    }

    /// Closes the file, if it has `close`.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if let Some(close) = self.filelike.bind(py).getattr_opt("close")? {
            close.call0()?;
        }
        Ok(())
    }
}

impl FileWrapper {
    /// The rest of a regular file from its current position. `None` for anything else, which has to
    /// be read.
    pub(crate) fn range(&self, py: Python<'_>) -> Option<FileRange> {
        let file = self.filelike.bind(py);
        let number: i32 = file.call_method0("fileno").ok()?.extract().ok()?;
        // Not lseek(2): a buffered file has read ahead of the application.
        let offset: u64 = file.call_method0("tell").ok()?.extract().ok()?;
        if number < 0 {
            return None;
        }
        // SAFETY: borrowed only for the duplication, which fails if the number is not open; the
        // application's file object is alive meanwhile.
        let owned = unsafe { BorrowedFd::borrow_raw(number) }.try_clone_to_owned();
        let file = File::from(owned.ok()?);
        let metadata = file.metadata().ok().filter(|it| it.is_file())?;
        // A file of /proc has the length 0, but is not empty.
        let length = metadata
            .len()
            .checked_sub(offset)
            .filter(|&left| left > 0)?;
        Some(FileRange {
            file,
            offset,
            length,
        })
    }
}
