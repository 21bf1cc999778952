//! The cache in Redis, which all workers and runners share.
//!
//! ```text
//!   reader                      Redis                      change
//!   ------------------------------------------------------------------------------
//!   GET                         nothing
//!   reserve                     ?TOKEN
//!   reads the store, old row                               rows written
//!                               !MARK                      announce
//!                                                          COMMIT
//!   fill: refused, it is        !MARK
//!   not ?TOKEN any more         nothing                    settle
//! ```
//!
//! No step waits longer than `redis_timeout`. If an invalidation cannot be sent to Redis, the breaker opens before the
//! client gets its response: this process reads from the store until Redis has the invalidation. The keys are also
//! written to the store (`Store::stale_keys`), for other processes and in case this one dies.
//!
//! Each key ends with the identity of the store (`Store::identity`), so no server sees the data of another store.
//!
//! `near` keeps copies of what Redis holds in this process; `invalidation_listener` learns what other servers change.

mod address;
mod breaker;
mod client;
mod connection;
mod invalidation_listener;
mod key_state;
mod marker;
mod near;
mod neighbours;
mod pending_invalidations;
mod recovery;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Instant;

use log::error;
use oxicorn_common::{Settings, WorkerContext};

use self::address::RedisAddress;
use self::breaker::Breaker;
use self::client::RedisClient;
use self::invalidation_listener::InvalidationListener;
use self::key_state::KeyState;
use self::marker::Marker;
use self::near::NearCache;
use self::neighbours::Neighbours;
use self::recovery::Recovery;
use super::single_flight::SingleFlight;
use super::{Cache, CacheResult, FreshBody, MakeBody, SharedBody, shortened};
use crate::health::Health;
use crate::key_versions::KeyVersions;
use crate::metrics::CacheMetrics;
use crate::outages::{Backend, Outages};
use crate::settings::ServiceSettings;
use crate::store::{Invalidate, Store};

/// Checks the settings; connects to nothing.
pub(super) fn check(settings: &Settings) -> anyhow::Result<()> {
    RedisAddress::of(ServiceSettings::of(settings)).map(drop)
}

#[derive(Debug)]
pub(super) struct RedisCache {
    client: Arc<RedisClient>,
    near: NearCache,
    /// Differs between the processes of a server.
    age: u64,
    /// This process logs what concerns the whole server.
    tells: bool,
    single_flight: SingleFlight,
    health: Arc<Health>,
    jitter_per_cent: u32,
    metrics: CacheMetrics,
}

impl RedisCache {
    /// `None` if no Redis is configured. It is not used before [`Cache::attach`].
    pub(super) fn open(context: &WorkerContext) -> anyhow::Result<Option<Self>> {
        let settings = ServiceSettings::of(&context.settings);
        let Some(address) = RedisAddress::of(settings)? else {
            return Ok(None);
        };
        let name = format!("Redis at {address}");
        let health = Health::new(
            Backend::Cache,
            name,
            "going on without it",
            &Outages::of(context),
        );
        let metrics = CacheMetrics::of(&context.metrics)?;
        let client = RedisClient {
            address,
            timeout: settings.redis_timeout,
            breaker: Breaker::new(context.settings.threads, metrics.clone()),
            marker: Marker::new()?,
            space: Default::default(),
        };
        Ok(Some(Self {
            client: Arc::new(client),
            near: NearCache::new(settings, KeyVersions::of(context)),
            age: context.age,
            tells: context.slot == 0,
            single_flight: SingleFlight::default(),
            health: Arc::new(health),
            jitter_per_cent: settings.cache_ttl_jitter,
            metrics,
        }))
    }

    /// `None` without a reply.
    fn look(&self, key: &str) -> Option<KeyState> {
        let answer = self.client.ask(&key_state::read(&self.client.name(key)));
        answer.map(KeyState::of)
    }

    fn hit(&self, body: SharedBody) -> CacheResult {
        self.metrics.hits.inc();
        Ok(Some(body))
    }

    /// Answers from the store, because the cache has nothing or may not be used for this key.
    fn miss(&self, make: &mut MakeBody<'_>) -> CacheResult {
        self.metrics.misses.inc();
        from_store(make)
    }

