//! Status and fields that an application passes to `start_response`, validated before any of it is
//! sent.

use std::borrow::Cow;
use std::cell::RefCell;

use http::StatusCode;
use oxicorn_common::Fields;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyString};

use crate::text;

/// Common field names in their usual spelling.
const COMMON: [&str; 24] = [
    "Content-Type",
    "Content-Length",
    "Content-Encoding",
    "Content-Disposition",
    "Content-Language",
    "Cache-Control",
    "Set-Cookie",
    "Location",
    "Vary",
    "ETag",
    "Expires",
    "Last-Modified",
    "Date",
    "Server",
    "Allow",
    "Link",
    "WWW-Authenticate",
    "X-Frame-Options",
    "X-Content-Type-Options",
    "Referrer-Policy",
    "Cross-Origin-Opener-Policy",
    "Strict-Transport-Security",
    "Access-Control-Allow-Origin",
    "content-type",
];

/// How many names a thread caches.
const CACHED_NAMES: usize = 64;

/// Python strings that a thread has parsed, with the result. It holds references, so that no other
/// object can get the same address.
#[derive(Default)]
struct StringCache {
    status: Option<(Py<PyAny>, StatusCode)>,
    names: Vec<Option<(Py<PyString>, &'static str)>>,
}

thread_local! {
    static KNOWN: RefCell<StringCache> = RefCell::default();
}

/// Status and fields of a response.
#[derive(Debug, Default)]
pub(crate) struct ResponseHead {
    pub(crate) status: StatusCode,
    pub(crate) reason: Option<Box<[u8]>>,
    pub(crate) fields: Fields,
    /// The application's `Content-Length`, in octets.
    pub(crate) length: Option<u64>,
}

impl ResponseHead {
    pub(crate) fn read(status: &Bound<'_, PyAny>, headers: &Bound<'_, PyAny>) -> PyResult<Self> {
        let (status, reason) = known_status(status)?;
        let mut head = Self {
            status,
            reason,
            fields: Fields::new(),
            length: None,
        };
        head.read_fields(headers)?;
        Ok(head)
    }

