//! A listening socket. The master binds it once, and every child inherits it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::address::Address;

/// A socket that listens, and its address.
#[derive(Debug)]
pub struct Listener {
    pub fd: OwnedFd,
    /// The bound address, with the port that the kernel has chosen if the setting asks for port 0.
    pub address: Address,
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
