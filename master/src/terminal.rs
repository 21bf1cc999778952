//! Whether signals may come from a terminal: it sends SIGWINCH to its foreground process group
//! whenever its window changes size, which is no wish of the operator's.

use std::fs::File;

use nix::unistd::{getpgrp, tcgetpgrp};

/// Whether this process is in the foreground of its terminal.
pub(crate) fn is_ours() -> bool {
    let Ok(terminal) = File::open("/dev/tty") else {
        return false;
    };
    tcgetpgrp(&terminal).is_ok_and(|foreground| foreground == getpgrp())
}
