//! The unsafe edge of this crate: fork, the environment, raw descriptors and the argument area.
#![allow(
    unsafe_code,
    reason = "fork, setenv and descriptors given by number have no safe interface"
)]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{SockType, SockaddrStorage, getpeername, getsockname, getsockopt, sockopt};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{ForkResult, Pid};

use crate::supervisor::ExitKind;

/// The number of threads of this process. If `/proc` does not tell, it is one.
pub(crate) fn thread_count() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count)
}

/// Forks; `None` is the child.
pub(crate) fn fork() -> io::Result<Option<Pid>> {
    // SAFETY: the master has one thread for ever (`run` refuses to start with more), so the child
    // inherits no lock that another thread holds. Where the host allows more, they are its own, and it
    // sees to that (`Host::allows_threads`).
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(Some(child)),
        ForkResult::Child => Ok(None),
    }
}

/// Forks a process whose parent is at once the one that adopts orphans: the nearest subreaper (prctl(2)).
/// `None` is that process; the caller's waits for nothing but the one in between.
pub(crate) fn fork_orphan() -> io::Result<Option<Pid>> {
    let Some(between) = fork()? else {
        let between = Pid::this();
        match fork() {
            Ok(None) => {
                while Pid::parent() == between {
                    std::thread::yield_now();
                }
                return Ok(None);
            }
            Ok(Some(_)) => exit_now(0),
            Err(error) => exit_now(error.raw_os_error().unwrap_or(libc::EAGAIN)),
        }
    };
    loop {
        match waitpid(between, None) {
            Err(Errno::EINTR) => {}
            Ok(WaitStatus::Exited(_, errno)) if errno != 0 => {
                return Err(io::Error::from_raw_os_error(errno));
            }
            _ => return Ok(Some(between)),
        }
    }
}

/// Ends the process without destructors, because threads that still run must not lose their statics.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: _exit(2) does not return and touches no memory of the process.
    unsafe { libc::_exit(code) }
}

/// The children of all threads of this process, those that have ended included (proc_pid_task(5)): `None`
/// where the kernel does not list them. One that another thread has started may be missing for a moment when
/// that thread ends.
pub(crate) fn children() -> Option<BTreeSet<i32>> {
    let mut children = BTreeSet::new();
    let mut listed = false;
    for thread in std::fs::read_dir("/proc/self/task").ok()?.flatten() {
        // The thread may have ended meanwhile.
        if let Ok(list) = std::fs::read_to_string(thread.path().join("children")) {
            listed = true;
            children.extend(
                list.split_whitespace()
                    .filter_map(|pid| pid.parse::<i32>().ok()),
            );
        }
    }
    listed.then_some(children)
}

/// Whether it is a child of this process, ended or not.
pub(crate) fn is_child(pid: i32) -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    waitid(Id::Pid(Pid::from_raw(pid)), flags) != Err(Errno::ECHILD)
}

/// Whether a child has ended and waits to be reaped.
pub(crate) fn has_ended(pid: i32) -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    let found = waitid(Id::Pid(Pid::from_raw(pid)), flags);
    // A death by a real-time signal is an error without a pid.
    !matches!(found, Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD))
}

/// The connection or listening socket at `fd`, in words. `None` if it is neither, or processes may share it: datagrams
/// stay whole.
pub(crate) fn describe_connection(fd: RawFd) -> Option<String> {
    // SAFETY: borrowed for this call only, by the number that the kernel has just named; a wrong one is an error.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    let kind = getsockopt(&borrowed, sockopt::SockType).ok()?;
    if kind == SockType::Datagram {
        return None;
    }
    if getsockopt(&borrowed, sockopt::AcceptConn).unwrap_or(false) {
        let place = getsockname::<SockaddrStorage>(fd).ok()?;
        return Some(format!("a socket that listens at {place}"));
    }
    match getpeername::<SockaddrStorage>(fd) {
        Ok(peer) if peer.as_unix_addr().is_some_and(|it| it.path().is_none()) => {
            Some("a pair of sockets".to_owned())
        }
        Ok(peer) => Some(format!("to {peer}")),
        // The other side has gone, or there has been none: nothing that workers could take from each other.
        Err(_) => None,
    }
}

