//! The two ends of a client's connection, and the scheme that it uses.

use std::fmt;
use std::net::SocketAddr;

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Peer {
    Tcp(SocketAddr),
    /// A Unix domain socket: the peer has no address.
    #[default]
    Unix,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix => f.write_str("a local client"),
        }
    }
}

/// The address that a client has connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Local {
    /// The address of the listener, or the one that a PROXY protocol header names.
    Tcp(SocketAddr),
    /// A Unix domain socket: only the client's `Host` field names the server.
    #[default]
    Unix,
}

/// How the client reached the server, or the proxy in front of it (RFC 9110 section 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scheme {
    #[default]
    Http,
    /// Over TLS: the server's own, or that of a trusted proxy.
    Https,
}

impl Scheme {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
