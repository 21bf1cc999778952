//! What a connection gets through before its first request: the header of the PROXY protocol, then
//! the handshake of TLS. Driven by the event loop, a step each time the client has sent something;
//! nobody waits here.
//!
//! ```text
//!   proxy header? --> first byte --> handshake --> requests
//!      (where it is on)    (where TLS is on)
//! ```

use std::io;

use log::debug;
use oxicorn_common::Settings;
use oxicorn_common::request::{Local, Peer};
use oxicorn_common::settings::{Peers, ProxyProtocol};

use crate::connection::{Buffers, Connection};
use crate::http::RequestError;
use crate::proxy_header::{Beginning, Header, begins_with, read_v1, read_v2};

/// What is to come first on every connection, after the settings.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate {
    proxy: ProxyProtocol,
    proxies: Peers,
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    /// It is new, and nothing has been looked at.
    Entrance,
    /// It may begin with a header of the PROXY protocol.
    ProxyHeader,
}

/// What became of a step.
#[derive(Debug)]
pub(crate) enum Passed {
    /// Requests may come.
    Through,
    /// More bytes are needed.
    Waiting,
    /// The client has left.
    Gone,
    Refused(RequestError),
}

impl Gate {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            proxy: settings.proxy.protocol,
            proxies: settings.proxy.protocol_peers.clone(),
        }
    }

    /// What comes first; `None` where nothing comes before a request.
    pub(crate) fn first(&self) -> Option<Opening> {
        (self.proxy != ProxyProtocol::Off).then_some(Opening::ProxyHeader)
    }

    /// Goes on with the opening of `connection` for as long as there are bytes.
    pub(crate) fn advance(&self, connection: &mut Connection, buffers: &mut Buffers) -> Passed {
        loop {
            let step = match connection.opening {
                None => return Passed::Through,
                Some(Opening::Entrance) => Ok(Some(self.first())),
                Some(Opening::ProxyHeader) => self.read_proxy_header(connection, buffers),
            };
            match step {
                Ok(Some(next)) => connection.opening = next,
                Ok(None) => match read_more(connection, buffers) {
                    Ok(true) => {}
                    Ok(false) => return Passed::Waiting,
                    Err(_) => return Passed::Gone,
                },
                Err(error) => return Passed::Refused(error),
            }
        }
    }

    /// The next opening, once it is known whether there is a header, and what it says.
    fn read_proxy_header(
        &self,
        connection: &mut Connection,
        buffers: &mut Buffers,
    ) -> Result<Option<Option<Opening>>, RequestError> {
        let input = buffers.inbox.filled();
        let beginning = begins_with(input, self.proxy);
        let header = match beginning {
            Beginning::Unknown => return Ok(None),
            Beginning::Client => return Ok(Some(None)),
            Beginning::V1 | Beginning::V2 if !self.admits(connection.peer) => {
                return Err(RequestError::ProxyForbidden);
            }
            Beginning::V1 => read_v1(input),
            Beginning::V2 => read_v2(input),
        };
        let Some(Header { length, route }) = header.map_err(RequestError::ProxyHeader)? else {
            return Ok(None);
        };
        buffers.inbox.consume(length);
        if let Some(route) = route {
            debug!("{} is {} by PROXY protocol", connection.peer, route.source);
            connection.peer = Peer::Tcp(route.source);
            connection.local = Local::Tcp(route.destination);
            connection.proxied = true;
        }
        Ok(Some(None))
    }

    /// Whether `peer` may name other clients. The permissions of a socket file have let in who comes
    /// by it.
    fn admits(&self, peer: Peer) -> bool {
        match peer {
            Peer::Unix => true,
            Peer::Tcp(address) => self.proxies.contains(address.ip()),
        }
    }
}

/// Reads once; false when there is nothing now, an error when there never will be.
fn read_more(connection: &mut Connection, buffers: &mut Buffers) -> io::Result<bool> {
    if !connection.readable && !connection.hung_up {
        return Ok(false);
    }
    let space = buffers.inbox.space();
    let room = space.len();
    match connection.stream.read(space) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(count) => {
            buffers.inbox.fill(count);
            connection.readable = count == room;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            connection.readable = false;
            connection.hung_up = false;
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