/// The end of a child, if it has ended. Never waits.
///
/// Not nix's: it reports a death by a real-time signal as an error.
pub(crate) fn reap(pid: i32) -> Option<ExitKind> {
    let mut status = 0;
    // SAFETY: waitpid(2) writes to `status`, which outlives the call.
    let found = unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) };
    if pid <= 0 || found != pid {
        return None;
    }
    let end = if libc::WIFSIGNALED(status) {
        ExitKind::Signalled {
            signal: libc::WTERMSIG(status),
            core_dumped: libc::WCOREDUMP(status),
        }
    } else {
        ExitKind::Exited {
            code: libc::WEXITSTATUS(status),
        }
    };
    Some(end)
}

/// Columns and lines of a terminal (ioctl_tty(2)).
pub(crate) fn window_size(terminal: impl AsFd) -> Option<(usize, usize)> {
    // SAFETY: a struct of integers, of which all bits zero is a valid value.
    let mut size: libc::winsize = unsafe { std::mem::zeroed() };
    let fd = terminal.as_fd().as_raw_fd();
    // SAFETY: the kernel writes to `size`, which outlives the call.
    let result = unsafe { libc::ioctl(fd, libc::TIOCGWINSZ, &raw mut size) };
    (result == 0).then_some((size.ws_col.into(), size.ws_row.into()))
}

/// Sets a variable of this process.
pub(crate) fn set_variable(name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) {
    // SAFETY: the master has one thread, so nobody reads the environment meanwhile.
    unsafe { std::env::set_var(name, value) }
}

pub(crate) fn remove_variable(name: impl AsRef<OsStr>) {
    // SAFETY: as in `set_variable`.
    unsafe { std::env::remove_var(name) }
}

/// Takes over a descriptor that this process was given by number, as by systemd. Fails if there is no such
/// descriptor. The caller takes each number once.
pub(crate) fn adopt(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(Errno::EBADF.into());
    }
    // SAFETY: borrowed for this call only, which fails if nothing is open there.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    fcntl(borrowed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    // SAFETY: it is open, and the process that started this one gave it to us to own.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Keeps a descriptor open when this process executes another program, which finds it by the number that is returned
/// and takes it over with [`adopt`].
pub(crate) fn keep_across_exec(fd: impl AsFd) -> io::Result<RawFd> {
    let fd = fd.as_fd();
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(fd.as_raw_fd())
}

/// The memory that `/proc/PID/cmdline` shows, where the kernel has put arguments and environment.
#[derive(Debug)]
pub(crate) struct ArgumentArea {
    start: *mut u8,
    length: usize,
}

impl ArgumentArea {
    /// Moves the environment elsewhere and takes the memory of both. Must be called once, after the arguments
    /// have been copied: std reads them from there.
    pub(crate) fn take() -> Option<Self> {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        // Fields 48 to 51 of proc_pid_stat(5), counted after the name in parentheses.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_ascii_whitespace().skip(45);
        let mut next = || fields.next()?.parse::<usize>().ok();
        let (arg_start, arg_end, env_start, env_end) = (next()?, next()?, next()?, next()?);
        let contiguous = env_start == arg_end || env_start == arg_end + 1;
        if arg_start == 0 || arg_end <= arg_start || env_end < env_start || !contiguous {
            return None;
        }
        let variables: Vec<_> = std::env::vars_os().collect();
        // SAFETY: one thread; clearenv(3) lets go of the strings in the area, and setenv puts the
        // copies on the heap.
        unsafe { libc::clearenv() };
        for (name, value) in variables {
            set_variable(name, value);
        }
        Some(Self {
            start: arg_start as *mut u8,
            length: env_end - arg_start,
        })
    }

    /// Shows `title` instead of the arguments, cut to the available room.
    pub(crate) fn write(&mut self, title: &str) {
        let cut = title.floor_char_boundary(self.length.saturating_sub(1));
        // SAFETY: the kernel says that the area is this long and ours, it is on the writable stack,
        // and nothing refers to it since `take`. `cut` leaves room for a final 0.
        unsafe {
            std::ptr::write_bytes(self.start, 0, self.length);
            std::ptr::copy_nonoverlapping(title.as_ptr(), self.start, cut);
        }
    }
}
