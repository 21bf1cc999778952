//! How many connections wait at a listener.

use std::os::fd::AsFd;

use super::ListenerStatus;
use crate::address::Address;
use crate::tcp_info::listen_backlog;

impl ListenerStatus {
    /// The listener `socket`, which is bound to `address`.
    pub fn of(socket: impl AsFd, address: &Address) -> Self {
        Self {
            address: address.to_string(),
            backlog: listen_backlog(socket),
        }
    }
}
