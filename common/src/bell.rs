//! A bell between processes: web workers ring it when they have queued work, and runners wait for it.
//!
//! The master makes it before it forks. It is an eventfd, so all children share one counter. A ring is kept until a
//! runner waits; several rings may arrive as one. It carries no data and may ring for nothing: the runner looks
//! into the store.

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

    /// Wakes one process that waits, now or at its next wait.
    pub fn ring(&self) {
        // A full counter wakes a process anyway.
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
    fn a_ring_wakes_once() {
        let bell = Bell::new().expect("an eventfd");
        assert!(!bell.wait(Duration::ZERO));
        bell.ring();
        bell.ring();
        assert!(bell.wait(Duration::from_secs(5)));
        assert!(!bell.wait(Duration::ZERO));
    }
}
