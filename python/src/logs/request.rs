//! A finished request in the form that a user's logger class needs, with an environ.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use oxicorn_common::SERVER_SOFTWARE;
use oxicorn_common::logging::{AccessEntry, AccessFormat};
use oxicorn_common::request::{Peer, Version};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::text::{from_latin1, unquote};

/// An owned copy of a request and its response.
#[derive(Debug)]
pub(crate) struct SeenRequest {
    method: String,
    target: String,
    path: String,
    query: String,
    version: (u8, u8),
    fields: Vec<OwnedField>,
    peer: Peer,
    scheme: &'static str,
    status: u16,
    response_fields: Vec<OwnedField>,
    variables: Vec<(String, String)>,
    body_bytes: u64,
    microseconds: u64,
    /// The line, if it is the server's own JSON object.
    object: Option<String>,
}

type OwnedField = (String, Vec<u8>);

impl SeenRequest {
    pub(super) fn of(format: &AccessFormat, entry: &AccessEntry<'_>) -> Self {
        let head = entry.head;
        let owned = |(name, value): (&str, &[u8])| (name.to_owned(), value.to_vec());
        // A request that could not be parsed has only its first line.
        let target = match head.target().is_empty() {
            true => String::from_utf8_lossy(&head.bytes).into_owned(),
            false => head.target().to_owned(),
        };
        Self {
            method: head.method().to_owned(),
            target,
            path: head.path().to_owned(),
            query: head.query().unwrap_or_default().to_owned(),
            version: match head.version {
                Version::Http10 => (1, 0),
                Version::Http11 => (1, 1),
            },
            fields: head.fields().map(owned).collect(),
            peer: *entry.peer,
            scheme: entry.scheme.as_str(),
            status: entry.status,
            response_fields: entry
                .fields
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_vec()))
                .collect(),
            variables: entry.variables.to_vec(),
            body_bytes: entry.body_bytes,
            microseconds: u64::try_from(entry.duration.as_micros()).unwrap_or(u64::MAX),
            object: format.is_object().then(|| line(format, entry)),
        }
    }

    /// The dictionary that `request` in `oxicorn/logs.py` expects.
    pub(super) fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let seen = PyDict::new(py);
        seen.set_item("environ", self.environ(py)?)?;
        seen.set_item("version", self.version)?;
        seen.set_item("headers", pairs(py, &self.fields, str::to_ascii_uppercase))?;
        seen.set_item("fields", pairs(py, &self.response_fields, str::to_owned))?;
        let reason = http::StatusCode::from_u16(self.status).ok();
        let reason = reason.and_then(|status| status.canonical_reason());
        let status = format!("{} {}", self.status, reason.unwrap_or("Unknown"));
        seen.set_item("status", status)?;
        seen.set_item("sent", self.body_bytes)?;
        seen.set_item("microseconds", self.microseconds)?;
        seen.set_item("object", &self.object)?;
        Ok(seen)
    }

    /// With the variables that the application has set.
    fn environ<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let environ = PyDict::new(py);
        let mut path = Vec::new();
        unquote(self.path.as_bytes(), &mut path);
        let (major, minor) = self.version;
        environ.set_item("REQUEST_METHOD", &self.method)?;
        environ.set_item("RAW_URI", from_latin1(py, self.target.as_bytes()))?;
        environ.set_item("PATH_INFO", from_latin1(py, &path))?;
        environ.set_item("QUERY_STRING", from_latin1(py, self.query.as_bytes()))?;
        environ.set_item("SCRIPT_NAME", "")?;
        environ.set_item("SERVER_PROTOCOL", format!("HTTP/{major}.{minor}"))?;
        environ.set_item("SERVER_SOFTWARE", SERVER_SOFTWARE)?;
        environ.set_item("wsgi.url_scheme", self.scheme)?;
        match self.peer {
            Peer::Tcp(address) => {
                environ.set_item("REMOTE_ADDR", address.ip().to_string())?;
                environ.set_item("REMOTE_PORT", address.port().to_string())?;
            }
            Peer::Unix => environ.set_item("REMOTE_ADDR", "")?,
        }
        for (key, value) in joined(&self.fields) {
            environ.set_item(key, from_latin1(py, &value))?;
        }
        for (name, value) in &self.variables {
            environ.set_item(name, value)?;
        }
        Ok(environ)
    }
}

fn line(format: &AccessFormat, entry: &AccessEntry<'_>) -> String {
    let mut line = Vec::new();
    format.render(&mut line, entry);
    String::from_utf8_lossy(line.trim_ascii_end()).into_owned()
}

/// The variables of fields; repeated fields are joined by commas, and each octet is copied once.
fn joined(fields: &[OwnedField]) -> HashMap<String, Vec<u8>> {
    let mut joined: HashMap<String, Vec<u8>> = HashMap::new();
    for (name, value) in fields {
        let name = name.to_ascii_uppercase().replace('-', "_");
        let key = match name.as_str() {
            "CONTENT_TYPE" | "CONTENT_LENGTH" => name,
            _ => format!("HTTP_{name}"),
        };
        match joined.entry(key) {
            Entry::Vacant(first) => drop(first.insert(value.clone())),
            Entry::Occupied(mut values) => {
                values.get_mut().push(b',');
                values.get_mut().extend_from_slice(value);
            }
        }
    }
    joined
}

fn pairs<'py>(
    py: Python<'py>,
    fields: &[OwnedField],
    name_of: fn(&str) -> String,
) -> Vec<(String, Bound<'py, PyAny>)> {
    let pair = |(name, value): &OwnedField| (name_of(name), from_latin1(py, value).into_any());
    fields.iter().map(pair).collect()
}
