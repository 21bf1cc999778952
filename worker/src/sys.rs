//! The system calls of a worker that need `unsafe`.
#![allow(
    unsafe_code,
    reason = "descriptors that arrive as numbers must be given their owner"
)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use mio::Poll;
use nix::sys::epoll::Epoll;
use nix::sys::socket::{ControlMessageOwned, RecvMsg};

/// A second handle on the epoll instance behind `poll`, for flags that mio has no word for.
pub(crate) fn epoll_of(poll: &Poll) -> io::Result<Epoll> {
    // SAFETY: `poll` owns the descriptor and is borrowed until after it has been duplicated.
    let fd = unsafe { BorrowedFd::borrow_raw(poll.as_raw_fd()) };
    Ok(Epoll(fd.try_clone_to_owned()?))
}

/// The descriptor that came with a message; any further ones are closed.
pub(crate) fn received_fd(message: &RecvMsg<'_, '_, ()>) -> Option<OwnedFd> {
    let mut fds = message
        .cmsgs()
        .ok()?
        .filter_map(|control| match control {
            ControlMessageOwned::ScmRights(fds) => Some(fds),
            _ => None,
        })
        .flatten()
        // SAFETY: the kernel has just made these descriptors for us (unix(7)); nobody else has
        // their numbers, and each is wrapped once.
        .map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    let first = fds.next();
    fds.for_each(drop);
    first
}
