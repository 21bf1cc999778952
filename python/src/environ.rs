//! The environ of PEP 3333: a copy of a base that all requests of a worker share, plus the entries
//! of the request.

mod fields;
mod interned;

use std::net::SocketAddr;

use oxicorn_common::request::{Local, Peer, Request, RequestHead, Scheme, Version};
use oxicorn_common::{Body, Settings};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::errors::Errors;
use crate::file_wrapper::FileWrapper;
use crate::response_state::EarlyHints;
pub(crate) use interned::Interned;

use crate::text::{from_latin1, interned, unquote};
use crate::wsgi_input::WsgiInput;

/// Spare entries that each environ has room for. A copy of a dictionary drops more spare room than
/// this.
const ROOM: usize = 8;
/// How many keys are cached.
const CACHED_KEYS: usize = 128;
/// In octets. Longer names are rarely seen twice.
const LONG_NAME: usize = 64;

/// Fields that applications often read.
const COMMON: [&str; 24] = [
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Authorization",
    "Cache-Control",
    "Connection",
    "Cookie",
    "Forwarded",
    "Host",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "Origin",
    "Range",
    "Referer",
    "Transfer-Encoding",
    "User-Agent",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Proto",
    "X-Request-Id",
    "X-Requested-With",
];

/// The base of every environ of a request thread. It already has the keys that each request sets,
/// so that a copy has room for them.
pub(crate) fn base<'py>(
    py: Python<'py>,
    settings: &Settings,
    errors: &Py<Errors>,
    hints: &Py<EarlyHints>,
) -> PyResult<Bound<'py, PyDict>> {
    let environ = PyDict::new(py);
    let software = py.import("oxicorn.identity")?.call_method0("software")?;
    environ.set_item(interned(py, "wsgi.errors"), errors)?;
    environ.set_item(interned(py, "wsgi.version"), (1, 0))?;
    environ.set_item(
        interned(py, "wsgi.multithread"),
        settings.most_threads() > 1,
    )?;
    environ.set_item(interned(py, "wsgi.multiprocess"), settings.workers > 1)?;
    environ.set_item(interned(py, "wsgi.run_once"), false)?;
    environ.set_item(interned(py, "wsgi.url_scheme"), interned(py, "http"))?;
    environ.set_item(interned(py, "wsgi.input_terminated"), true)?;
    environ.set_item(
        interned(py, "wsgi.file_wrapper"),
        py.get_type::<FileWrapper>(),
    )?;
    environ.set_item(interned(py, "wsgi.early_hints"), hints)?;
    environ.set_item(interned(py, "wsgi.input"), WsgiInput::new(Body::default()))?;
    environ.set_item(interned(py, "SERVER_SOFTWARE"), software)?;
    for name in [
        "REQUEST_METHOD",
        "SCRIPT_NAME",
        "PATH_INFO",
        "QUERY_STRING",
        "RAW_URI",
        "SERVER_PROTOCOL",
        "SERVER_NAME",
        "SERVER_PORT",
        "REMOTE_ADDR",
        "REMOTE_PORT",
    ] {
        environ.set_item(interned(py, name), interned(py, ""))?;
    }
    // A copy has the room of its original, which should fit the fields of most requests.
    for number in 0..ROOM {
        environ.set_item(number, number)?;
    }
    for number in 0..ROOM {
        environ.del_item(number)?;
    }
    Ok(environ)
}

/// Fills environs. One per request thread, with its caches.
#[derive(Debug)]
pub(crate) struct Filler {
    /// `HTTP_...` keys by the name of the field, indexed by its hash.
    keys: Vec<Option<Key>>,
    /// Indices of names that the next request forgets.
    long_names: Vec<usize>,
    peer: Option<(Peer, AddressStrings)>,
    local: Option<(Local, AddressStrings)>,
    path: Vec<u8>,
    /// The variable of the field that has the id of a request.
    id_key: Option<Py<PyString>>,
}

/// The name of a field as the client sent it, and its key.
type Key = (Box<[u8]>, Py<PyString>);

/// A host and a port as strings.
#[derive(Debug)]
struct AddressStrings {
    host: Py<PyString>,
    port: Option<Py<PyString>>,
}

