//! A bell between processes: web workers ring it when they have queued work, runners wait for it.
//!
//! It is an eventfd made by the master before it forks, so every child shares one counter. A ring
//! that nobody hears is kept; several rings may be heard as one. It carries no data and may ring
//! for nothing: the listener looks at the store to find out.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

/// One bell; clones and forked copies ring the same one.
#[derive(Debug, Clone)]
pub struct Bell(Arc<EventFd>);

impl Bell {
    pub fn new() -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Self(Arc::new(EventFd::from_value_and_flags(0, flags)?)))
    }

    /// Wakes one listener, now or when it next listens. A full counter is a bell already ringing.
    pub fn ring(&self) {
        let _ = self.0.write(1);
    }

    /// Waits for a ring for at most `timeout`; true when the bell rang.
    pub fn wait(&self, timeout: Duration) -> bool {
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, timeout) {
            Ok(count) if count > 0 => self.0.read().is_ok(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_is_heard_once() {
        let bell = Bell::new().expect("an eventfd");
        assert!(!bell.wait(Duration::ZERO));
        bell.ring();
        bell.ring();
        assert!(bell.wait(Duration::from_secs(5)));
        assert!(!bell.wait(Duration::ZERO));
    }
}
