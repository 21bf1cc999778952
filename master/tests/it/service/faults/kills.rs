//! SIGKILL for workers and runners, again and again, at any step of a task or a request.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::*;
use crate::harness::CacheKind::{Memory, Redis};
use crate::harness::EventsKind::{Kafka, Outbox};
use crate::harness::StoreKind::{Postgres, Sqlite};
use crate::harness::{Backends, Generation, TIMEOUT, eventually};

const WORKERS: usize = 2;
const RUNNERS: usize = 2;
const KILLS: usize = 24;

#[test]
fn over_sqlite() {
    anybody_may_be_killed(&Backends::new(Sqlite, Memory, Outbox));
}

#[test]
fn over_postgres_and_redis() {
    anybody_may_be_killed(&Backends::new(Postgres, Redis, Outbox));
}

#[test]
fn over_postgres_redis_and_kafka_39() {
    anybody_may_be_killed(&Backends::new(Postgres, Redis, Kafka(Generation::Kafka39)));
}

#[test]
fn over_postgres_redis_and_kafka_4() {
    anybody_may_be_killed(&Backends::new(Postgres, Redis, Kafka(Generation::Kafka4)));
}

fn anybody_may_be_killed(backends: &Backends) {
    let runners = RUNNERS.to_string();
    let builder = backends
        .service("kills")
        .threads(4)
        .args(&["--runners", &runners]);
    let mut server = builder
        .args(&["--workers", &WORKERS.to_string()])
        .start_with_unknown_workers();
    server.wait_for_children(WORKERS + RUNNERS);
    // The master logs each death.
    server.tolerate("");
    let traffic = Traffic::start(&server, TIMEOUT, Tolerance::Deaths);
    for kill in 0..KILLS {
        let children = server.wait_for_children(WORKERS + RUNNERS);
        // Not always at the same moment of the work.
        std::thread::sleep(Duration::from_millis(20 + 7 * kill as u64));
        let victim = children[kill % children.len()];
        victim.signal(Signal::SIGKILL);
        eventually("the child is back", || {
            let now = server.children();
            (now.len() == children.len() && !now.contains(&victim)).then_some(())
        });
    }
    traffic.wait_for_more(20);
    let report = traffic.stop();
    let listener = backends.events.as_ref().map(|topic| topic.listen());
    judge(&server, backends, listener.as_ref(), &report);
}
