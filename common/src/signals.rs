//! Signals as bytes in a pipe, so that a loop polls for them as for anything else.
//!
//! ```text
//!   kernel --signal--> handler --one byte--> pipe --poll--> loop: take()
//! ```
//!
//! The handler is process-wide, and so is the pipe that it writes to: a process has one `SignalPipe` at a time. A
//! forked child inherits both, and must not write to its parent's pipe. So the parent calls [`block_all`] before
//! the fork; the child calls [`reset_to_default`] and later installs its own pipe, which unblocks signals. A
//! signal that arrives in between stays pending until then.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::fcntl::OFlag;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{pipe2, read};

use crate::sys;

/// The signals that the handler is installed for: bit `n` for signal `n`.
static CAUGHT: AtomicU64 = AtomicU64::new(0);

/// The reading end of the process's signals.
#[derive(Debug)]
pub struct SignalPipe {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl SignalPipe {
    /// Catches `signals` and unblocks all. Replaces the pipe that was installed before, if any.
    pub fn install(signals: &[Signal]) -> io::Result<Self> {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        sys::set_signal_fd(writer.as_raw_fd());
        let pipe = Self { reader, writer };
        for &signal in signals {
            sys::catch(signal)?;
            CAUGHT.fetch_or(bit(signal), Ordering::Relaxed);
        }
        unblock_all()?;
        Ok(pipe)
    }

    /// The signals that have arrived since the last call, in order. Does not wait.
    pub fn take(&mut self) -> Vec<Signal> {
        let mut signals = Vec::new();
        let mut bytes = [0; 64];
        // Ends with EAGAIN: both ends are held here, so there is no end of file.
        while let Ok(count) = read(&self.reader, &mut bytes) {
            let numbers = bytes.iter().take(count).map(|&byte| i32::from(byte));
            signals.extend(numbers.filter_map(|number| Signal::try_from(number).ok()));
            if count < bytes.len() {
                break;
            }
        }
        signals
    }
}

impl AsFd for SignalPipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

impl Drop for SignalPipe {
    /// The handler stays and drops signals, so that none kills a process that is about to end.
    fn drop(&mut self) {
        sys::clear_signal_fd(self.writer.as_raw_fd());
    }
}

/// Installs the handler again for signals that other code has taken since a pipe was installed, and unblocks
/// them in the calling thread.
pub fn reclaim() -> io::Result<()> {
    for signal in caught() {
        sys::catch(signal)?;
    }
    Ok(caught().collect::<SigSet>().thread_unblock()?)
}

/// The signals that a pipe was installed for.
pub fn caught() -> impl Iterator<Item = Signal> {
    let caught = CAUGHT.load(Ordering::Relaxed);
    Signal::iterator().filter(move |&signal| caught & bit(signal) != 0)
}

/// Blocks every signal in the calling thread, before a fork.
pub fn block_all() -> io::Result<()> {
    Ok(SigSet::all().thread_set_mask()?)
}

/// Unblocks every signal in the calling thread. Pending ones are delivered now.
pub fn unblock_all() -> io::Result<()> {
    Ok(SigSet::empty().thread_set_mask()?)
}

/// Restores the default action of every signal that a pipe was installed for, in a child after the fork.
/// Signals stay blocked until the child installs its own pipe.
pub fn reset_to_default() -> io::Result<()> {
    let caught = CAUGHT.swap(0, Ordering::Relaxed);
    for signal in Signal::iterator().filter(|&signal| caught & bit(signal) != 0) {
        sys::restore(signal)?;
    }
    sys::set_signal_fd(-1);
    Ok(())
}

/// Signals of the classic set are below 32 (signal(7)).
fn bit(signal: Signal) -> u64 {
    1 << (signal as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::raise;

    #[test]
    fn signals_arrive_in_order_and_wait_while_blocked() {
        // One test: handler and mask belong to the process and to this thread.
        let mut pipe =
            SignalPipe::install(&[Signal::SIGUSR1, Signal::SIGWINCH]).expect("a signal pipe");
        assert!(pipe.take().is_empty());
        raise(Signal::SIGWINCH).expect("raise");
        raise(Signal::SIGUSR1).expect("raise");
        assert_eq!(pipe.take(), [Signal::SIGWINCH, Signal::SIGUSR1]);

        block_all().expect("block");
        raise(Signal::SIGUSR1).expect("raise");
        assert!(pipe.take().is_empty());
        unblock_all().expect("unblock");
        assert_eq!(pipe.take(), [Signal::SIGUSR1]);

        let next = SignalPipe::install(&[Signal::SIGWINCH]).expect("a second pipe");
        drop(pipe);
        raise(Signal::SIGWINCH).expect("raise");
        let mut next = next;
        assert_eq!(next.take(), [Signal::SIGWINCH]);
    }
}
