//! The system calls of a worker that need `unsafe`.
#![allow(
    unsafe_code,
    reason = "descriptors that arrive as numbers must be given their owner; ioctl has \
              no types; the heap is the C library's"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use mio::Poll;
use nix::sys::epoll::Epoll;
use rustix::ioctl::{Getter, Opcode, ioctl};

/// Octets in a socket's send buffer: over TCP, what the other end has not acknowledged (tcp(7),
/// SIOCOUTQ); over a Unix socket, about what it has not read.
pub(crate) fn unacknowledged(socket: impl AsFd) -> io::Result<u64> {
    const SIOCOUTQ: Opcode = libc::TIOCOUTQ as Opcode;
    // SAFETY: this request writes one int and reads nothing; `Getter` has room for one.
    let count: libc::c_int = unsafe { ioctl(socket, Getter::<SIOCOUTQ, _>::new()) }?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// A second handle on the epoll instance behind `poll`, for flags that mio does not offer.
pub(crate) fn epoll_of(poll: &Poll) -> io::Result<Epoll> {
    // SAFETY: `poll` owns the descriptor and is borrowed until after it has been duplicated.
    let fd = unsafe { BorrowedFd::borrow_raw(poll.as_raw_fd()) };
    Ok(Epoll(fd.try_clone_to_owned()?))
}

/// Returns free pages of the heap to the kernel, wherever they are.
pub(crate) fn trim_heap() {
    // SAFETY: malloc_trim(3) may be called at any time, by any thread.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
