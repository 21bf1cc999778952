//! The cache in front of the store: whole response bodies under `task:{id}`, `user:{id}` and `session:{id}`, in this
//! process or in Redis. It never writes to the store.

mod memory;
mod redis;
mod single_flight;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use oxicorn_common::{Settings, WorkerContext};

use super::problem::Problem;
use super::store::{Invalidate, Store};

/// A response body, shared by the cache and the responses under way.
pub(crate) type SharedBody = Arc<[u8]>;

/// A body fresh from the store, and how long it may be kept.
#[derive(Debug)]
pub(crate) struct FreshBody {
    pub(crate) body: SharedBody,
    pub(crate) ttl: Duration,
}

/// Asks the store; nothing where there is no such thing, which is not remembered.
pub(crate) type MakeBody<'a> = dyn FnMut() -> Result<Option<FreshBody>, Problem> + 'a;

pub(crate) type CacheResult = Result<Option<SharedBody>, Problem>;

/// Saves questions to the store. What this process has written it never shows in the old form.
pub(crate) trait Cache: Invalidate + fmt::Debug {
    /// What is under `key`: remembered, or else made and, for its time, remembered.
    fn read_through(&self, key: &str, make: &mut MakeBody<'_>) -> CacheResult;

    /// The list that `query` asks for. Only a cache that hears of new tasks at once can keep it.
    fn read_list(&self, query: &str, make: &mut MakeBody<'_>) -> CacheResult {
        let _ = query;
        Ok(make()?.map(|made| made.body))
    }

    /// Names the store that the cache is of, once it is open.
    fn attach(&self, store: &Arc<dyn Store>) {
        let _ = store;
    }

    /// What it is, as messages and `/ready` name it.
    fn kind(&self) -> &'static str;

    /// Whether it works; the service does without it while it does not.
    fn is_up(&self) -> bool;
}

pub(crate) fn open(context: &WorkerContext) -> anyhow::Result<Arc<dyn Cache>> {
    match redis::RedisCache::open(context)? {
        Some(redis) => Ok(Arc::new(redis)),
        None => Ok(Arc::new(memory::MemoryCache::new(context)?)),
    }
}

/// Whether the settings of a Redis can be meant.
pub(crate) fn check(settings: &Settings) -> anyhow::Result<()> {
    redis::check(settings)
}

/// Bytes that count as one entry.
const UNIT: usize = 1024;

/// What an entry counts as: a long body as several, so that no client can fill the memory with a few
/// thousand long ones. At least 1: what weighs nothing is never evicted.
fn units(key: &str, body: &SharedBody) -> u64 {
    ((key.len() + body.len()) / UNIT + 1) as u64
}

/// Up to so many per cent less, each time another, so that what was made together does not end
/// together.
fn shortened(ttl: Duration, per_cent: u32) -> Duration {
    if per_cent == 0 {
        return ttl;
    }
    let random = getrandom::u32().unwrap_or_default();
    let loss = f64::from(per_cent.min(100)) / 100.0 * f64::from(random) / f64::from(u32::MAX);
    ttl.mul_f64(1.0 - loss)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_differ_within_their_bounds() {
        let hour = Duration::from_secs(3600);
        assert_eq!(shortened(hour, 0), hour);
        let times: Vec<_> = (0..1000).map(|_| shortened(hour, 10)).collect();
        let bounds = (hour.mul_f64(0.9), hour);
        assert!(times.iter().all(|it| (bounds.0..=bounds.1).contains(it)));
        let spread = times.iter().max().zip(times.iter().min());
        let spread = spread.map(|(most, least)| *most - *least);
        assert!(spread > Some(hour.mul_f64(0.08)), "{spread:?}");
    }
}
