//! Which process publishes: the one that has flock(2) on `PATH-relay`, which goes with it.

use std::fs::{File, TryLockError};

use super::Sqlite;
use crate::service::store::{RelayTurn, StoreError};

#[derive(Debug)]
struct Locked(#[expect(dead_code, reason = "held for its lock")] File);

impl RelayTurn for Locked {
    fn holds(&mut self) -> bool {
        true
    }
}

pub(super) fn take(store: &Sqlite) -> Result<Option<Box<dyn RelayTurn>>, StoreError> {
    let mut name = store.path.as_os_str().to_owned();
    name.push("-relay");
    let file = File::options().create(true).append(true).open(name);
    let file = file.map_err(StoreError::Turn)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Box::new(Locked(file)))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(StoreError::Turn(error)),
    }
}