impl Filler {
    pub(crate) fn new(py: Python<'_>, settings: &Settings) -> Self {
        let id_field = settings.request_id.as_deref();
        Self {
            keys: (0..CACHED_KEYS).map(|_| None).collect(),
            long_names: Vec::new(),
            peer: None,
            local: None,
            path: Vec::new(),
            id_key: id_field.map(|name| interned(py, &fields::key_of(name))),
        }
    }

    /// Adds the entries of `request`, and takes its body.
    pub(crate) fn fill(
        &mut self,
        environ: &Bound<'_, PyDict>,
        request: &mut Request,
        strings: &Interned,
        script_name: &[u8],
    ) -> PyResult<()> {
        let py = environ.py();
        let head = &request.head;
        self.put_line(environ, head, strings, script_name)?;
        if request.scheme == Scheme::Https {
            environ.set_item(&strings.url_scheme, &strings.https)?;
        }
        self.put_addresses(environ, request, strings)?;
        self.put_fields(environ, head, strings)?;
        if let (Some(key), Some(id)) = (&self.id_key, request.id()) {
            // In place of what a peer has sent that is not trusted.
            environ.set_item(key, from_latin1(py, id.as_bytes()))?;
        }
        if request.body.length() > 0 {
            let input = WsgiInput::new(std::mem::take(&mut request.body));
            environ.set_item(&strings.input, Py::new(py, input)?)?;
        }
        Ok(())
    }

    fn put_line(
        &mut self,
        environ: &Bound<'_, PyDict>,
        head: &RequestHead,
        strings: &Interned,
        script_name: &[u8],
    ) -> PyResult<()> {
        let py = environ.py();
        match head.method() {
            "GET" => environ.set_item(&strings.request_method, &strings.get)?,
            "POST" => environ.set_item(&strings.request_method, &strings.post)?,
            other => {
                let method = from_latin1(py, other.as_bytes());
                environ.set_item(&strings.request_method, method)?;
            }
        }
        let protocol = match head.version {
            Version::Http10 => &strings.http10,
            Version::Http11 => &strings.http11,
        };
        environ.set_item(&strings.server_protocol, protocol)?;
        let target = from_latin1(py, head.target().as_bytes());
        environ.set_item(&strings.raw_uri, &target)?;
        let (path, query) = (head.path(), head.query());
        match query {
            None | Some("") => environ.set_item(&strings.query_string, &strings.empty)?,
            Some(query) => {
                environ.set_item(&strings.query_string, from_latin1(py, query.as_bytes()))?;
            }
        }
        let inside = path.as_bytes();
        let inside = match script_name.is_empty() {
            true => inside,
            false => inside.strip_prefix(script_name).unwrap_or(inside),
        };
        environ.set_item(&strings.script_name, from_latin1(py, script_name))?;
        if inside.len() == head.target().len() && !inside.contains(&b'%') {
            return environ.set_item(&strings.path_info, &target);
        }
        self.path.clear();
        unquote(inside, &mut self.path);
        environ.set_item(&strings.path_info, from_latin1(py, &self.path))
    }

