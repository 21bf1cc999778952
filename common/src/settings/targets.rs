//! Where syslog and statsd are.

use std::fmt;
use std::path::PathBuf;

use super::parse::{self, Parsed};

/// Where the lines of syslog go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyslogAddress {
    Udp(String, u16),
    Tcp(String, u16),
    Unix { path: PathBuf, kind: UnixKind },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnixKind {
    /// Datagrams, or a stream where the socket takes none.
    Either,
    Datagram,
    Stream,
}

/// The port of syslog where none is given.
const SYSLOG_PORT: u16 = 514;
const STATSD_PORT: u16 = 8125;

impl SyslogAddress {
    pub(super) fn parse(text: &str) -> Parsed<Self> {
        let wrong = || "udp://HOST:PORT, tcp://HOST:PORT or unix://PATH".to_owned();
        if let Some(place) = text.strip_prefix("unix://") {
            let (path, kind) = match place.rsplit_once('#') {
                None => (place, UnixKind::Either),
                Some((path, "dgram")) => (path, UnixKind::Datagram),
                Some((path, "stream")) => (path, UnixKind::Stream),
                Some(_) => return Err("#dgram or #stream after the path".to_owned()),
            };
            let path = parse::path(path).ok_or_else(wrong)?;
            return Ok(Self::Unix { path, kind });
        }
        let (make, place): (fn(String, u16) -> Self, _) =
            match (text.strip_prefix("udp://"), text.strip_prefix("tcp://")) {
                (Some(place), _) => (Self::Udp, place),
                (_, Some(place)) => (Self::Tcp, place),
                _ => return Err(wrong()),
            };
        let (host, port) = host_and_port(place, SYSLOG_PORT).ok_or_else(wrong)?;
        Ok(make(host, port))
    }
}

impl Default for SyslogAddress {
    fn default() -> Self {
        Self::Udp("localhost".to_owned(), SYSLOG_PORT)
    }
}

impl fmt::Display for SyslogAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(host, port) => write!(f, "udp://{}", join(host, *port)),
            Self::Tcp(host, port) => write!(f, "tcp://{}", join(host, *port)),
            Self::Unix { path, kind } => {
                let kind = match kind {
                    UnixKind::Either => "",
                    UnixKind::Datagram => "#dgram",
                    UnixKind::Stream => "#stream",
                };
                write!(f, "unix://{}{kind}", path.display())
            }
        }
    }
}

/// Where the datagrams of statsd go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatsdAddress {
    Udp(String, u16),
    Unix(PathBuf),
}

impl StatsdAddress {
    pub(super) fn parse(text: &str) -> Parsed<Self> {
        let wrong = || "HOST:PORT or unix://PATH".to_owned();
        if let Some(path) = text.strip_prefix("unix:") {
            // A host may be called unix.
            if let Ok(port) = parse::number(path, 1..=u16::MAX) {
                return Ok(Self::Udp("unix".to_owned(), port));
            }
            let path = parse::path(path.strip_prefix("//").unwrap_or(path));
            return path.map(Self::Unix).ok_or_else(wrong);
        }
        let place = ["udp://", "tcp://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme))
            .unwrap_or(text);
        let (host, port) = host_and_port(place, STATSD_PORT).ok_or_else(wrong)?;
        Ok(Self::Udp(host, port))
    }
}

impl fmt::Display for StatsdAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(host, port) => f.write_str(&join(host, *port)),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

/// The part of a system that a line of syslog is said to come from, by number (RFC 5424 section 6.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facility(u8);

impl Facility {
    const NAMES: [(&'static str, u8); 21] = [
        ("kern", 0),
        ("user", 1),
        ("mail", 2),
        ("daemon", 3),
        ("auth", 4),
        ("syslog", 5),
        ("lpr", 6),
        ("news", 7),
        ("uucp", 8),
        ("cron", 9),
        ("authpriv", 10),
        ("ftp", 11),
        ("local0", 16),
        ("local1", 17),
        ("local2", 18),
        ("local3", 19),
        ("local4", 20),
        ("local5", 21),
        ("local6", 22),
        ("local7", 23),
        ("security", 4),
    ];

    /// 0 to 23.
    pub fn number(self) -> u8 {
        self.0
    }

    pub(super) fn parse(text: &str) -> Parsed<Self> {
        let named = |(name, _): &&(&str, u8)| name.eq_ignore_ascii_case(text);
        match Self::NAMES.iter().find(named) {
            Some(&(_, number)) => Ok(Self(number)),
            None => Err("user, daemon, local0 to local7 or another facility of syslog(3)".into()),
        }
    }
}

impl Default for Facility {
    fn default() -> Self {
        Self(1)
    }
}

impl fmt::Display for Facility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = Self::NAMES.iter().find(|(_, number)| *number == self.0);
        f.write_str(named.map_or("", |(name, _)| name))
    }
}

/// `HOST`, `HOST:PORT`, `[IPV6]` or `[IPV6]:PORT`; no host is this one.
fn host_and_port(text: &str, port: u16) -> Option<(String, u16)> {
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
    let port = match digits {
        Some(digits) => parse::number(digits, 1..=u16::MAX).ok()?,
        None => port,
    };
    let host = if host.is_empty() { "localhost" } else { host };
    let plain = |it: char| !it.is_whitespace() && it != '/';
    host.chars()
        .all(plain)
        .then(|| (host.to_ascii_lowercase(), port))
}

fn join(host: &str, port: u16) -> String {
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syslog_addresses() {
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

    #[test]
    fn statsd_addresses() {
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

    #[test]
    fn facilities_by_name() {
        assert_eq!(Facility::parse("LOCAL3").map(Facility::number), Ok(19));
        assert_eq!(
            Facility::parse("security").map(|it| it.to_string()),
            Ok("auth".into())
        );
        assert!(Facility::parse("loud").is_err());
    }
}
