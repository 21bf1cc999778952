//! Which process publishes: the one whose connection holds an advisory lock, which ends with the connection. Behind a
//! pooler that assigns sessions per transaction, a transaction holds the lock and stays open.

use std::time::Duration;

use postgres::types::Type;
use r2d2::ManageConnection;

use super::Postgres;
use super::connection::{ConnectError, PgConnection};
use crate::store::{RelayTurn, StoreError};

/// The number of the advisory lock: the letters `oxirelay`.
const LOCK: i64 = i64::from_be_bytes(*b"oxirelay");
/// How long a connection that does not answer may keep the turn from others.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct PgRelayLock(PgConnection);

impl RelayTurn for PgRelayLock {
    fn holds(&mut self) -> bool {
        self.0.answers(TIMEOUT)
    }
}

pub(super) fn take(store: &Postgres) -> Result<Option<Box<dyn RelayTurn>>, StoreError> {
    // Most attempts end here, and open no connection: with hundreds of runners that would be hundreds per second.
    let free = "SELECT pg_try_advisory_xact_lock($1)";
    let row = store.read(|connection| connection.row(free, &[&LOCK]))?;
    if !row.map_or(Ok(false), |row| row.try_get(0))? {
        return Ok(None);
    }
    // Not from the pool, because it is kept as long as the process lives.
    let manager = store.pool.manager();
    let unreachable = |error: ConnectError| StoreError::Unreachable(error.to_string());
    let mut connection = manager.connect().map_err(unreachable)?;
    let sql = match manager.is_pooled(&mut connection).map_err(unreachable)? {
        true => {
            connection.client().batch_execute("BEGIN")?;
            "SELECT pg_try_advisory_xact_lock($1)"
        }
        false => "SELECT pg_try_advisory_lock($1)",
    };
    let locked = connection
        .client()
        .query_typed_one(sql, &[(&LOCK, Type::INT8)])?;
    match locked.get(0) {
        true => Ok(Some(Box::new(PgRelayLock(connection)))),
        false => Ok(None),
    }
}