    fn put_addresses(
        &mut self,
        environ: &Bound<'_, PyDict>,
        request: &Request,
        strings: &Interned,
    ) -> PyResult<()> {
        let py = environ.py();
        let peer = match request.peer {
            Peer::Tcp(address) => Some(address),
            Peer::Unix => None,
        };
        let peer = remembered(py, &mut self.peer, request.peer, peer);
        environ.set_item(&strings.remote_addr, &peer.host)?;
        match &peer.port {
            Some(port) => environ.set_item(&strings.remote_port, port)?,
            None => environ.del_item(&strings.remote_port)?,
        }
        let local = match request.local {
            Local::Tcp(address) => Some(address),
            Local::Unix => None,
        };
        let local = remembered(py, &mut self.local, request.local, local);
        if let Some(port) = &local.port {
            if let (true, Local::Tcp(address)) = (request.proxied, request.local) {
                let protocol = if address.is_ipv4() { "TCP4" } else { "TCP6" };
                environ.set_item("PROXY_PROTOCOL", protocol)?;
                environ.set_item("PROXY_ADDR", &local.host)?;
                environ.set_item("PROXY_PORT", port)?;
            }
            environ.set_item(&strings.server_name, &local.host)?;
            return environ.set_item(&strings.server_port, port);
        }
        // A Unix socket has neither, so use `Host`: a host with an optional port, which may be
        // empty after the colon.
        let host = request.field("host").filter(|host| !host.is_empty());
        let host = host.unwrap_or(b"localhost");
        let colon = host.iter().rposition(|&byte| byte == b':');
        let (name, port) = match colon.filter(|&at| !host[at..].contains(&b']')) {
            Some(at) => (&host[..at], &host[at + 1..]),
            None => (host, &b""[..]),
        };
        let port = match (port, request.scheme) {
            (b"", Scheme::Https) => &b"443"[..],
            (b"", Scheme::Http) => &b"80"[..],
            (port, _) => port,
        };
        environ.set_item(&strings.server_name, from_latin1(py, name))?;
        environ.set_item(&strings.server_port, from_latin1(py, port))
    }

    /// Fields of the same name are joined by commas.
    fn put_fields(
        &mut self,
        environ: &Bound<'_, PyDict>,
        head: &RequestHead,
        strings: &Interned,
    ) -> PyResult<()> {
        let py = environ.py();
        for index in self.long_names.drain(..) {
            self.keys[index] = None;
        }
        let mut seen = 0_u128;
        // `X_A` and `X-A`, if both are allowed, have the same key and two indices.
        let (mut mixed, mut repeated) = (false, false);
        for (name, value) in head.fields() {
            let value = from_latin1(py, value);
            if let Some(own) = fields::own_name(name, strings) {
                environ.set_item(own, value)?;
                continue;
            }
            let (index, key) = self.key(py, name);
            mixed |= name.contains('_');
            if (mixed || seen & (1 << index) != 0) && environ.contains(key)? {
                repeated = true;
                continue;
            }
            seen |= 1 << index;
            environ.set_item(key, value)?;
        }
        match repeated {
            true => fields::join_repeated(environ, head, strings),
            false => Ok(()),
        }
    }

    /// The key of a field, and its index. The next request forgets long names: clients make them
    /// up, and could fill the memory with them.
    fn key(&mut self, py: Python<'_>, name: &str) -> (usize, &Py<PyString>) {
        let bytes = name.as_bytes();
        // FNV-1a is good enough: a collision costs one new string.
        let hash = bytes.iter().fold(0x811c_9dc5_u32, |hash, &byte| {
            (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193)
        });
        let index = (hash ^ (hash >> 16)) as usize % CACHED_KEYS;
        if bytes.len() > LONG_NAME {
            self.long_names.push(index);
        }
        let before = self.keys[index].take();
        let known = before.filter(|(known, _)| **known == *bytes);
        let known = known.unwrap_or_else(|| {
            let key = fields::key_of(name);
            // Interned strings may live for ever, so names from clients are not interned.
            let key = match COMMON
                .iter()
                .any(|common| common.eq_ignore_ascii_case(name))
            {
                true => interned(py, &key),
                false => from_latin1(py, key.as_bytes()).unbind(),
            };
            (bytes.into(), key)
        });
        (index, &self.keys[index].insert(known).1)
    }
}

/// The strings of an address; those of the last one are reused if it is the same.
fn remembered<'a, K: PartialEq>(
    py: Python<'_>,
    last: &'a mut Option<(K, AddressStrings)>,
    now: K,
    address: Option<SocketAddr>,
) -> &'a AddressStrings {
    if !matches!(last, Some((before, _)) if *before == now) {
        *last = None;
    }
    let make = || match address {
        Some(address) => AddressStrings {
            host: from_latin1(py, address.ip().to_string().as_bytes()).unbind(),
            port: Some(from_latin1(py, address.port().to_string().as_bytes()).unbind()),
        },
        None => AddressStrings {
            host: interned(py, ""),
            port: None,
        },
    };
    &last.get_or_insert_with(|| (now, make())).1
}
