//! Fields of [`super::values::Settings`] that belong together, one struct per group.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::choice::{ClientCertificate, HeaderMap, ProxyProtocol, ReloadEngine};
use super::peers::Peers;
use crate::address::Address;
use crate::logging::{StatsdAddress, SyslogAddress, SyslogFacility};

/// The PROXY protocol, and what a trusted reverse proxy may report.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProxySettings {
    pub protocol: ProxyProtocol,
    /// Peers that may send the header of the PROXY protocol.
    pub protocol_peers: Peers,
    /// Peers whose `secure_scheme_headers` and `forwarder_headers` count.
    pub forwarded_peers: Peers,
    /// Field names in capitals, each with the value that means https.
    pub secure_scheme_headers: Vec<(String, String)>,
    /// Field names in capitals that go into the WSGI environment under their own name.
    pub forwarder_headers: Vec<String>,
    /// Without a final slash; empty is the root.
    pub root_path: String,
}

/// Permitted deviations of a request from the standard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leniency {
    pub obsolete_folding: bool,
    pub header_spaces: bool,
    pub unconventional_method: bool,
    pub unconventional_version: bool,
    pub casefold_method: bool,
    pub header_map: HeaderMap,
}

/// TLS is on if there is a certificate; a key without one is rejected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsSettings {
    pub keyfile: Option<PathBuf>,
    pub certfile: Option<PathBuf>,
    pub ca_certs: Option<PathBuf>,
    pub client_certificate: ClientCertificate,
    /// A list in OpenSSL's form.
    pub ciphers: Option<String>,
    /// No effect: TLS 1.2 and 1.3 are offered.
    pub version: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyslogSettings {
    pub enabled: bool,
    pub address: SyslogAddress,
    /// The prefix of the log's name; if it is not set, the name of the processes.
    pub prefix: Option<String>,
    pub facility: SyslogFacility,
    /// Do not send the access log to syslog.
    pub errors_only: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatsdSettings {
    /// Off if not set.
    pub address: Option<StatsdAddress>,
    /// Put before every name, followed by a full stop if it does not end with one.
    pub prefix: String,
    /// As DogStatsD takes them: `name:value,name:value`.
    pub tags: String,
    pub backlog: bool,
}

/// The logging of Python, which replaces the log files. The first that is set counts: `dict`, `json`, `file`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogConfig {
    /// The class that logs.
    pub class: String,
    pub file: Option<PathBuf>,
    /// A dictionary for `logging.config`, as JSON.
    pub dict: Option<String>,
    pub json: Option<PathBuf>,
}

/// Restarting workers when code changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReloadSettings {
    pub enabled: bool,
    pub engine: ReloadEngine,
    /// Absolute; a name with `*`, `?` or `[` is a pattern.
    pub extra_files: Vec<String>,
}

/// How Python finds the application.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PythonSettings {
    /// Put at the front of `sys.path`, one by one.
    pub path: Vec<PathBuf>,
    /// A PasteDeploy file, absolute, optionally with `#NAME` of the application in it.
    pub paste: Option<String>,
    pub paste_global: Vec<(String, String)>,
}

/// There is an admin process if it has an address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AdminSettings {
    pub bind: Vec<Address>,
    pub token: Option<String>,
    pub token_file: Option<PathBuf>,
    /// Client certificates are required if there are authorities for them.
    pub tls: TlsSettings,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ControlSettings {
    pub socket: Option<PathBuf>,
    pub mode: u32,
    pub disabled: bool,
}

impl AdminSettings {
    /// Whether a request from another host can be told from a stranger's.
    pub fn has_credentials(&self) -> bool {
        self.token.is_some() || self.token_file.is_some() || self.tls.ca_certs.is_some()
    }
}

impl LogConfig {
    /// Names of gunicorn's own logger classes, which the server replaces without Python.
    const STOCK: [&str; 3] = [
        "gunicorn.glogging.Logger",
        "gunicorn.instrument.statsd.Statsd",
        "simple",
    ];

    pub fn is_stock_class(&self) -> bool {
        Self::STOCK.contains(&self.class.as_str())
    }
}

/// The values of settings that are accepted and have no effect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unused(BTreeMap<&'static str, String>);

impl Unused {
    pub(super) fn keep(&mut self, name: &'static str, value: impl ToString) {
        self.0.insert(name, value.to_string());
    }

    pub(super) fn show(&self, name: &str) -> String {
        self.0.get(name).cloned().unwrap_or_default()
    }
}

/// The hooks that a Python config file sets, with the name of each function.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HookNames(BTreeMap<&'static str, String>);

impl HookNames {
    /// Whether the hook called `name` is set.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn keep(&mut self, name: &'static str, callable: &str) {
        self.0.insert(name, callable.to_owned());
    }

    pub(super) fn show(&self, name: &str) -> String {
        self.0.get(name).cloned().unwrap_or_default()
    }
}
