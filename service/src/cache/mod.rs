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

/// A body just read from the store, and how long it may be kept.
#[derive(Debug)]
pub(crate) struct FreshBody {
    pub(crate) body: SharedBody,
    pub(crate) ttl: Duration,
}

/// Reads from the store. `None` if there is no such object; that is not remembered.
pub(crate) type MakeBody<'a> = dyn FnMut() -> Result<Option<FreshBody>, Problem> + 'a;

pub(crate) type CacheResult = Result<Option<SharedBody>, Problem>;

/// Saves reads of the store. It never returns the old form of what this process has written.
pub(crate) trait Cache: Invalidate + fmt::Debug {
    /// The body under `key`: the kept one, or else one from `make`, which is then kept for its time.
    fn read_through(&self, key: &str, make: &mut MakeBody<'_>) -> CacheResult;

    /// The list that `query` asks for. Only a cache that sees new tasks at once can keep it.
    fn read_list(&self, query: &str, make: &mut MakeBody<'_>) -> CacheResult {
        let _ = query;
        Ok(make()?.map(|made| made.body))
    }

    /// Passes the store that is cached, once it is open.
    fn attach(&self, store: &Arc<dyn Store>) {
        let _ = store;
    }

    /// Its kind, as messages and `/ready` name it.
    fn kind(&self) -> &'static str;

    /// Whether it works. While it does not, the service works without it.
    fn is_up(&self) -> bool;
}

pub(crate) fn open(context: &WorkerContext) -> anyhow::Result<Arc<dyn Cache>> {
    match redis::RedisCache::open(context)? {
        Some(redis) => Ok(Arc::new(redis)),
        None => Ok(Arc::new(memory::MemoryCache::new(context)?)),
    }
}

/// Checks the settings of Redis without connecting.
pub(crate) fn check(settings: &Settings) -> anyhow::Result<()> {
    redis::check(settings)
}

/// Bytes that count as one entry.
const UNIT: usize = 1024;

/// How many entries a body counts as: a long one as several, so that no client can fill the memory with a few thousand
/// long ones. At least 1: an entry without weight is never evicted.
fn units(key: &str, body: &SharedBody) -> u64 {
    ((key.len() + body.len()) / UNIT + 1) as u64
}

/// Shorter by up to `per_cent`, at random, so that bodies made together do not expire together.
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
