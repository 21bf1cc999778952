//! What the threads of one process share of Redis: they ask, and the breaker decides whether.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use redis::{Cmd, Value};

use super::address::Address;
use super::breaker::{Breaker, Way};
use super::holding;
use super::link::{Link, LinkError};
use super::marker::Marker;
use super::owed::Debt;

#[derive(Debug)]
pub(super) struct Client {
    pub(super) address: Address,
    pub(super) patience: Duration,
    pub(super) breaker: Breaker,
    pub(super) marker: Marker,
    /// What tells the store from others. The breaker is open until the keeper knows it.
    pub(super) space: RwLock<Arc<str>>,
}

impl Client {
    pub(super) fn space(&self) -> Arc<str> {
        Arc::clone(&self.space.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// While the breaker is open. False where it is what it was.
    pub(super) fn set_space(&self, to: &str) -> bool {
        let mut space = self.space.write().unwrap_or_else(PoisonError::into_inner);
        let is_new = **space != *to;
        if is_new {
            *space = to.into();
        }
        is_new
    }

    /// What `key` is called in Redis.
    pub(super) fn name(&self, key: &str) -> String {
        format!("{key}:{}", self.space())
    }

    pub(super) fn names<K: AsRef<str>>(&self, keys: &[K]) -> Vec<String> {
        keys.iter().map(|key| self.name(key.as_ref())).collect()
    }

    /// Nothing when there is no answer in time, or when none is waited for.
    pub(super) fn ask(&self, question: &Cmd) -> Option<Value> {
        let pass = self.breaker.pass()?;
        let link = match pass.way {
            Way::Link(link) => Ok(link),
            Way::Home { address, run_id } => {
                Link::open(&address, &self.address.login, self.patience)
                    .and_then(|link| same(link, &run_id))
            }
        };
        let asked = link.and_then(|mut link| match link.ask(question) {
            // The question was wrong, not the link.
            Err(LinkError::Foreign) => Ok((None, link)),
            answer => answer.map(|value| (Some(value), link)),
        });
        match asked {
            Ok((value, link)) => {
                self.breaker.answered(pass.era, link);
                value
            }
            Err(error) => {
                self.breaker.failed(pass.era, &error);
                None
            }
        }
    }

    /// Has the keys forgotten, now or before anyone of this process reads from Redis again.
    pub(super) fn forget(&self, keys: &[String]) {
        let mark = self.marker.mark();
        let marks = vec![mark.as_str(); keys.len()];
        if self
            .ask(&holding::forget(&self.names(keys), &marks))
            .is_none()
        {
            let debt = |key: &String| -> Debt { (key.clone(), mark.clone()) };
            self.breaker.owe(keys.iter().map(debt));
        }
    }
}

/// What Redis has here was checked; another one may have come in its place.
fn same(mut link: Link, run_id: &str) -> Result<Link, LinkError> {
    match link.run_id()? == run_id {
        true => Ok(link),
        false => Err(LinkError::Replaced),
    }
}
