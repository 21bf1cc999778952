//! A listening socket: bound once by the master, inherited by every child.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::address::Address;

/// A socket that listens, and where.
#[derive(Debug)]
pub struct Listener {
    pub fd: OwnedFd,
    /// As bound: the kernel's choice where the setting left the port open.
    pub address: Address,
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
