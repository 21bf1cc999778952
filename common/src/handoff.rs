//! The socket over which workers pass client connections to their siblings.
//!
//! The master makes it before it forks and never uses it. All workers share both ends: whoever
//! sends does so into one queue in the kernel, and whichever sibling receives first has the
//! connection (unix(7), `SCM_RIGHTS`). What a packet holds is the worker's business.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

/// Both ends of one nonblocking `AF_UNIX` socket pair that keeps packets whole.
#[derive(Debug, Clone)]
pub struct Handoff {
    pub receiver: Arc<OwnedFd>,
    pub sender: Arc<OwnedFd>,
}

impl Handoff {
    pub fn new() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (receiver, sender) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        Ok(Self {
            receiver: Arc::new(receiver),
            sender: Arc::new(sender),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::{read, write};

    #[test]
    fn packets_stay_whole_and_nobody_waits() {
        let handoff = Handoff::new().expect("a socket pair");
        let mut packet = [0; 16];
        assert!(read(&*handoff.receiver, &mut packet).is_err());
        write(&*handoff.sender, b"one").expect("a write");
        write(&*handoff.sender, b"two").expect("a write");
        assert_eq!(read(&*handoff.clone().receiver, &mut packet), Ok(3));
        assert_eq!(read(&*handoff.receiver, &mut packet), Ok(3));
    }
}
