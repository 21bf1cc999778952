//! The ways to a receiver of log lines or metrics. None of them ever waits: what a receiver does
//! not take at once is kept in a bounded queue (streams) or lost (datagrams).

mod datagrams;
mod stream;

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use socket2::{Domain, SockAddr, Socket, Type};

pub(super) use datagrams::Datagrams;
pub(super) use stream::Stream;

/// The addresses of a name, in the order of the system's preference (getaddrinfo(3)). May ask a
/// name server and wait for it: not to be called while requests are served.
pub(super) fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let addresses: Vec<_> = (host, port)
        .to_socket_addrs()
        .map_err(|error| io::Error::new(error.kind(), format!("{host}: {error}")))?
        .collect();
    match addresses.is_empty() {
        true => Err(io::Error::other(format!("{host} has no address"))),
        false => Ok(addresses),
    }
}

/// A socket that never waits.
fn socket_for(address: &SockAddr, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(Domain::from(i32::from(address.family())), kind, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
