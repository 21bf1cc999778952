//! How a change invalidates caches: [`Invalidate`] is told which keys it changes, [`Tracker`] reports the changes of
//! all processes.
//!
//! ```text
//!   change            cache                          reader
//!   ---------------------------------------------------------------------------
//!   rows written
//!                     announce: what is read from    reads the old row: may answer
//!                     now on is not kept             with it, may not keep it
//!   COMMIT
//!                     settle: forget                 reads the new row: may keep it
//! ```

use std::fmt;

use super::StoreError;

/// Hears of the keys that a change spoils. A cache. One thread announces a change and settles it,
/// and makes no other in between.
pub(crate) trait Invalidate: fmt::Debug + Send + Sync {
    /// Before the commit: until [`Invalidate::settle`], nobody keeps what was read under these
    /// keys. False when that cannot be made sure: then the change itself writes them down
    /// (`Store::stale_keys`), for whoever reaches the cache first.
    fn announce(&self, keys: &[String]) -> bool;

    /// After the commit, and before the client hears of it: the keys are forgotten.
    fn settle(&self, keys: &[String]);
}

/// What has changed since the last look.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Changes {
    Nothing,
    Keys(Vec<String>),
    Everything,
}

/// Follows what all processes change.
pub(crate) trait Tracker: fmt::Debug + Send {
    /// What has been spoiled since the last call.
    fn follow(&mut self) -> Result<Changes, StoreError>;

    /// Whether it sees new tasks too, at once, so that lists may be kept.
    fn sees_lists(&self) -> bool;
}
