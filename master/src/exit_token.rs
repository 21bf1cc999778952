//! Decides which of two masters that end at the same time is the last one, which removes the files of both.
//!
//! They share one token, in an eventfd. A master that ends takes it and leaves the clean-up to the other; a master
//! that finds it taken is the last. A master that is killed takes nothing, but then the other knows that it is alone.

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

    /// The token that the other master has made.
    pub(crate) fn inherited(eventfd: OwnedFd) -> Self {
        Self(eventfd)
    }

    /// Keeps it open over exec; returns its number.
    pub(crate) fn keep_across_exec(&self) -> io::Result<RawFd> {
        sys::keep_across_exec(&self.0)
    }

    /// Whether the other master stays. Must be called once, at the end.
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
