//! How many there can be.

use std::sync::atomic::AtomicU64;

/// Children that can exist at one time, including those that drain while their replacement boots.
pub const MAX_SLOTS: usize = 512;

/// Request threads of one child.
pub const MAX_THREADS: usize = 256;

/// Words per page.
pub(super) const PAGE: usize = 4096 / size_of::<AtomicU64>();
