//! The system calls of a worker that need `unsafe`.
#![allow(
    unsafe_code,
    reason = "descriptors that arrive as numbers must be given their owner"
)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use mio::Poll;
use nix::sys::epoll::Epoll;

/// A second handle on the epoll instance behind `poll`, for flags that mio has no word for.
pub(crate) fn epoll_of(poll: &Poll) -> io::Result<Epoll> {
    // SAFETY: `poll` owns the descriptor and is borrowed until after it has been duplicated.
    let fd = unsafe { BorrowedFd::borrow_raw(poll.as_raw_fd()) };
    Ok(Epoll(fd.try_clone_to_owned()?))
}
