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

/// Implemented by caches, which are told which keys a change invalidates. One thread announces a change and settles it,
/// and makes no other change in between.
pub(crate) trait Invalidate: fmt::Debug + Send + Sync {
    /// Before the commit: until [`Invalidate::settle`], no cache keeps a body read under these keys. False if that
    /// cannot be ensured: then the change itself stores the keys (`Store::stale_keys`), and the first process that
    /// reaches the cache invalidates them.
    fn announce(&self, keys: &[String]) -> bool;

    /// After the commit, and before the response: removes the keys.
    fn settle(&self, keys: &[String]);
}

/// The changes since the last look.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Changes {
    Nothing,
    Keys(Vec<String>),
    Everything,
}

/// Follows the changes of all processes.
pub(crate) trait Tracker: fmt::Debug + Send {
    /// The keys that changes have invalidated since the last call.
    fn follow(&mut self) -> Result<Changes, StoreError>;

    /// Whether it sees new tasks too, and at once, so that lists may be kept.
    fn sees_lists(&self) -> bool;
}
