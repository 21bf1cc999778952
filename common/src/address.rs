//! Addresses to listen at, as gunicorn spells them.

use std::fmt;
use std::net::Ipv6Addr;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::str::FromStr;

/// The port of an address that names none, as in gunicorn.
const DEFAULT_PORT: u16 = 8000;

/// One value of `bind`: `HOST`, `HOST:PORT`, `[IPV6]:PORT`, `unix:PATH` or `fd://N`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
    Fd(RawFd),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Fd(fd) => write!(f, "fd://{fd}"),
        }
    }
}

/// The text is not an address. The message says which forms there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("HOST, HOST:PORT, [IPV6]:PORT, unix:PATH or fd://N")]
    Form,
    #[error("HOST:PORT with a port from 0 to 65535")]
    Port,
    /// A number as a host would be an IPv4 address that nobody means (inet_aton(3)).
    #[error("HOST:PORT: a port alone is 127.0.0.1:{0}, or :{0} for all addresses")]
    PortAlone(u16),
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path {
                "" => Err(AddressError::Form),
                _ => Ok(Self::Unix(path.into())),
            };
        }
        if let Some(number) = text.strip_prefix("fd://") {
            let fd = number.parse().ok().filter(|&fd: &RawFd| fd >= 0);
            return fd.map(Self::Fd).ok_or(AddressError::Form);
        }
        let text = text.strip_prefix("tcp://").unwrap_or(text);
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']').ok_or(AddressError::Form)?;
                host.parse::<Ipv6Addr>().map_err(|_| AddressError::Form)?;
                match after {
                    "" => (host, None),
                    _ => (
                        host,
                        Some(after.strip_prefix(':').ok_or(AddressError::Form)?),
                    ),
                }
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let is_number = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit());
        let port = match port {
            Some(port) if is_number(port) => port.parse().map_err(|_| AddressError::Port)?,
            Some(_) => return Err(AddressError::Form),
            None if is_number(host) => {
                let port = host.parse().map_err(|_| AddressError::Port)?;
                return Err(AddressError::PortAlone(port));
            }
            None => DEFAULT_PORT,
        };
        let host = match host {
            "" if text.is_empty() => return Err(AddressError::Form),
            "" | "*" => "0.0.0.0".to_owned(),
            host if host.contains(['/', ' ', '@']) => return Err(AddressError::Form),
            host => host.to_ascii_lowercase(),
        };
        Ok(Self::Tcp { host, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_gunicorn_reads_them() {
        for (text, shown) in [
            ("localhost", "localhost:8000"),
            ("Example.COM:80", "example.com:80"),
            (":5002", "0.0.0.0:5002"),
            ("*:5002", "0.0.0.0:5002"),
            ("tcp://127.0.0.1:0", "127.0.0.1:0"),
            ("[::]:80", "[::]:80"),
            ("[::1]", "[::1]:8000"),
            ("unix:/run/a.sock", "unix:/run/a.sock"),
            ("unix:///run/a.sock", "unix:/run/a.sock"),
            ("unix:a.sock", "unix:a.sock"),
            ("fd://3", "fd://3"),
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!(address.to_string(), shown);
            assert_eq!(shown.parse(), Ok(address));
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "unix:",
            "fd://",
            "fd://-1",
            "fd://x",
            "h:",
            "h:x",
            "h:80:1",
            "::1",
            "[::1",
            "[x]:80",
            "[::1]80",
            "[::1]:",
            "/run/a.sock",
            "http://h",
            "me@h",
        ] {
            assert_eq!(text.parse::<Address>(), Err(AddressError::Form), "{text}");
        }
    }
}
