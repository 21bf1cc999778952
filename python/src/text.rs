//! Native strings of PEP 3333: code points up to 255, one for each byte on the wire.

use std::borrow::Cow;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

/// The bytes as a string with one code point per byte.
pub(crate) fn from_latin1<'py>(py: Python<'py>, bytes: &[u8]) -> Bound<'py, PyString> {
    let (start, length) = (bytes.as_ptr().cast(), bytes.len().cast_signed());
    // SAFETY: the bytes are alive, and no slice is longer than isize::MAX. The result is a new
    // string, or null if memory is exhausted, which panics.
    unsafe {
        let string = ffi::PyUnicode_DecodeLatin1(start, length, std::ptr::null());
        Bound::from_owned_ptr(py, string).cast_into_unchecked()
    }
}

/// The string as bytes. A larger code point is a UnicodeEncodeError.
pub(crate) fn to_latin1<'py>(text: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyBytes>> {
    // SAFETY: `text` is a string. The result is new bytes, or null with an exception set.
    unsafe {
        let bytes = ffi::PyUnicode_AsLatin1String(text.as_ptr());
        Ok(Bound::from_owned_ptr_or_err(text.py(), bytes)?.cast_into_unchecked())
    }
}

/// The string as UTF-8, with lone surrogates escaped as on Python's standard error.
pub(crate) fn to_utf8<'a>(text: &'a Bound<'_, PyString>) -> PyResult<Cow<'a, str>> {
    if let Ok(text) = text.to_cow() {
        return Ok(text);
    }
    let bytes = text.call_method1("encode", ("utf-8", "backslashreplace"))?;
    Ok(Cow::Owned(bytes.call_method0("decode")?.extract()?))
}

/// An interned string, for keys of dictionaries.
pub(crate) fn interned(py: Python<'_>, text: &str) -> Py<PyString> {
    PyString::intern(py, text).unbind()
}

/// Decodes percent-encoding (RFC 3986 section 2.1); an incomplete sequence stays unchanged.
pub(crate) fn unquote(path: &[u8], into: &mut Vec<u8>) {
    let mut rest = path;
    while let Some(at) = memchr::memchr(b'%', rest) {
        into.extend_from_slice(&rest[..at]);
        let digit = |index: usize| char::from(*rest.get(index)?).to_digit(16);
        match digit(at + 1).zip(digit(at + 2)) {
            Some((high, low)) => {
                into.push(u8::try_from(high * 16 + low).unwrap_or_default());
                rest = &rest[at + 3..];
            }
            None => {
                into.push(b'%');
                rest = &rest[at + 1..];
            }
        }
    }
    into.extend_from_slice(rest);
}
