//! Fields of [`super::values::Settings`] that belong together, one struct per group.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::choice::{ClientCertificate, HeaderMap, ProxyProtocol, ReloadEngine};
use super::peers::Peers;
use crate::logging::{StatsdAddress, SyslogAddress, SyslogFacility};

/// The PROXY protocol, and what a trusted reverse proxy may say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProxySettings {
    pub protocol: ProxyProtocol,
    /// Who may send the header of the PROXY protocol.
    pub protocol_peers: Peers,
    /// Whose `secure_scheme_headers` and `forwarder_headers` count.
    pub forwarded_peers: Peers,
    /// Field names in capitals, each with the value that means https.
    pub secure_scheme_headers: Vec<(String, String)>,
    /// Field names in capitals, which go into the environ under their own name.
    pub forwarder_headers: Vec<String>,
    /// Without a slash at its end; empty is the root.
    pub root_path: String,
}

/// Where a request may depart from the standard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leniency {
    pub obsolete_folding: bool,
    pub header_spaces: bool,
    pub unconventional_method: bool,
    pub unconventional_version: bool,
    pub casefold_method: bool,
    pub header_map: HeaderMap,
}

/// TLS is on when there is a certificate; a lone key or certificate is refused.
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
    /// What stands before the name of the log; not set is the name of the processes.
    pub prefix: Option<String>,
    pub facility: SyslogFacility,
    /// Keep the access log out of it.
    pub errors_only: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatsdSettings {
    /// Off when not set.
    pub address: Option<StatsdAddress>,
    /// Put before every name, with a full stop after it where it has none.
    pub prefix: String,
    /// As DogStatsD takes them: `name:value,name:value`.
    pub tags: String,
    pub backlog: bool,
}

/// The logging of Python, in place of the log files. The first that is set counts: `dict`, `json`, `file`.
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
    /// A PasteDeploy file, absolute, maybe with `#NAME` of the application in it.
    pub paste: Option<String>,
    pub paste_global: Vec<(String, String)>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ControlSettings {
    pub socket: Option<PathBuf>,
    pub mode: u32,
    pub disabled: bool,
}

impl LogConfig {
    /// Names of the class that there is without any of Python.
    const STOCK: [&str; 3] = [
        "gunicorn.glogging.Logger",
        "gunicorn.instrument.statsd.Statsd",
        "simple",
    ];

    pub fn is_stock_class(&self) -> bool {
        Self::STOCK.contains(&self.class.as_str())
    }
}

/// The values of settings that are taken and have no effect.
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

/// The hooks that a Python config file sets, with what each is called there.
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
