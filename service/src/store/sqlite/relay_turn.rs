//! Which process publishes: the one that holds flock(2) on `PATH-relay`, which ends with the process.

use std::fs::{File, TryLockError};

use super::Sqlite;
use super::turns::beside;
use crate::store::{RelayTurn, StoreError};

#[derive(Debug)]
struct SqliteRelayLock(#[expect(dead_code, reason = "held for its lock")] File);

impl RelayTurn for SqliteRelayLock {
    fn holds(&mut self) -> bool {
        true
    }
}

pub(super) fn take(store: &Sqlite) -> Result<Option<Box<dyn RelayTurn>>, StoreError> {
    let (path, file) = beside(&store.path, "-relay")?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Box::new(SqliteRelayLock(file)))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(cause)) => Err(StoreError::Lock { path, cause }),
    }
}
