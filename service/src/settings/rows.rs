//! The settings of the service, one row each.

use oxicorn_common::settings::parse;
use oxicorn_common::settings::{Kind, Setting, Standing, mask, show};

use super::parse::{brokers, database_url, kafka_name, port, redis_url};
use super::{SECTION, ServiceSettings};

/// The rows, in the order of documentation.
pub static SETTINGS: &[Setting] = &[
    Setting {
        name: "database_url",
        section: SECTION,
        flags: &["--database-url"],
        kind: Kind::Value("URL"),
        default: "sqlite:oxicorn.db",
        bare: Some("DATABASE_URL"),
        standing: Standing::Works,
        help: "The database of the service: sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME.",
        apply: |settings, text| {
            database_url(text).map(|value| ServiceSettings::of_mut(settings).database_url = value)
        },
        show: |settings| mask(&ServiceSettings::of(settings).database_url),
    },
    Setting {
        name: "pool_size",
        section: SECTION,
        flags: &["--pool-size"],
        kind: Kind::Value("COUNT"),
        default: "5",
        bare: Some("POOL_SIZE"),
        standing: Standing::Works,
        help: "How many database connections each worker keeps open, 1 to 1000.",
        apply: |settings, text| {
            parse::number(text, 1..=1000)
                .map(|value| ServiceSettings::of_mut(settings).pool_size = value)
        },
        show: |settings| ServiceSettings::of(settings).pool_size.to_string(),
    },
    Setting {
        name: "max_overflow",
        section: SECTION,
        flags: &["--max-overflow"],
        kind: Kind::Value("COUNT"),
        default: "10",
        bare: Some("MAX_OVERFLOW"),
        standing: Standing::Works,
        help: "How many more database connections each worker may open under load, 0 to 1000.",
        apply: |settings, text| {
            parse::number(text, 0..=1000)
                .map(|value| ServiceSettings::of_mut(settings).max_overflow = value)
        },
        show: |settings| ServiceSettings::of(settings).max_overflow.to_string(),
    },
    Setting {
        name: "pool_recycle",
        section: SECTION,
        flags: &["--pool-recycle"],
        kind: Kind::Value("SECONDS"),
        default: "3600",
        bare: Some("POOL_RECYCLE"),
        standing: Standing::Works,
        help: "The age at which a database connection is replaced, in seconds. 0 means never.",
        apply: |settings, text| {
            parse::seconds(text).map(|value| ServiceSettings::of_mut(settings).pool_recycle = value)
        },
        show: |settings| show::seconds(ServiceSettings::of(settings).pool_recycle),
    },
    Setting {
        name: "pool_timeout",
        section: SECTION,
        flags: &["--pool-timeout"],
        kind: Kind::Value("SECONDS"),
        default: "10",
        bare: Some("POOL_TIMEOUT"),
        standing: Standing::Works,
        help: "How long a request waits for a database connection, in seconds. Then it gets 503. At \
               most two thirds of timeout.",
        apply: |settings, text| {
            parse::seconds(text).map(|value| ServiceSettings::of_mut(settings).pool_timeout = value)
        },
        show: |settings| show::seconds(ServiceSettings::of(settings).pool_timeout),
    },
    Setting {
        name: "cache_entries",
        section: SECTION,
        flags: &["--cache-entries"],
        kind: Kind::Value("COUNT"),
        default: "10000",
        bare: None,
        standing: Standing::Works,
        help: "How many responses each worker keeps in memory. 0 means no cache.",
        apply: |settings, text| {
            parse::number(text, 0..=100_000_000)
                .map(|value| ServiceSettings::of_mut(settings).cache_entries = value)
        },
        show: |settings| ServiceSettings::of(settings).cache_entries.to_string(),
    },
    Setting {
        name: "task_cache_ttl",
        section: SECTION,
        flags: &["--task-cache-ttl"],
        kind: Kind::Value("SECONDS"),
        default: "600",
        bare: None,
        standing: Standing::Works,
        help: "How long a task stays in the cache, in seconds.",
        apply: |settings, text| {
            parse::seconds(text)
                .map(|value| ServiceSettings::of_mut(settings).task_cache_ttl = value)
        },
        show: |settings| show::seconds(ServiceSettings::of(settings).task_cache_ttl),
    },
    Setting {
        name: "user_cache_ttl",
        section: SECTION,
        flags: &["--user-cache-ttl"],
        kind: Kind::Value("SECONDS"),
        default: "3600",
        bare: None,
        standing: Standing::Works,
        help: "How long a user stays in the cache, in seconds.",
        apply: |settings, text| {
            parse::seconds(text)
                .map(|value| ServiceSettings::of_mut(settings).user_cache_ttl = value)
        },
        show: |settings| show::seconds(ServiceSettings::of(settings).user_cache_ttl),
    },
    Setting {
        name: "session_cache_ttl",
        section: SECTION,
        flags: &["--session-cache-ttl"],
        kind: Kind::Value("SECONDS"),
        default: "600",
        bare: None,
        standing: Standing::Works,
        help: "How long a session stays in the cache, in seconds.",
        apply: |settings, text| {
            parse::seconds(text)
                .map(|value| ServiceSettings::of_mut(settings).session_cache_ttl = value)
        },
        show: |settings| show::seconds(ServiceSettings::of(settings).session_cache_ttl),
    },
    Setting {
        name: "session_ttl",
        section: SECTION,
        flags: &["--session-ttl"],
        kind: Kind::Value("SECONDS"),
        default: "3600",
        bare: None,
        standing: Standing::Works,
        help: "How long a session lives after it was created or refreshed, in seconds.",
        apply: |settings, text| {
            parse::seconds(text).map(|value| ServiceSettings::of_mut(settings).session_ttl = value)
        },
        show: |settings| show::seconds(ServiceSettings::of(settings).session_ttl),
    },
    Setting {
        name: "near_cache_ttl",
        section: SECTION,
        flags: &["--near-cache-ttl"],
        kind: Kind::Value("SECONDS"),
        default: "1",
        bare: None,
        standing: Standing::Works,
        help: "How long a worker may use its own copy of what Redis holds, in seconds. A change \
               drops a copy before that: at once in this server, within half a second in others. 0 \
               means no copies.",
        apply: |settings, text| {
            parse::seconds(text)
                .map(|value| ServiceSettings::of_mut(settings).near_cache_ttl = value)
        },
        show: |settings| show::seconds(ServiceSettings::of(settings).near_cache_ttl),
    },
    Setting {
        name: "cache_ttl_jitter",
        section: SECTION,
        flags: &["--cache-ttl-jitter"],
        kind: Kind::Value("PERCENT"),
        default: "10",
        bare: None,
        standing: Standing::Works,
        help: "How much of its time in the cache an entry may randomly lose, in per cent, 0 to 100, \
               so that entries made together do not expire together.",
        apply: |settings, text| {
            parse::number(text, 0..=100)
                .map(|value| ServiceSettings::of_mut(settings).cache_ttl_jitter = value)
        },
        show: |settings| ServiceSettings::of(settings).cache_ttl_jitter.to_string(),
    },
    Setting {
        name: "redis_url",
        section: SECTION,
        flags: &["--redis-url"],
        kind: Kind::Value("URL"),
        default: "",
        bare: Some("REDIS_URL"),
        standing: Standing::Works,
        help: "The Redis that all workers use as their cache: \
               redis://[USER:PASSWORD@]HOST[:PORT][/DB], with TLS rediss://..[?ssl_ca_certs=PATH], \
               or unix:///PATH. Without it and redis_host, each worker has a cache of its own.",
        apply: |settings, text| {
            redis_url(text).map(|value| ServiceSettings::of_mut(settings).redis_url = value)
        },
        show: |settings| {
            mask(
                ServiceSettings::of(settings)
                    .redis_url
                    .as_deref()
                    .unwrap_or_default(),
            )
        },
    },
    Setting {
        name: "redis_host",
        section: SECTION,
        flags: &["--redis-host"],
        kind: Kind::Value("HOST"),
        default: "",
        bare: Some("REDIS_HOST"),
        standing: Standing::Works,
        help: "The host of Redis, if redis_url is not set.",
        apply: |settings, text| {
            ServiceSettings::of_mut(settings).redis_host = parse::optional(text);
            Ok(())
        },
        show: |settings| {
            ServiceSettings::of(settings)
                .redis_host
                .clone()
                .unwrap_or_default()
        },
    },
    Setting {
        name: "redis_port",
        section: SECTION,
        flags: &["--redis-port"],
        kind: Kind::Value("PORT"),
        default: "6379",
        bare: Some("REDIS_PORT"),
        standing: Standing::Works,
        help: "The port that goes with redis_host. tcp://HOST:PORT is accepted too, because \
               Kubernetes sets the variable in that form.",
        apply: |settings, text| {
            port(text).map(|value| ServiceSettings::of_mut(settings).redis_port = value)
        },
        show: |settings| ServiceSettings::of(settings).redis_port.to_string(),
    },
    Setting {
        name: "redis_db",
        section: SECTION,
        flags: &["--redis-db"],
        kind: Kind::Value("NUMBER"),
        default: "0",
        bare: Some("REDIS_DB"),
        standing: Standing::Works,
        help: "The database that goes with redis_host: use a separate one per service.",
        apply: |settings, text| {
            parse::number(text, 0..=i64::from(u16::MAX))
                .map(|value| ServiceSettings::of_mut(settings).redis_db = value)
        },
        show: |settings| ServiceSettings::of(settings).redis_db.to_string(),
    },
    Setting {
        name: "redis_username",
        section: SECTION,
        flags: &["--redis-username"],
        kind: Kind::Value("NAME"),
        default: "",
        bare: Some("REDIS_USERNAME"),
        standing: Standing::Works,
        help: "The ACL user that goes with redis_host and redis_password. Without it, the default \
               user.",
        apply: |settings, text| {
            ServiceSettings::of_mut(settings).redis_username = parse::optional(text);
            Ok(())
        },
        show: |settings| {
            ServiceSettings::of(settings)
                .redis_username
                .clone()
                .unwrap_or_default()
        },
    },
    Setting {
        name: "redis_password",
        section: SECTION,
        flags: &["--redis-password"],
        kind: Kind::Value("TEXT"),
        default: "",
        bare: Some("REDIS_PASSWORD"),
        standing: Standing::Works,
        help: "The password that goes with redis_host.",
        apply: |settings, text| {
            ServiceSettings::of_mut(settings).redis_password = parse::optional(text);
            Ok(())
        },
        show: |settings| show::secret(ServiceSettings::of(settings).redis_password.as_deref()),
    },
    Setting {
        name: "redis_timeout",
        section: SECTION,
        flags: &["--redis-timeout"],
        kind: Kind::Value("SECONDS"),
        default: "0.005",
        bare: None,
        standing: Standing::Works,
        help: "How long a request waits for Redis, in seconds. After a few timeouts in a row, \
               requests do not use Redis until it answers again.",
        apply: |settings, text| {
            parse::seconds(text)
                .map(|value| ServiceSettings::of_mut(settings).redis_timeout = value)
        },
        show: |settings| show::seconds(ServiceSettings::of(settings).redis_timeout),
    },
    Setting {
        name: "kafka_brokers",
        section: SECTION,
        flags: &["--kafka-brokers"],
        kind: Kind::Value("HOST:PORT,.."),
        default: "",
        bare: Some("KAFKA_BROKERS"),
        standing: Standing::Works,
        help: "The Kafka brokers that receive task events and deliver them to the runners. Without \
               them, runners look for tasks in the database.",
        apply: |settings, text| {
            brokers(text).map(|value| ServiceSettings::of_mut(settings).kafka_brokers = value)
        },
        show: |settings| show::list(&ServiceSettings::of(settings).kafka_brokers, Clone::clone),
    },
    Setting {
        name: "kafka_topic",
        section: SECTION,
        flags: &["--kafka-topic"],
        kind: Kind::Value("NAME"),
        default: "eventstreammonitor.tasks",
        bare: Some("KAFKA_TOPIC"),
        standing: Standing::Works,
        help: "The topic of the events.",
        apply: |settings, text| {
            kafka_name(text).map(|value| ServiceSettings::of_mut(settings).kafka_topic = value)
        },
        show: |settings| ServiceSettings::of(settings).kafka_topic.clone(),
    },
    Setting {
        name: "kafka_group",
        section: SECTION,
        flags: &["--kafka-group"],
        kind: Kind::Value("NAME"),
        default: "eventstreammonitor.runners",
        bare: Some("KAFKA_GROUP"),
        standing: Standing::Works,
        help: "The consumer group of the runners.",
        apply: |settings, text| {
            kafka_name(text).map(|value| ServiceSettings::of_mut(settings).kafka_group = value)
        },
        show: |settings| ServiceSettings::of(settings).kafka_group.clone(),
    },
    Setting {
        name: "service_body_limit",
        section: SECTION,
        flags: &["--service-body-limit"],
        kind: Kind::Value("BYTES"),
        default: "1048576",
        bare: None,
        standing: Standing::Works,
        help: "The maximum length of a body that the task service accepts, in bytes, if \
               limit_request_body is 0; a longer one gets 413. Raise it for uploads and images. 0 \
               means no limit.",
        apply: |settings, text| {
            parse::number(text, 0..=u64::MAX)
                .map(|value| ServiceSettings::of_mut(settings).service_body_limit = value)
        },
        show: |settings| ServiceSettings::of(settings).service_body_limit.to_string(),
    },
];
