//! The system calls of this crate that have no safe interface elsewhere: signal handlers, fork handlers,
//! descriptors that change their file, the queue of a listener, and the C library's local time.
//!
//! Each function is safe to call with any arguments; nobody outside of this file needs to know more than its
//! signature says. Shared memory has its unsafe code in `shared_memory.rs`.
#![allow(
    unsafe_code,
    reason = "sigaction, pthread_atfork, dup3, pwritev2, getsockopt, sysconf and localtime_r have no safe interface"
)]

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::{dup2_stderr, dup2_stdout};

/// Where the handler writes; -1 is nowhere.
static SIGNAL_FD: AtomicI32 = AtomicI32::new(-1);

/// Sets the descriptor that the handler writes to; with -1 it drops signals.
pub(crate) fn set_signal_fd(fd: RawFd) {
    SIGNAL_FD.store(fd, Ordering::Release);
}

/// Stops the handler from writing to `fd`, if that is where it writes.
pub(crate) fn clear_signal_fd(fd: RawFd) {
    let _ = SIGNAL_FD.compare_exchange(fd, -1, Ordering::AcqRel, Ordering::Relaxed);
}

/// Has the handler write `signal` as a byte to the descriptor of [`set_signal_fd`].
pub(crate) fn catch(signal: Signal) -> io::Result<()> {
    set_action(signal, SigHandler::Handler(note_signal))
}

/// Gives `signal` its default action.
pub(crate) fn restore(signal: Signal) -> io::Result<()> {
    set_action(signal, SigHandler::SigDfl)
}

fn set_action(signal: Signal, handler: SigHandler) -> io::Result<()> {
    let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler is the default action or `note_signal`, which is async-signal-safe.
    unsafe { sigaction(signal, &action) }?;
    Ok(())
}

/// The only signal handler: async-signal-safe per signal-safety(7), which also asks to keep errno.
extern "C" fn note_signal(number: c_int) {
    let errno = Errno::last_raw();
    let fd = SIGNAL_FD.load(Ordering::Acquire);
    if fd >= 0 {
        let byte = [number as u8];
        // SAFETY: write(2) of one byte from the stack; a descriptor that is closed or full is an
        // error without effect. A full pipe already wakes the loop.
        let _ = unsafe { libc::write(fd, byte.as_ptr().cast(), 1) };
    }
    Errno::set_raw(errno);
}

/// Registers three functions that each fork(3) of this process, and of its copies, calls on the thread that
/// forks. They may do what a signal handler may (pthread_atfork(3)).
pub(crate) fn at_fork(
    before: extern "C" fn(),
    in_parent: extern "C" fn(),
    in_child: extern "C" fn(),
) -> io::Result<()> {
    // SAFETY: these are functions of the program, which is never unloaded.
    match unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Ends the process without destructors.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: _exit(2) does not return and touches no memory of the process.
    unsafe { libc::_exit(code) }
}

/// Makes the number of `current` refer to the file of `new`, in one step (dup2(2)): a write at the same time
/// goes to the one or the other.
pub(crate) fn replace_fd(new: BorrowedFd<'_>, current: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: both are open, and the number of `current` stays open and with its owner. Only its file
    // changes, which the owner of a log file expects.
    let result = unsafe { libc::dup3(new.as_raw_fd(), current.as_raw_fd(), libc::O_CLOEXEC) };
    Errno::result(result)?;
    Ok(())
}

/// As write(2), but never waits, whatever the flags of the open file (RWF_NOWAIT, readv(2)). Where the kernel
/// cannot do that for this kind of file, the error is `EOPNOTSUPP`.
pub(crate) fn write_now(file: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    let part = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    // SAFETY: the kernel reads `bytes` through one iovec, and both outlive the call; the offset -1 means
    // that of the file.
    let count =
        unsafe { libc::pwritev2(file.as_raw_fd(), &raw const part, 1, -1, libc::RWF_NOWAIT) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// Makes standard output and standard error refer to the file of `new`. Programs that the process starts
/// inherit them.
pub(crate) fn replace_standard_streams(new: BorrowedFd<'_>) -> io::Result<()> {
    dup2_stdout(new)?;
    dup2_stderr(new)?;
    Ok(())
}

/// The C library has a lock in localtime_r(3), and copies it into a child as it is. Who forks holds ours meanwhile, so that
/// nobody has that one.
static LOCAL_TIME: Mutex<()> = Mutex::new(());

/// Keeps all threads out of [`local_time`].
pub(crate) fn lock_local_time() -> MutexGuard<'static, ()> {
    LOCAL_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The local time of a number of seconds since 1970, in the time zone that the last tzset(3) of this process
/// has set.
pub(crate) fn local_time(unix_seconds: i64) -> libc::tm {
    let _lock = lock_local_time();
    // SAFETY: a struct of integers and a pointer, of which all bits zero is a valid value.
    let mut time: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: localtime_r(3) reads the number and writes to `time`, and both outlive the call. The first
    // call reads the environment, which the master makes before there is another thread.
    unsafe { libc::localtime_r(&raw const unix_seconds, &raw mut time) };
    time
}

/// What the kernel knows of a TCP socket (tcp(7), TCP_INFO). `None` for other sockets.
pub(crate) fn tcp_info(socket: impl AsFd) -> Option<libc::tcp_info> {
    // SAFETY: a struct of integers, of which all bits zero is a valid value.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).ok()?;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the kernel writes at most `length` bytes to `info`; both outlive the call.
    let result = unsafe {
        libc::getsockopt(
            fd,
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut length,
        )
    };
    (result == 0).then_some(info)
}

/// Ticks per second of the times in `/proc`.
pub(crate) fn clock_ticks() -> u64 {
    // SAFETY: a number in, a number out (sysconf(3)).
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    u64::try_from(ticks).unwrap_or(100).max(1)
}

/// Bytes per page.
pub(crate) fn page_size() -> u64 {
    // SAFETY: as in `clock_ticks`.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(size).unwrap_or(4096)
}
