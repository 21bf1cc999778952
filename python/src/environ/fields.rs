//! The variables of request fields.

use std::collections::HashMap;

use oxicorn_common::request::RequestHead;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::interned::Interned;
use crate::text::from_latin1;

/// The variable of a field whose name has no `HTTP_`.
pub(super) fn own_name<'a>(name: &str, strings: &'a Interned) -> Option<&'a Py<PyString>> {
    match name.len() {
        12 if name.eq_ignore_ascii_case("content-type") => Some(&strings.content_type),
        14 if name.eq_ignore_ascii_case("content-length") => Some(&strings.content_length),
        _ => None,
    }
}

pub(super) fn key_of(name: &str) -> String {
    let mut key = String::with_capacity(name.len() + 5);
    key.push_str("HTTP_");
    key.extend(name.chars().map(|character| match character {
        '-' => '_',
        other => other.to_ascii_uppercase(),
    }));
    key
}

/// Joins repeated fields (RFC 9110 section 5.3). A client may send thousands, so each octet is
/// copied only once.
pub(super) fn join_repeated(
    environ: &Bound<'_, PyDict>,
    head: &RequestHead,
    strings: &Interned,
) -> PyResult<()> {
    let py = environ.py();
    let mut joined: HashMap<String, (usize, Vec<u8>)> = HashMap::new();
    for (name, value) in head.fields() {
        if own_name(name, strings).is_none() {
            let (count, values) = joined.entry(key_of(name)).or_default();
            if *count > 0 {
                values.push(b',');
            }
            *count += 1;
            values.extend_from_slice(value);
        }
    }
    for (key, (count, values)) in joined {
        if count > 1 {
            environ.set_item(key, from_latin1(py, &values))?;
        }
    }
    Ok(())
}
