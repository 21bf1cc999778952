//! The tests that hold for all backends, over each combination of them.

use serde_json::{Value, json};

use super::{caching, calls, freshness, parse, publishing, start, work};
use crate::harness::CacheKind::{Memory, Redis};
use crate::harness::EventsKind::{Kafka, Outbox};
use crate::harness::Generation::{Kafka4, Kafka39};
use crate::harness::StoreKind::{Postgres, Sqlite};
use crate::harness::{Backends, Server, eventually};

/// One test per promise and combination, so that a failure names both.
macro_rules! combinations {
    ($($name:ident: $store:expr, $cache:expr, $events:expr;)*) => {$(
        mod $name {
            use super::*;

            fn backends() -> Backends {
                Backends::new($store, $cache, $events)
            }

            #[test]
            fn a_task_is_created_listed_and_found() {
                calls::a_task_is_created_listed_and_found(&backends());
            }

            #[test]
            fn errors_say_what_is_wrong() {
                calls::errors_say_what_is_wrong(&backends());
            }

            #[test]
            fn a_task_can_be_cancelled_once() {
                calls::a_task_can_be_cancelled_once(&backends());
            }

            #[test]
            fn users_and_sessions_live_and_end() {
                calls::users_and_sessions_live_and_end(&backends());
            }

            #[test]
            fn all_five_kinds_of_work_are_done() {
                work::all_five_kinds_of_work_are_done(&backends());
            }

            #[test]
            fn a_new_task_is_taken_at_once() {
                work::a_new_task_is_taken_at_once(&backends());
            }

            #[test]
            fn bad_parameters_fail_the_task_and_say_why() {
                work::bad_parameters_fail_the_task_and_say_why(&backends());
            }

            #[test]
            fn no_list_is_stale() {
                freshness::no_list_is_stale(&backends());
            }

            #[test]
            fn no_thing_is_stale() {
                freshness::no_thing_is_stale(&backends());
            }

            #[test]
            fn no_end_is_overlooked() {
                freshness::no_end_is_overlooked(&backends());
            }

            #[test]
            fn others_see_what_belongs_to_them() {
                // Each with a database and a topic of its own.
                let all = backends();
                each_backend_is_named(&all);
                if all.cache.is_some() {
                    caching::redis_holds_what_was_read(&backends());
                }
                if all.events.is_some() {
                    publishing::every_event_is_heard(&backends());
                }
            }
        }
    )*};
}

combinations! {
    sqlite_memory_outbox: Sqlite, Memory, Outbox;
    sqlite_memory_kafka_39: Sqlite, Memory, Kafka(Kafka39);
    sqlite_memory_kafka_4: Sqlite, Memory, Kafka(Kafka4);
    sqlite_redis_outbox: Sqlite, Redis, Outbox;
    sqlite_redis_kafka_39: Sqlite, Redis, Kafka(Kafka39);
    sqlite_redis_kafka_4: Sqlite, Redis, Kafka(Kafka4);
    postgres_memory_outbox: Postgres, Memory, Outbox;
    postgres_memory_kafka_39: Postgres, Memory, Kafka(Kafka39);
    postgres_memory_kafka_4: Postgres, Memory, Kafka(Kafka4);
    postgres_redis_outbox: Postgres, Redis, Outbox;
    postgres_redis_kafka_39: Postgres, Redis, Kafka(Kafka39);
    postgres_redis_kafka_4: Postgres, Redis, Kafka(Kafka4);
}

fn each_backend_is_named(backends: &Backends) {
    let server = start(backends.service("ready"), 1);
    let store = if backends.store.is_some() {
        "PostgreSQL"
    } else {
        "SQLite"
    };
    let cache = if backends.cache.is_some() {
        "Redis"
    } else {
        "memory"
    };
    let events = if backends.events.is_some() {
        "Kafka"
    } else {
        "outbox"
    };
    let up = |kind: &str| json!({"kind": kind, "state": "up"});
    let wanted =
        json!({"status": "ready", "store": up(store), "cache": up(cache), "events": up(events)});
    // A cache or a broker may be a moment late.
    eventually(&format!("ready is {wanted}"), || {
        (ready(&server) == (200, wanted.clone())).then_some(())
    });
}

pub(super) fn ready(server: &Server) -> (u16, Value) {
    let answer = server.get("/ready");
    (answer.status, parse(&answer))
}
