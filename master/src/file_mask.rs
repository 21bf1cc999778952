//! The file mode creation mask of the process, for as long as a socket file is made.

use std::sync::{Mutex, PoisonError};

use nix::sys::stat::{Mode, umask};

/// The mask belongs to the process, so two threads must not change it at the same time.
static TURN: Mutex<()> = Mutex::new(());

/// Runs `make` with another mask, so that the file has its permissions from the beginning.
pub(crate) fn with_file_mask<T>(mask: u32, make: impl FnOnce() -> T) -> T {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let before = umask(Mode::from_bits_truncate(mask));
    let made = make();
    umask(before);
    made
}
