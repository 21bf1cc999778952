//! Where the syslog daemon listens, as the setting `syslog_addr` says it.

use std::path::PathBuf;

const PORT: u16 = 514;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyslogAddress {
    Udp { host: String, port: u16 },
    Tcp { host: String, port: u16 },
    /// A socket file: for datagrams, or, unless told otherwise, for whichever kind is there.
    Unix { path: PathBuf, datagrams_only: bool },
}

impl SyslogAddress {
    /// Reads `udp://HOST:PORT`, `tcp://HOST:PORT` or `unix://PATH[#dgram|#stream]`; the error says
    /// what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        const RIGHT: &str = "udp://HOST:PORT, tcp://HOST:PORT or unix://PATH";
        if let Some(rest) = text.strip_prefix("unix://") {
            let (path, kind) = rest.split_once('#').unwrap_or((rest, ""));
            if path.is_empty() {
                return Err(RIGHT.to_owned());
            }
            return Ok(Self::Unix {
                path: path.into(),
                datagrams_only: kind == "dgram",
            });
        }
        if let Some(rest) = text.strip_prefix("udp://") {
            let (host, port) = split(rest)?;
            return Ok(Self::Udp { host, port });
        }
        let rest = text.strip_prefix("tcp://").ok_or_else(|| RIGHT.to_owned())?;
        let (host, port) = split(rest)?;
        Ok(Self::Tcp { host, port })
    }
}

/// A host, in brackets where it has colons itself, and perhaps a port.
fn split(text: &str) -> Result<(String, u16), String> {
    let (host, rest) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest),
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port = match rest.strip_prefix(':') {
        Some(port) => port
            .parse()
            .map_err(|_| format!("a port from 0 to 65535 after the last colon, not {port:?}"))?,
        None => PORT,
    };
    let host = match host {
        "" => "localhost",
        host => host,
    };
    Ok((host.to_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_gunicorns() {
        let udp = |host: &str, port| SyslogAddress::Udp {
            host: host.to_owned(),
            port,
        };
        let unix = |path: &str, datagrams_only| SyslogAddress::Unix {
            path: path.into(),
            datagrams_only,
        };
        for (text, address) in [
            ("udp://localhost:514", udp("localhost", 514)),
            ("udp://LogHost", udp("loghost", 514)),
            ("udp://", udp("localhost", 514)),
            ("udp://[::1]:5140", udp("::1", 5140)),
            ("udp://[fe80::1]", udp("fe80::1", 514)),
            ("unix:///dev/log", unix("/dev/log", false)),
            ("unix:///dev/log#dgram", unix("/dev/log", true)),
            ("unix:///dev/log#stream", unix("/dev/log", false)),
        ] {
            assert_eq!(SyslogAddress::parse(text), Ok(address), "{text}");
        }
        assert_eq!(
            SyslogAddress::parse("tcp://10.0.0.1:601"),
            Ok(SyslogAddress::Tcp {
                host: "10.0.0.1".to_owned(),
                port: 601
            })
        );
        for text in ["", "localhost:514", "udp://a:b", "udp://a:70000", "unix://"] {
            assert!(SyslogAddress::parse(text).is_err(), "{text}");
        }
    }
}