    fn read_fields(&mut self, headers: &Bound<'_, PyAny>) -> PyResult<()> {
        for field in PyIterator::from_object(headers)? {
            let (name, value) = pair(field?)?;
            let (name, value) = (string(&name)?, string(&value)?);
            let name = known_name(name)?;
            let value = text::to_latin1(value).map_err(|_| bad_value(&name))?;
            let value = trim(value.as_bytes());
            if has_control(value) {
                return Err(bad_value(&name));
            }
            if name.len() == 14 && name.eq_ignore_ascii_case("content-length") {
                self.length = Some(read_length(value)?);
            }
            self.fields.push((name, Cow::Owned(value.to_vec())));
        }
        Ok(())
    }
}

/// Name and value. PEP 3333 requires tuples, but gunicorn accepts any pair.
fn pair(field: Bound<'_, PyAny>) -> PyResult<(Bound<'_, PyAny>, Bound<'_, PyAny>)> {
    field.extract().or_else(|wrong: PyErr| {
        let items: Vec<Bound<'_, PyAny>> = field.extract()?;
        let [name, value] = <[_; 2]>::try_from(items).map_err(|_| wrong)?;
        Ok((name, value))
    })
}

/// Fields of early hints, which may also be given as bytes.
pub(crate) fn read_hints(headers: &Bound<'_, PyAny>) -> PyResult<Fields> {
    let mut fields = Fields::new();
    for field in PyIterator::from_object(headers)? {
        let (name, value) = pair(field?)?;
        let name = decoded(name)?;
        let name = read_name(string(&name)?)?;
        let value = decoded(value)?;
        let value = text::to_latin1(string(&value)?).map_err(|_| bad_value(&name))?;
        let value = trim(value.as_bytes());
        if has_control(value) {
            return Err(bad_value(&name));
        }
        fields.push((name, Cow::Owned(value.to_vec())));
    }
    Ok(fields)
}

/// Like [`read_status`], with a cache: applications keep using the same few strings.
fn known_status(status: &Bound<'_, PyAny>) -> PyResult<(StatusCode, Option<Box<[u8]>>)> {
    let known = KNOWN.with_borrow(|known| {
        let (object, code) = known.status.as_ref()?;
        object.is(status).then_some(*code)
    });
    if let Some(code) = known {
        return Ok((code, None));
    }
    let (code, reason) = read_status(status)?;
    if reason.is_none() {
        let object = status.clone().unbind();
        let before = KNOWN.with_borrow_mut(|known| known.status.replace((object, code)));
        drop(before);
    }
    Ok((code, reason))
}

/// Like [`read_name`], with a cache.
fn known_name(name: &Bound<'_, PyString>) -> PyResult<Cow<'static, str>> {
    // The low bits are equal, because objects are aligned.
    let index = (name.as_ptr().addr() >> 4) % CACHED_NAMES;
    let known = KNOWN.with_borrow(|known| {
        let (object, text) = known.names.get(index)?.as_ref()?;
        object.is(name).then_some(*text)
    });
    if let Some(text) = known {
        return Ok(Cow::Borrowed(text));
    }
    let text = read_name(name)?;
    if let Cow::Borrowed(text) = text {
        let object = name.clone().unbind();
        let before = KNOWN.with_borrow_mut(|known| {
            known.names.resize_with(CACHED_NAMES, || None);
            known.names[index].replace((object, text))
        });
        // Freeing an object may run code.
        drop(before);
    }
    Ok(text)
}

/// Three digits, and a reason phrase after a space (RFC 9112 section 4).
fn read_status(status: &Bound<'_, PyAny>) -> PyResult<(StatusCode, Option<Box<[u8]>>)> {
    let invalid = || PyValueError::new_err(format!("invalid status {:?}", status.to_string()));
    let bytes = text::to_latin1(string(status)?).map_err(|_| invalid())?;
    let bytes = bytes.as_bytes();
    let (digits, reason) = bytes.split_at_checked(3).ok_or_else(invalid)?;
    let code = StatusCode::from_bytes(digits).map_err(|_| invalid())?;
    let reason = match reason {
        [] => reason,
        [b' ', reason @ ..] if !has_control(reason) => reason,
        _ => return Err(invalid()),
    };
    let usual = code.canonical_reason().map(str::as_bytes);
    Ok((code, (usual != Some(reason)).then(|| reason.into())))
}

fn read_name(name: &Bound<'_, PyString>) -> PyResult<Cow<'static, str>> {
    let invalid = || PyValueError::new_err(format!("invalid header name {:?}", name.to_string()));
    let bytes = text::to_latin1(name).map_err(|_| invalid())?;
    let bytes = bytes.as_bytes();
    if let Some(common) = COMMON.iter().find(|it| it.as_bytes() == bytes) {
        return Ok(Cow::Borrowed(common));
    }
    // A token (RFC 9110 section 5.6.2).
    let is_token = |&byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    match std::str::from_utf8(bytes) {
        Ok(name) if !bytes.is_empty() && bytes.iter().all(is_token) => {
            Ok(Cow::Owned(name.to_owned()))
        }
        _ => Err(invalid()),
    }
}

fn read_length(value: &[u8]) -> PyResult<u64> {
    let digits = std::str::from_utf8(value).unwrap_or_default();
    match digits.bytes().all(|byte| byte.is_ascii_digit()) {
        true => digits.parse().map_err(|_| invalid_length(value)),
        false => Err(invalid_length(value)),
    }
}

fn invalid_length(value: &[u8]) -> PyErr {
    let value = String::from_utf8_lossy(value).into_owned();
    PyValueError::new_err(format!(
        "Content-Length {value:?} is not a number of octets"
    ))
}

/// Names only the field: a value may be secret.
fn bad_value(name: &str) -> PyErr {
    PyValueError::new_err(format!(
        "the value of header {name} has a control character, or one beyond Latin-1"
    ))
}

fn string<'a, 'py>(object: &'a Bound<'py, PyAny>) -> PyResult<&'a Bound<'py, PyString>> {
    object.cast::<PyString>().map_err(|_| {
        let repr = object
            .repr()
            .map_or_else(|_| String::new(), |it| it.to_string());
        PyTypeError::new_err(format!("{repr} is not a string"))
    })
}

fn decoded<'py>(object: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    match object.extract::<&[u8]>() {
        Ok(bytes) => Ok(text::from_latin1(object.py(), bytes).into_any()),
        Err(_) => Ok(object.clone()),
    }
}

fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Whether it has a character that is forbidden in field values and reason phrases (RFC 9110
/// section 5.5). Without a branch per byte, so that the compiler can use vector instructions.
fn has_control(value: &[u8]) -> bool {
    let is_control = |byte: u8| ((byte < b' ') & (byte != b'\t')) | (byte == 0x7f);
    value
        .iter()
        .fold(false, |any, &byte| any | is_control(byte))
}
