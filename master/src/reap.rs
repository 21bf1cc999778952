//! Reaping: every child of this process that has ended, whoever started it.
//!
//! As pid 1 of a container the master also inherits orphans that it has never heard of; they are
//! reaped without a word.

use crate::oom::OomWatch;
use crate::supervisor::{Death, End};
use crate::sys;

/// The dead, pid and cause each, in the order the kernel tells. Never waits.
pub(crate) fn reap(oom: &mut OomWatch, is_ours: impl Fn(i32) -> bool) -> Vec<(i32, Death)> {
    let mut dead = Vec::new();
    while let Some((pid, end)) = sys::reap_one() {
        if !is_ours(pid) {
            log::debug!("reaped foreign child {pid}");
            continue;
        }
        let killed = matches!(
            end,
            End::Signalled {
                signal: libc::SIGKILL,
                ..
            }
        );
        let out_of_memory = killed && oom.take();
        dead.push((pid, Death { end, out_of_memory }));
    }
    if dead.is_empty() {
        oom.skip();
    }
    dead
}
