//! The address of a syslog daemon.

use std::fmt;
use std::path::PathBuf;

use crate::logging::host_port::HostPort;

const DEFAULT_PORT: u16 = 514;

/// Where log lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyslogAddress {
    Udp(HostPort),
    Tcp(HostPort),
    Unix { path: PathBuf, kind: UnixSocketKind },
}

/// What a daemon's Unix socket takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnixSocketKind {
    /// Datagrams, or a stream if the socket takes no datagrams.
    Either,
    Datagram,
    Stream,
}

impl SyslogAddress {
    /// Reads an address. The error says which forms there are.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "udp://HOST:PORT, tcp://HOST:PORT or unix://PATH".to_owned();
        if let Some(place) = text.strip_prefix("unix://") {
            let (path, kind) = match place.rsplit_once('#') {
                None => (place, UnixSocketKind::Either),
                Some((path, "dgram")) => (path, UnixSocketKind::Datagram),
                Some((path, "stream")) => (path, UnixSocketKind::Stream),
                Some(_) => return Err("#dgram or #stream after the path".to_owned()),
            };
            return match path {
                "" => Err(wrong()),
                path => Ok(Self::Unix {
                    path: path.into(),
                    kind,
                }),
            };
        }
        let (make, place): (fn(HostPort) -> Self, _) =
            match (text.strip_prefix("udp://"), text.strip_prefix("tcp://")) {
                (Some(place), _) => (Self::Udp, place),
                (_, Some(place)) => (Self::Tcp, place),
                _ => return Err(wrong()),
            };
        HostPort::parse(place, DEFAULT_PORT)
            .map(make)
            .ok_or_else(wrong)
    }
}

impl Default for SyslogAddress {
    fn default() -> Self {
        Self::Udp(HostPort {
            host: "localhost".to_owned(),
            port: DEFAULT_PORT,
        })
    }
}

impl fmt::Display for SyslogAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(place) => write!(f, "udp://{place}"),
            Self::Tcp(place) => write!(f, "tcp://{place}"),
            Self::Unix { path, kind } => {
                let kind = match kind {
                    UnixSocketKind::Either => "",
                    UnixSocketKind::Datagram => "#dgram",
                    UnixSocketKind::Stream => "#stream",
                };
                write!(f, "unix://{}{kind}", path.display())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown() {
        for (text, shown) in [
            ("udp://localhost:514", "udp://localhost:514"),
            ("udp://", "udp://localhost:514"),
            ("tcp://Log.example", "tcp://log.example:514"),
            ("tcp://[::1]:5140", "tcp://[::1]:5140"),
            ("unix:///dev/log", "unix:///dev/log"),
            ("unix:///dev/log#dgram", "unix:///dev/log#dgram"),
            ("unix:///dev/log#stream", "unix:///dev/log#stream"),
        ] {
            let address = SyslogAddress::parse(text).expect(text);
            assert_eq!(address.to_string(), shown);
        }
        for text in ["", "localhost:514", "udp://h:x", "unix://", "unix:///a#b"] {
            assert!(SyslogAddress::parse(text).is_err(), "{text}");
        }
    }
}
