//! Which of two masters that end at the same time is the last: it removes what both have used.
//!
//! One token for both, in an eventfd that they share. Who ends takes it, and leaves the rest to the other; who
//! finds it taken is the last. One that is killed takes nothing, but then the other knows that it is alone.

use std::io;
use std::os::fd::{OwnedFd, RawFd};

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::sys;

#[derive(Debug)]
pub(crate) struct ExitToken(OwnedFd);

impl ExitToken {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = EfdFlags::EFD_SEMAPHORE | EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        Ok(Self(EventFd::from_value_and_flags(1, flags)?.into()))
    }

    /// The one that the other master has made.
    pub(crate) fn inherited(eventfd: OwnedFd) -> Self {
        Self(eventfd)
    }

    /// Keeps it open over exec; returns its number.
    pub(crate) fn keep_across_exec(&self) -> io::Result<RawFd> {
        sys::keep_across_exec(&self.0)
    }

    /// Whether the other one stays behind. To be asked once, at the end.
    pub(crate) fn is_first(&self) -> bool {
        nix::unistd::read(&self.0, &mut [0; 8]).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_two_is_first() {
        let exit_token = ExitToken::new().expect("an eventfd");
        let other = ExitToken::inherited(exit_token.0.try_clone().expect("a descriptor"));
        assert!(exit_token.is_first());
        assert!(!other.is_first());
    }
}
