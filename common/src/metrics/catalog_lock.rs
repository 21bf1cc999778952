//! [`CatalogLock`]: during an upgrade two masters may change the catalog at the same time.
//!
//! A word of shared memory has the pid of the master that holds the lock. A master that was killed meanwhile does not
//! keep it, and one that was stopped keeps the other waiting for a second only.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::{Pid, getpid};

const LOOK_AGAIN: Duration = Duration::from_millis(1);
const MOST_LOOKS: usize = 1000;

/// Lets one of two masters change the catalog. One that was killed meanwhile does not keep it.
pub(super) struct CatalogLock<'a>(&'a AtomicU64);

impl<'a> CatalogLock<'a> {
    pub(super) fn take(word: &'a AtomicU64) -> Self {
        let mut looks = 0;
        loop {
            let holder = word.load(Ordering::Relaxed);
            // One that is stopped may not stop this one too.
            if holder == 0 || !lives(holder) || looks > MOST_LOOKS {
                let (success, failure) = (Ordering::Acquire, Ordering::Relaxed);
                if word
                    .compare_exchange(holder, own_pid(), success, failure)
                    .is_ok()
                {
                    return Self(word);
                }
            }
            looks += 1;
            thread::sleep(LOOK_AGAIN);
        }
    }
}

impl Drop for CatalogLock<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Release);
    }
}

pub(super) fn own_pid() -> u64 {
    u64::try_from(getpid().as_raw()).unwrap_or_default()
}

fn lives(pid: u64) -> bool {
    let pid = i32::try_from(pid).map(Pid::from_raw);
    pid.is_ok_and(|pid| kill(pid, None) != Err(Errno::ESRCH))
}
