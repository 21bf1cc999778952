//! A host and a port, as the addresses of syslog and statsd spell them.

use std::fmt;

/// A name or an address of a machine, and a port there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    pub host: String,
    pub port: u16,
}

impl HostPort {
    /// Reads `HOST`, `HOST:PORT`, `[IPV6]` or `[IPV6]:PORT`. No host means this one, no port `default_port`.
    pub(super) fn parse(text: &str, default_port: u16) -> Option<Self> {
        let (host, digits) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']')?;
                match after {
                    "" => (host, None),
                    _ => (host, Some(after.strip_prefix(':')?)),
                }
            }
            None => match text.split_once(':') {
                Some((host, digits)) => (host, Some(digits)),
                None => (text, None),
            },
        };
        let port = digits.map_or(Some(default_port), port)?;
        let host = if host.is_empty() { "localhost" } else { host };
        let is_plain = |it: char| !it.is_whitespace() && it != '/';
        host.chars().all(is_plain).then(|| Self {
            host: host.to_ascii_lowercase(),
            port,
        })
    }
}

/// A port that one can send to.
pub(super) fn port(digits: &str) -> Option<u16> {
    digits.parse().ok().filter(|&port| port > 0)
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        match host.contains(':') {
            true => write!(f, "[{host}]:{port}"),
            false => write!(f, "{host}:{port}"),
        }
    }
}
