//! Connects this process to Redis again. A thread finds Redis, removes data of an earlier snapshot, sends the pending
//! invalidations, and only then closes the breaker.
//! While the breaker is closed it looks, once per second, for keys that another process could not invalidate, and
//! checks that the identity of the store is unchanged.

use std::sync::{Arc, Weak};
use std::time::Duration;

use redis::Value;
use socket2::SockAddr;

use super::breaker::LATE;
use super::client::RedisClient;
use super::connection::{ConnectionError, RedisConnection};
use super::key_state;
use super::neighbours::Neighbours;
use super::pending_invalidations::PendingInvalidations;
use crate::health::Health;
use crate::key_versions::KeyVersions;
use crate::store::{Store, StoreError};

/// Between two attempts to find Redis.
const PAUSE: Duration = Duration::from_millis(100);
/// Between two looks for keys that another process could not invalidate.
const LOOK: Duration = Duration::from_secs(1);
/// For commands that no request waits for.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Keys per command: Redis does nothing else meanwhile.
const BATCH: usize = 500;
/// The key that says which start of Redis the keys of this store were last checked for.
const CHECKED: &str = "oxicorn:run_id";

pub(super) struct Recovery {
    pub(super) client: Arc<RedisClient>,
    pub(super) health: Arc<Health>,
    pub(super) store: Weak<dyn Store>,
    pub(super) versions: KeyVersions,
    pub(super) neighbours: Neighbours,
}