    /// Answers from the store, because Redis does not.
    fn without_redis(&self, make: &mut MakeBody<'_>) -> CacheResult {
        self.metrics.errors.inc();
        from_store(make)
    }

    /// Makes the body of `key`, and stores it in Redis unless another process is about to.
    fn fill(&self, key: &str, make: &mut MakeBody<'_>) -> CacheResult {
        let (token, name) = (self.client.marker.token(), self.client.name(key));
        let reserved = self.client.ask(&key_state::reserve(&name, &token));
        match reserved.map(KeyState::of) {
            Some(KeyState::Nothing) => self.metrics.misses.inc(),
            Some(KeyState::Body(body)) => return self.hit(body.into()),
            Some(KeyState::Reserved | KeyState::Shut) => return self.miss(make),
            None => return self.without_redis(make),
        }
        let began = Instant::now();
        let made = make();
        let step = match &made {
            Ok(Some(FreshBody { body, ttl })) if *ttl > began.elapsed() => {
                // Its lifetime began when the store was read.
                let left = shortened(*ttl, self.jitter_per_cent).saturating_sub(began.elapsed());
                key_state::fill(&name, &token, body, left)
            }
            _ => key_state::release(&name, &token),
        };
        // Without a reply, the reservation expires by itself.
        let _ = self.client.ask(&step);
        Ok(made?.map(|made| made.body))
    }
}

impl Cache for RedisCache {
    fn read_through(&self, key: &str, make: &mut MakeBody<'_>) -> CacheResult {
        if let Some(body) = self.near.find(key) {
            return self.hit(body);
        }
        let version = self.near.version(key);
        match self.look(key) {
            Some(KeyState::Body(body)) => {
                let body = SharedBody::from(body);
                self.near.keep(key, version, &body);
                return self.hit(body);
            }
            Some(KeyState::Shut) => return self.miss(make),
            Some(KeyState::Nothing | KeyState::Reserved) => {}
            None => return self.without_redis(make),
        }
        if let Some(_lead) = self.single_flight.lead(key) {
            return self.fill(key, make);
        }
        // Do not take what the other thread has made: it may have read before this request began.
        match self.look(key) {
            Some(KeyState::Body(body)) => self.hit(body.into()),
            Some(_) => self.miss(make),
            None => self.without_redis(make),
        }
    }

    fn attach(&self, store: &Arc<dyn Store>) {
        let recovery = Recovery {
            client: Arc::clone(&self.client),
            health: Arc::clone(&self.health),
            store: Arc::downgrade(store),
            versions: self.near.versions.clone(),
            neighbours: Neighbours::new(self.tells),
        };
        let thread = std::thread::Builder::new().name("redis".to_owned());
        if let Err(problem) = thread.spawn(|| recovery.run()) {
            error!("Redis is not used: there is no thread to look after it: {problem}");
        }
        if self.near.is_on() {
            let invalidation_listener = InvalidationListener {
                client: Arc::clone(&self.client),
                versions: self.near.versions.clone(),
                process: self.age,
            };
            let thread = std::thread::Builder::new().name("redis-invalidation_listener".to_owned());
            if let Err(problem) = thread.spawn(|| invalidation_listener.run()) {
                error!("No copies are kept of what Redis holds: no thread: {problem}");
            }
        }
    }

    fn kind(&self) -> &'static str {
        "Redis"
    }

    fn is_up(&self) -> bool {
        !self.client.breaker.is_open()
    }
}

impl Invalidate for RedisCache {
    fn announce(&self, keys: &[String]) -> bool {
        let mark = self.client.marker.mark();
        let names = self.client.names(keys);
        let told = self
            .client
            .ask(&key_state::announce(&names, &mark))
            .is_some();
        // After the mark: copies made from now on were not in Redis before it.
        self.near.spoil(keys);
        if !told {
            self.client.breaker.trip();
        }
        told
    }

    fn settle(&self, keys: &[String]) {
        self.client.forget(keys);
    }
}

impl Drop for RedisCache {
    fn drop(&mut self) {
        self.client.breaker.end();
    }
}

fn from_store(make: &mut MakeBody<'_>) -> CacheResult {
    Ok(make()?.map(|made| made.body))
}
