//! The layout of the shared memory that the master makes for the service.

use std::ops::Range;

/// How many words there are.
pub(crate) const WORDS: usize = SURVEYOR + 1;

/// [`crate::outages`]: one word per backend.
pub(crate) const OUTAGES: Range<usize> = 0..3;

/// [`crate::key_versions`]: its counters, and three words of its own.
pub(crate) const KEY_VERSIONS: Range<usize> = OUTAGES.end..OUTAGES.end + 16_384 + 3;

/// [`crate::survey`]: which process looks, and when it last did.
pub(crate) const SURVEYOR: usize = KEY_VERSIONS.end;
