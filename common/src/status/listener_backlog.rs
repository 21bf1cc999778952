//! How many connections wait at a listener.

use std::os::fd::AsFd;

use super::ListenerStatus;
use crate::address::Address;
use crate::sys;

impl ListenerStatus {
    /// The listener `socket`, which is bound to `address`.
    pub fn of(socket: impl AsFd, address: &Address) -> Self {
        Self {
            address: address.to_string(),
            backlog: listen_backlog(socket),
        }
    }
}

/// The number of connections that wait to be accepted. `None` for sockets for which the kernel does not tell: all but
/// TCP.
pub fn listen_backlog(socket: impl AsFd) -> Option<u64> {
    sys::accept_queue(socket).map(u64::from)
}
