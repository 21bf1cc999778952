//! Where to listen, as gunicorn spells it.

use std::fmt;
use std::net::Ipv6Addr;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::str::FromStr;

/// The port where an address names none, as gunicorn's.
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

/// The text is no address; the message says what would be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("HOST, HOST:PORT, [IPV6]:PORT, unix:PATH or fd://N")]
pub struct AddressError;

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path {
                "" => Err(AddressError),
                _ => Ok(Self::Unix(path.into())),
            };
        }
        if let Some(number) = text.strip_prefix("fd://") {
            let fd = number.parse().ok().filter(|&fd: &RawFd| fd >= 0);
            return fd.map(Self::Fd).ok_or(AddressError);
        }
        let text = text.strip_prefix("tcp://").unwrap_or(text);
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']').ok_or(AddressError)?;
                host.parse::<Ipv6Addr>().map_err(|_| AddressError)?;
                (
                    host,
                    after.strip_prefix(':').or(after.is_empty().then_some("")),
                )
            }
            None => match text.split_once(':') {
                Some((host, port)) if !port.is_empty() => (host, Some(port)),
                Some(_) => return Err(AddressError),
                None => (text, Some("")),
            },
        };
        let port = match port.ok_or(AddressError)? {
            "" => DEFAULT_PORT,
            port => port.parse().map_err(|_| AddressError)?,
        };
        let host = match host {
            "" if text.is_empty() => return Err(AddressError),
            "" | "*" => "0.0.0.0".to_owned(),
            host if host.contains(['/', ' ', '@']) => return Err(AddressError),
            host => host.to_ascii_lowercase(),
        };
        Ok(Self::Tcp { host, port })
    }
}
