//! The address of a statsd daemon.

use std::fmt;
use std::path::PathBuf;

use crate::logging::host_port::{self, HostPort};

const DEFAULT_PORT: u16 = 8125;

/// Where metrics go, as datagrams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatsdAddress {
    Udp(HostPort),
    Unix(PathBuf),
}

impl StatsdAddress {
    /// Reads an address. The error says which forms there are.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "HOST:PORT or unix://PATH".to_owned();
        if let Some(path) = text.strip_prefix("unix:") {
            // A host may be called unix.
            if let Some(port) = host_port::port(path) {
                let host = "unix".to_owned();
                return Ok(Self::Udp(HostPort { host, port }));
            }
            return match path.strip_prefix("//").unwrap_or(path) {
                "" => Err(wrong()),
                path => Ok(Self::Unix(path.into())),
            };
        }
        let place = ["udp://", "tcp://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme))
            .unwrap_or(text);
        HostPort::parse(place, DEFAULT_PORT)
            .map(Self::Udp)
            .ok_or_else(wrong)
    }
}

impl fmt::Display for StatsdAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(place) => place.fmt(f),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown() {
        for (text, shown) in [
            ("localhost", "localhost:8125"),
            ("[::1]:9", "[::1]:9"),
            ("unix:9", "unix:9"),
            ("unix:///run/s", "unix:///run/s"),
            ("unix:/run/s", "unix:///run/s"),
        ] {
            let address = StatsdAddress::parse(text).expect(text);
            assert_eq!(address.to_string(), shown);
        }
        assert!(StatsdAddress::parse("h:x").is_err() && StatsdAddress::parse("unix:").is_err());
    }
}
