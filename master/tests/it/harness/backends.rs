//! The backends of a task service under test: a store, a cache, and a broker for its events.

use super::{Builder, Database, Generation, Keyspace, Server, Services, Topic};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreKind {
    Sqlite,
    Postgres,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CacheKind {
    Memory,
    Redis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventsKind {
    Outbox,
    Kafka(Generation),
}

/// New and empty. `None` means that the service needs no server for it.
#[derive(Debug, Default)]
pub(crate) struct Backends {
    pub(crate) store: Option<Database>,
    pub(crate) cache: Option<Keyspace>,
    pub(crate) events: Option<Topic>,
}

impl Backends {
    pub(crate) fn new(store: StoreKind, cache: CacheKind, events: EventsKind) -> Self {
        Self::of(Services::shared, store, cache, events)
    }

    /// As [`Backends::new`], on servers of this test only.
    pub(crate) fn on(
        services: &Services,
        store: StoreKind,
        cache: CacheKind,
        events: EventsKind,
    ) -> Self {
        Self::of(|| services, store, cache, events)
    }

    /// Gets the servers only if one is needed.
    fn of<'a>(
        services: impl Fn() -> &'a Services,
        store: StoreKind,
        cache: CacheKind,
        events: EventsKind,
    ) -> Self {
        Self {
            store: (store == StoreKind::Postgres).then(|| Database::new(services())),
            cache: (cache == CacheKind::Redis).then(|| Keyspace::new(services())),
            events: match events {
                EventsKind::Outbox => None,
                EventsKind::Kafka(generation) => Some(Topic::new(services(), generation)),
            },
        }
    }

    /// The task service over them, with few connections, because many tests share one server.
    pub(crate) fn service(&self, name: &str) -> Builder {
        let store = self.store.as_ref();
        let mut builder = Server::new(name).app("native:eventstreammonitor").env(
            "DATABASE_URL",
            store.map_or("sqlite:tasks.db", Database::url),
        );
        if store.is_some() {
            builder = builder.env("POOL_SIZE", "2").env("MAX_OVERFLOW", "2");
        }
        if let Some(keyspace) = &self.cache {
            builder = builder.env("REDIS_URL", &keyspace.url());
        }
        if let Some(topic) = &self.events {
            builder = builder
                .env("KAFKA_BROKERS", topic.brokers())
                .env("KAFKA_TOPIC", topic.name())
                .env("KAFKA_GROUP", topic.name());
        }
        builder
    }

    /// A second service over the store of `server`, without runners and without anything between
    /// the store and its clients.
    pub(crate) fn uncached(&self, name: &str, server: &Server) -> Builder {
        let file = format!("sqlite:{}", server.dir().join("tasks.db").display());
        let url = self.store.as_ref().map_or(&*file, Database::url);
        Server::new(name)
            .app("native:eventstreammonitor")
            .env("DATABASE_URL", url)
            .env("POOL_SIZE", "1")
            .args(&["--runners", "0", "--cache-entries", "0"])
            .args(&["--task-cache-ttl", "0"])
    }
}