#[derive(Debug, thiserror::Error)]
enum RecoveryError {
    #[error(transparent)]
    RedisConnection(#[from] ConnectionError),
    #[error("the keys that it has missed cannot be read")]
    Store(#[from] StoreError),
    #[error("the breaker is open")]
    Open,
}

impl Recovery {
    /// Runs until the cache or the store is gone.
    pub(super) fn run(mut self) {
        let client = Arc::clone(&self.client);
        let breaker = &client.breaker;
        let mut late = 0;
        while breaker.wait_open(LOOK) {
            let Some(store) = self.store.upgrade() else {
                return;
            };
            if !breaker.is_open() {
                // The next look tries again.
                let _ = self.look(&*store);
                continue;
            }
            match self.recover(&*store) {
                Ok(()) => {
                    late = 0;
                    self.health.works();
                }
                Err(error) => {
                    drop(store);
                    match error {
                        RecoveryError::RedisConnection(ConnectionError::Late(_))
                            if late + 1 < LATE =>
                        {
                            late += 1
                        }
                        RecoveryError::RedisConnection(error) => self.health.failed(&error),
                        // The store logs its outages itself.
                        _ => {}
                    }
                    if !breaker.pause(PAUSE) {
                        return;
                    }
                }
            }
        }
    }

    fn recover(&self, store: &dyn Store) -> Result<(), RecoveryError> {
        let (address, mut connection) = self.find()?;
        if self.client.set_space(&store.identity()?) {
            // Copies carry no identity: drop them all.
            self.versions.all_changed();
        }
        let mark_of_check = self.client.name(CHECKED);
        // Redis must reply as fast as requests need it; otherwise the breaker stays open.
        connection.set_timeout(self.client.timeout)?;
        let run_id = connection.run_id()?;
        let checked = connection.ask(&key_state::read(&mark_of_check))?;
        connection.set_timeout(TIMEOUT)?;
        if checked != Value::BulkString(run_id.clone().into_bytes()) {
            self.purge(&mut connection)?;
        }
        // Always write: a Redis that accepts no writes is of no use.
        connection.ask(redis::cmd("SET").arg(&mark_of_check).arg(&run_id))?;
        self.drain(store, |keys| {
            self.tell(&mut connection, keys)?;
            Ok(())
        })?;
        let era = loop {
            self.flush_pending(&mut connection)?;
            if let Some(era) = self.client.breaker.close(&address, &run_id) {
                break era;
            }
        };
        connection.set_timeout(self.client.timeout)?;
        self.client.breaker.answered(era, connection);
        Ok(())
    }

    fn find(&self) -> Result<(SockAddr, RedisConnection), ConnectionError> {
        let address = &self.client.address;
        let mut failure = None;
        for place in address.resolve().map_err(ConnectionError::Unreachable)? {
            match RedisConnection::open(&place, &address.login, TIMEOUT) {
                Ok(connection) => return Ok((place, connection)),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or(ConnectionError::Unreachable(
            std::io::ErrorKind::NotFound.into(),
        )))
    }

    /// Removes all keys of this store: they may be older than changes that this Redis has not seen.
    fn purge(&self, connection: &mut RedisConnection) -> Result<(), ConnectionError> {
        let mut cursor = b"0".to_vec();
        loop {
            let page = connection.ask(redis::cmd("SCAN").arg(&cursor).arg("COUNT").arg(BATCH))?;
            let (next, found) = read_page(page).ok_or(ConnectionError::Gibberish)?;
            let space = self.client.space();
            let ours: Vec<String> = found.into_iter().filter(|it| is_of(it, &space)).collect();
            self.forget(connection, &ours)?;
            if next == b"0" {
                return Ok(());
            }
            cursor = next;
        }
    }

    /// Sends the pending invalidations of this process.
    fn flush_pending(&self, connection: &mut RedisConnection) -> Result<(), ConnectionError> {
        let pending = self.client.breaker.take_pending();
        let flushed = self.flush(connection, &pending);
        if flushed.is_err() {
            self.client.breaker.give_back(pending);
        }
        flushed
    }

    fn flush(
        &self,
        connection: &mut RedisConnection,
        pending: &PendingInvalidations,
    ) -> Result<(), ConnectionError> {
        if pending.is_everything() {
            return self.purge(connection);
        }
        for invalidations in pending.invalidations().chunks(BATCH) {
            let (keys, marks): (Vec<&str>, Vec<&str>) = invalidations
                .iter()
                .map(|(key, mark)| (&**key, &**mark))
                .unzip();
            connection.ask(&key_state::forget(&self.client.names(&keys), &marks))?;
        }
        Ok(())
    }

    fn tell(
        &self,
        connection: &mut RedisConnection,
        keys: &[String],
    ) -> Result<(), ConnectionError> {
        self.forget(connection, &self.client.names(keys))
    }

    fn forget(
        &self,
        connection: &mut RedisConnection,
        names: &[String],
    ) -> Result<(), ConnectionError> {
        let mark = self.client.marker.mark();
        for names in names.chunks(BATCH) {
            connection.ask(&key_state::forget(names, &vec![mark.as_str(); names.len()]))?;
        }
        Ok(())
    }

    fn look(&mut self, store: &dyn Store) -> Result<(), RecoveryError> {
        if *store.identity()? != *self.client.space() {
            // Recovery has to set the new identity before any request reads.
            self.client.breaker.trip();
            return Ok(());
        }
        let mark = self.client.marker.mark();
        self.drain(store, |keys| {
            let names = self.client.names(keys);
            let question = key_state::forget(&names, &vec![mark.as_str(); names.len()]);
            let told = self.client.ask(&question);
            told.map(|_| ()).ok_or(RecoveryError::Open)
        })?;
        self.neighbours.look(&self.client, &store.name());
        Ok(())
    }

    /// Invalidates the keys that processes have written to the store, and removes them there.
    fn drain(
        &self,
        store: &dyn Store,
        mut tell: impl FnMut(&[String]) -> Result<(), RecoveryError>,
    ) -> Result<(), RecoveryError> {
        loop {
            let keys = store.stale_keys(BATCH)?;
            if keys.is_empty() {
                return Ok(());
            }
            tell(&keys)?;
            store.remove_stale_keys(&keys)?;
            // A change that found its key there did not write it again.
            tell(&keys)?;
        }
    }
}

/// The next cursor, and the keys that are text: all of ours are.
fn read_page(page: Value) -> Option<(Vec<u8>, Vec<String>)> {
    let Value::Array(parts) = page else {
        return None;
    };
    let [Value::BulkString(next), Value::Array(keys)] = <[Value; 2]>::try_from(parts).ok()? else {
        return None;
    };
    let text = |key| match key {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        _ => None,
    };
    Some((next, keys.into_iter().filter_map(text).collect()))
}

fn is_of(name: &str, space: &str) -> bool {
    let key = name.strip_suffix(space).and_then(|it| it.strip_suffix(':'));
    let kinds = ["task:", "user:", "session:"];
    key.is_some_and(|key| kinds.iter().any(|kind| key.starts_with(kind)))
}
