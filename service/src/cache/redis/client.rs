//! The Redis client of one process. All threads share it; the breaker decides whether it sends a command.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use redis::{Cmd, Value};

use super::address::RedisAddress;
use super::breaker::{Breaker, ConnectionSource};
use super::connection::{ConnectionError, RedisConnection};
use super::key_state;
use super::marker::Marker;
use super::pending_invalidations::PendingInvalidation;

#[derive(Debug)]
pub(super) struct RedisClient {
    pub(super) address: RedisAddress,
    pub(super) timeout: Duration,
    pub(super) breaker: Breaker,
    pub(super) marker: Marker,
    /// The identity of the store. The breaker is open until recovery knows it.
    pub(super) space: RwLock<Arc<str>>,
}

impl RedisClient {
    pub(super) fn space(&self) -> Arc<str> {
        Arc::clone(&self.space.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Only called while the breaker is open. False if the identity is unchanged.
    pub(super) fn set_space(&self, to: &str) -> bool {
        let mut space = self.space.write().unwrap_or_else(PoisonError::into_inner);
        let is_new = **space != *to;
        if is_new {
            *space = to.into();
        }
        is_new
    }

    /// The name of `key` in Redis.
    pub(super) fn name(&self, key: &str) -> String {
        format!("{key}:{}", self.space())
    }

    pub(super) fn names<K: AsRef<str>>(&self, keys: &[K]) -> Vec<String> {
        keys.iter().map(|key| self.name(key.as_ref())).collect()
    }

    /// Sends a command. `None` without a reply in time, and while the breaker is open.
    pub(super) fn ask(&self, question: &Cmd) -> Option<Value> {
        let permit = self.breaker.permit()?;
        let connection = match permit.source {
            ConnectionSource::Idle(connection) => Ok(connection),
            ConnectionSource::New { address, run_id } => {
                RedisConnection::open(&address, &self.address.login, self.timeout)
                    .and_then(|connection| same(connection, &run_id))
            }
        };
        let asked = connection.and_then(|mut connection| match connection.ask(question) {
            // The key was wrong, not the connection.
            Err(ConnectionError::Foreign) => Ok((None, connection)),
            answer => answer.map(|value| (Some(value), connection)),
        });
        match asked {
            Ok((value, connection)) => {
                self.breaker.answered(permit.era, connection);
                value
            }
            Err(error) => {
                self.breaker.failed(permit.era, &error);
                None
            }
        }
    }

    /// Removes the keys from Redis: now, or before this process reads from Redis again.
    pub(super) fn forget(&self, keys: &[String]) {
        let mark = self.marker.mark();
        let marks = vec![mark.as_str(); keys.len()];
        if self
            .ask(&key_state::forget(&self.names(keys), &marks))
            .is_none()
        {
            let pending = |key: &String| -> PendingInvalidation { (key.clone(), mark.clone()) };
            self.breaker.add_pending(keys.iter().map(pending));
        }
    }
}

/// Makes sure that a new connection leads to the Redis that recovery has checked, and not to one in its place.
fn same(mut connection: RedisConnection, run_id: &str) -> Result<RedisConnection, ConnectionError> {
    match connection.run_id()? == run_id {
        true => Ok(connection),
        false => Err(ConnectionError::Replaced),
    }
}
