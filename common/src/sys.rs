//! The unsafe edge of this crate: shared memory, signal handlers and the local time.
//!
//! Each function hands out a safe interface; nothing outside this file needs to know more than its
//! signature says.
#![allow(
    unsafe_code,
    reason = "mmap, sigaction and localtime_r have no safe interface"
)]

use std::ffi::{c_int, c_void};
use std::io;
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::ops::{Deref, Range};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI32, Ordering};

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::{dup2_stderr, dup2_stdout};

use crate::handoff::Count;
use crate::logging::LossWords;
use crate::news;
use crate::outages::Words;
use crate::scoreboard::Board;

/// What may live in memory shared by processes.
///
/// # Safety
/// The type consists of atomics only, and all bits zero is a valid value of it.
pub(crate) unsafe trait Shareable {}

// SAFETY: header, slots and seats are repr(C) structs of AtomicU32 and AtomicU64.
unsafe impl Shareable for Board {}
// SAFETY: a repr(C) struct of AtomicU32.
unsafe impl Shareable for Words {}
// SAFETY: a repr(C) struct of AtomicU64.
unsafe impl Shareable for news::Words {}
// SAFETY: a repr(C) struct of one AtomicU32.
unsafe impl Shareable for Count {}
// SAFETY: a repr(C) struct of AtomicU32, AtomicI32 and AtomicU64.
unsafe impl Shareable for LossWords {}

/// One value in anonymous memory that forked children share; unmapped when dropped.
pub(crate) struct Mapping<T: Shareable> {
    address: NonNull<T>,
    content: PhantomData<T>,
}

// SAFETY: the mapping is owned memory without thread affinity, and `Shareable` is atomics only.
unsafe impl<T: Shareable> Send for Mapping<T> {}
// SAFETY: as above: every access through a shared reference is atomic.
unsafe impl<T: Shareable> Sync for Mapping<T> {}

impl<T: Shareable> Mapping<T> {
    const LENGTH: NonZeroUsize = NonZeroUsize::new(size_of::<T>()).expect("not a unit type");

    pub(crate) fn new() -> io::Result<Self> {
        const { assert!(align_of::<T>() <= 4096, "mmap aligns to pages") };
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let flags = MapFlags::MAP_SHARED | MapFlags::MAP_NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice aliases nothing.
        let address = unsafe { mmap_anonymous(None, Self::LENGTH, protection, flags) }?;
        Ok(Self {
            address: address.cast(),
            content: PhantomData,
        })
    }

    /// Makes all of it read-only for this process, but for a range of bytes that begins and ends with
    /// a page. What writes elsewhere then dies of SIGSEGV.
    pub(crate) fn protect_all_but(&self, kept: Range<usize>) -> io::Result<()> {
        let end = Self::LENGTH.get();
        for part in [0..kept.start, kept.end..end] {
            if part.is_empty() {
                continue;
            }
            if part.end > end {
                return Err(Errno::EINVAL.into());
            }
            // SAFETY: the range is part of the mapping, which stays as it is and stays readable: a
            // shared reference to it is as good as before.
            unsafe {
                let address = self.address.cast::<c_void>().byte_add(part.start);
                mprotect(address, part.len(), ProtFlags::PROT_READ)?;
            }
        }
        Ok(())
    }
}

impl<T: Shareable> Deref for Mapping<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the mapping is as long as T, aligned to a page, zeroed by the kernel, which is a
        // valid T, and lives until drop. Other processes change it through atomics only.
        unsafe { self.address.as_ref() }
    }
}

impl<T: Shareable> Drop for Mapping<T> {
    fn drop(&mut self) {
        // SAFETY: address and length are those of mmap, and no reference outlives `self`.
        let _ = unsafe { munmap(self.address.cast(), Self::LENGTH.get()) };
    }
}

/// Where the handler writes; -1 is nowhere.
static SIGNAL_FD: AtomicI32 = AtomicI32::new(-1);

/// Names the descriptor that the handler writes to; -1 makes it drop signals.
pub(crate) fn set_signal_fd(fd: RawFd) {
    SIGNAL_FD.store(fd, Ordering::Release);
}

/// Stops the handler from writing to `fd`, if that is where it writes.
pub(crate) fn clear_signal_fd(fd: RawFd) {
    let _ = SIGNAL_FD.compare_exchange(fd, -1, Ordering::AcqRel, Ordering::Relaxed);
}

/// Makes `signal` a byte on the descriptor of [`set_signal_fd`].
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

/// The only signal handler: async-signal-safe after signal-safety(7), errno kept as it asks.
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

/// Has the three called by each fork(3) of this process, and of its copies, on the thread that forks. They
/// may do what a signal handler may (pthread_atfork(3)).
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

/// Puts the file behind `new` behind the number of `current` too, in one step (dup2(2)): whoever
/// writes there meanwhile writes to the one or the other.
pub(crate) fn replace_fd(new: BorrowedFd<'_>, current: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: both are open; the number of `current` stays open and with its owner. Only its file
    // changes, which the owner of a log file does not mind.
    let result = unsafe { libc::dup3(new.as_raw_fd(), current.as_raw_fd(), libc::O_CLOEXEC) };
    Errno::result(result)?;
    Ok(())
}

/// As write(2), without waiting whatever the flags of the open file, where its kind and the kernel know
/// how (RWF_NOWAIT, readv(2)); else the error is `EOPNOTSUPP`.
pub(crate) fn write_now(file: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    let part = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    // SAFETY: the kernel reads `bytes`, which outlives the call, by way of one iovec that does so too;
    // the offset -1 means that of the file.
    let count =
        unsafe { libc::pwritev2(file.as_raw_fd(), &raw const part, 1, -1, libc::RWF_NOWAIT) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// Puts the file behind `new` behind standard output and standard error. They stay open in programs
/// that the process starts.
pub(crate) fn replace_standard_streams(new: BorrowedFd<'_>) -> io::Result<()> {
    dup2_stdout(new)?;
    dup2_stderr(new)?;
    Ok(())
}

/// A moment in the time zone of the process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocalTime {
    pub(crate) year: i32,
    /// From 1.
    pub(crate) month: u32,
    pub(crate) day: u32,
    pub(crate) hour: u32,
    pub(crate) minute: u32,
    pub(crate) second: u32,
    /// Seconds east of Greenwich.
    pub(crate) offset: i64,
}

/// The local time of a number of seconds since 1970, as the last tzset(3) of this process has it.
pub(crate) fn local_time(seconds: i64) -> LocalTime {
    // SAFETY: a struct of integers and a pointer, of which all bits zero is a valid value.
    let mut time: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: localtime_r(3) reads the number and writes to `time`, and both outlive the call. The first call
    // reads the environment, which the master makes before there is another thread.
    unsafe { libc::localtime_r(&raw const seconds, &raw mut time) };
    LocalTime {
        year: time.tm_year + 1900,
        month: (time.tm_mon + 1).unsigned_abs(),
        day: time.tm_mday.unsigned_abs(),
        hour: time.tm_hour.unsigned_abs(),
        minute: time.tm_min.unsigned_abs(),
        second: time.tm_sec.unsigned_abs(),
        offset: time.tm_gmtoff,
    }
}
