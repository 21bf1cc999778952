//! Reaping: every child of this process that has ended, whoever started it.
//!
//! As pid 1 of a container the master also inherits orphans that it has never heard of; they are
//! reaped without a word.

use crate::oom::OomWatch;
use crate::supervisor::{Death, End};
use crate::sys;

/// Those that have ended, in the order the kernel tells. Never waits.
pub(crate) fn ended() -> Vec<(i32, End)> {
    std::iter::from_fn(sys::reap_one).collect()
}

/// How a child of ours came to its end.
pub(crate) fn explain(end: End, oom: &mut OomWatch) -> Death {
    let signal = libc::SIGKILL;
    let killed = matches!(end, End::Signalled { signal: by, .. } if by == signal);
    let out_of_memory = killed && oom.take();
    Death { end, out_of_memory }
}
