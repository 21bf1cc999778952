//! The built-in service: its store, its cache and its sessions.

use crate::settings::setting::{Kind, Section, Setting};
use crate::settings::{parse, show};

pub(in crate::settings) const ROWS: [Setting; 10] = [
    Setting {
        name: "database_url",
        section: Section::Service,
        flags: &["--database-url"],
        kind: Kind::Value("URL"),
        default: "sqlite:oxicorn.db",
        bare: Some("DATABASE_URL"),
        help: "Where the service keeps its data: sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME.",
        apply: |settings, text| {
            parse::database_url(text).map(|value| settings.database_url = value)
        },
        show: |settings| show::url(&settings.database_url),
    },
    Setting {
        name: "pool_size",
        section: Section::Service,
        flags: &["--pool-size"],
        kind: Kind::Value("COUNT"),
        default: "5",
        bare: Some("POOL_SIZE"),
        help: "How many database connections each worker keeps open, 1 to 1000.",
        apply: |settings, text| {
            parse::number(text, 1..=1000).map(|value| settings.pool_size = value)
        },
        show: |settings| settings.pool_size.to_string(),
    },
    Setting {
        name: "max_overflow",
        section: Section::Service,
        flags: &["--max-overflow"],
        kind: Kind::Value("COUNT"),
        default: "10",
        bare: Some("MAX_OVERFLOW"),
        help: "How many more database connections each worker may open under load, 0 to 1000.",
        apply: |settings, text| {
            parse::number(text, 0..=1000).map(|value| settings.max_overflow = value)
        },
        show: |settings| settings.max_overflow.to_string(),
    },
    Setting {
        name: "pool_recycle",
        section: Section::Service,
        flags: &["--pool-recycle"],
        kind: Kind::Value("SECONDS"),
        default: "3600",
        bare: Some("POOL_RECYCLE"),
        help: "The age at which a database connection is replaced, in seconds. 0 is never.",
        apply: |settings, text| parse::seconds(text).map(|value| settings.pool_recycle = value),
        show: |settings| show::seconds(settings.pool_recycle),
    },
    Setting {
        name: "pool_timeout",
        section: Section::Service,
        flags: &["--pool-timeout"],
        kind: Kind::Value("SECONDS"),
        default: "30",
        bare: Some("POOL_TIMEOUT"),
        help: "How long a request waits for a database connection, in seconds. Then it is answered \
               503.",
        apply: |settings, text| parse::seconds(text).map(|value| settings.pool_timeout = value),
        show: |settings| show::seconds(settings.pool_timeout),
    },
    Setting {
        name: "cache_entries",
        section: Section::Service,
        flags: &["--cache-entries"],
        kind: Kind::Value("COUNT"),
        default: "10000",
        bare: None,
        help: "How many answers each worker keeps in memory. 0 is no cache.",
        apply: |settings, text| {
            parse::number(text, 0..=100_000_000).map(|value| settings.cache_entries = value)
        },
        show: |settings| settings.cache_entries.to_string(),
    },
    Setting {
        name: "task_cache_ttl",
        section: Section::Service,
        flags: &["--task-cache-ttl"],
        kind: Kind::Value("SECONDS"),
        default: "300",
        bare: None,
        help: "How long a task stays in the cache, in seconds.",
        apply: |settings, text| parse::seconds(text).map(|value| settings.task_cache_ttl = value),
        show: |settings| show::seconds(settings.task_cache_ttl),
    },
    Setting {
        name: "user_cache_ttl",
        section: Section::Service,
        flags: &["--user-cache-ttl"],
        kind: Kind::Value("SECONDS"),
        default: "3600",
        bare: None,
        help: "How long a user stays in the cache, in seconds.",
        apply: |settings, text| parse::seconds(text).map(|value| settings.user_cache_ttl = value),
        show: |settings| show::seconds(settings.user_cache_ttl),
    },
    Setting {
        name: "session_cache_ttl",
        section: Section::Service,
        flags: &["--session-cache-ttl"],
        kind: Kind::Value("SECONDS"),
        default: "300",
        bare: None,
        help: "How long a session stays in the cache, in seconds.",
        apply: |settings, text| {
            parse::seconds(text).map(|value| settings.session_cache_ttl = value)
        },
        show: |settings| show::seconds(settings.session_cache_ttl),
    },
    Setting {
        name: "session_ttl",
        section: Section::Service,
        flags: &["--session-ttl"],
        kind: Kind::Value("SECONDS"),
        default: "3600",
        bare: None,
        help: "How long a session lives after it was made or refreshed, in seconds.",
        apply: |settings, text| parse::seconds(text).map(|value| settings.session_ttl = value),
        show: |settings| show::seconds(settings.session_ttl),
    },
];
