//! Datagrams to one address. The socket is not connected: a receiver that starts late or restarts
//! is found without our help, and forked copies may share it.

use std::io;
use std::path::Path;

use socket2::{SockAddr, Socket, Type};

use super::resolve::{resolve, socket_for};
use crate::logging::host_port::HostPort;

/// Longer ones are cut: UDP carries no more than 65507 octets (RFC 768, RFC 791).
const MOST: usize = 65_000;

#[derive(Debug)]
pub(in crate::logging) struct DatagramSender {
    socket: Socket,
    to: SockAddr,
}

impl DatagramSender {
    /// The first address of the name for which there is a socket.
    pub(in crate::logging) fn udp(place: &HostPort) -> io::Result<Self> {
        let mut outcome = Err(io::ErrorKind::NotFound.into());
        for address in resolve(place)? {
            outcome = Self::to(address.into());
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    pub(in crate::logging) fn unix(path: &Path) -> io::Result<Self> {
        Self::to(SockAddr::unix(path)?)
    }

    fn to(to: SockAddr) -> io::Result<Self> {
        let socket = socket_for(&to, Type::DGRAM)?;
        Ok(Self { socket, to })
    }

    /// Sends one datagram, or fails at once.
    pub(in crate::logging) fn send(&self, datagram: &[u8]) -> io::Result<()> {
        let datagram = &datagram[..datagram.len().min(MOST)];
        loop {
            match self.socket.send_to(datagram, &self.to) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome.map(drop),
            }
        }
    }
}
