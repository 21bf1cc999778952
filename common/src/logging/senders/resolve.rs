//! Addresses of receivers, and sockets for them.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::logging::host_port::HostPort;

/// The addresses of a name, in the order of the system's preference (getaddrinfo(3)). May ask a
/// name server and wait for it: must not be called while requests are served.
pub(super) fn resolve(place: &HostPort) -> io::Result<Vec<SocketAddr>> {
    let HostPort { host, port } = place;
    let addresses: Vec<_> = (host.as_str(), *port)
        .to_socket_addrs()
        .map_err(|error| io::Error::new(error.kind(), format!("{host}: {error}")))?
        .collect();
    match addresses.is_empty() {
        true => Err(io::Error::other(format!("{host} has no address"))),
        false => Ok(addresses),
    }
}

/// A socket that never waits.
pub(super) fn socket_for(address: &SockAddr, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(Domain::from(i32::from(address.family())), kind, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
