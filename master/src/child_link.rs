//! What connects the master with a child: the pipe for its messages, and a socket for requests in case it becomes a mold.

use std::io;
use std::os::fd::OwnedFd;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use oxicorn_common::MessageReceiver;

/// The master's ends of what connects it with a child.
#[derive(Debug)]
pub(crate) struct ChildLink {
    pub(crate) receiver: MessageReceiver,
    /// Over which it would be asked for workers, if it became a mold.
    pub(crate) requests: Option<OwnedFd>,
}

/// The master's end of a socket for requests to a mold, and the mold's.
pub(crate) fn request_sockets() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC;
    Ok(socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        flags,
    )?)
}

/// A worker that has drained, as the master has it.
#[derive(Debug)]
pub(crate) struct DrainedWorker {
    pub(crate) pid: i32,
    pub(crate) receiver: MessageReceiver,
    /// The master's end of the socket for requests.
    pub(crate) requests: OwnedFd,
}
