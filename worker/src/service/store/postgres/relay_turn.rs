//! Which process publishes: the one whose connection has an advisory lock. The server takes it back
//! when the connection ends.

use std::time::Duration;

use r2d2::ManageConnection;

use super::Postgres;
use super::connection::{ConnectError, Connection};
use crate::service::store::{RelayTurn, StoreError};

/// Of the advisory lock: the letters `oxirelay`.
const LOCK: i64 = i64::from_be_bytes(*b"oxirelay");
/// How long a connection that does not answer may keep others from their turn.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Locked(Connection);

impl RelayTurn for Locked {
    fn holds(&mut self) -> bool {
        self.0.answers(PATIENCE)
    }
}

pub(super) fn take(store: &Postgres) -> Result<Option<Box<dyn RelayTurn>>, StoreError> {
    // Not from the pool: it is kept for as long as the process lives.
    let mut connection = match store.pool.manager().connect() {
        Ok(connection) => connection,
        Err(ConnectError::Connect(error) | ConnectError::Migration(error)) => {
            return Err(StoreError::Unreachable(error.to_string()));
        }
    };
    let row = connection.row("SELECT pg_try_advisory_lock($1)", &[&LOCK])?;
    match row.is_some_and(|row| row.get(0)) {
        true => Ok(Some(Box::new(Locked(connection)))),
        false => Ok(None),
    }
}
