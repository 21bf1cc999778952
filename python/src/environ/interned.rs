//! The strings that every environ has, made once per worker.

use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::text::interned;

/// Interned strings: keys of every environ, and common values.
#[derive(Debug)]
pub(crate) struct Interned {
    pub(super) request_method: Py<PyString>,
    pub(super) script_name: Py<PyString>,
    pub(super) path_info: Py<PyString>,
    pub(super) query_string: Py<PyString>,
    pub(super) raw_uri: Py<PyString>,
    pub(super) server_protocol: Py<PyString>,
    pub(super) server_name: Py<PyString>,
    pub(super) server_port: Py<PyString>,
    pub(super) remote_addr: Py<PyString>,
    pub(super) remote_port: Py<PyString>,
    pub(super) content_type: Py<PyString>,
    pub(super) content_length: Py<PyString>,
    pub(super) input: Py<PyString>,
    pub(super) url_scheme: Py<PyString>,
    pub(super) https: Py<PyString>,
    pub(super) get: Py<PyString>,
    pub(super) post: Py<PyString>,
    pub(super) http10: Py<PyString>,
    pub(super) http11: Py<PyString>,
    pub(super) empty: Py<PyString>,
}

impl Interned {
    pub(crate) fn new(py: Python<'_>) -> Self {
        let word = |text| interned(py, text);
        Self {
            request_method: word("REQUEST_METHOD"),
            script_name: word("SCRIPT_NAME"),
            path_info: word("PATH_INFO"),
            query_string: word("QUERY_STRING"),
            raw_uri: word("RAW_URI"),
            server_protocol: word("SERVER_PROTOCOL"),
            server_name: word("SERVER_NAME"),
            server_port: word("SERVER_PORT"),
            remote_addr: word("REMOTE_ADDR"),
            remote_port: word("REMOTE_PORT"),
            content_type: word("CONTENT_TYPE"),
            content_length: word("CONTENT_LENGTH"),
            input: word("wsgi.input"),
            url_scheme: word("wsgi.url_scheme"),
            https: word("https"),
            get: word("GET"),
            post: word("POST"),
            http10: word("HTTP/1.0"),
            http11: word("HTTP/1.1"),
            empty: word(""),
        }
    }
}
