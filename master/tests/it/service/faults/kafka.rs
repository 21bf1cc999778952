//! Kafka stops, or is killed with messages in flight: the outbox keeps them, and work goes on.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::*;
use crate::harness::{Backends, CacheKind, EventsKind, Generation, Services, StoreKind, TIMEOUT};
use crate::service::start;

/// Two private brokers at a time would be too much for a small machine.
static ONE_BROKER: Mutex<()> = Mutex::new(());

#[test]
fn kafka_39_may_stop_and_be_killed() {
    kafka_may_stop_and_be_killed(Generation::Kafka39);
}

#[test]
fn kafka_4_may_stop_and_be_killed() {
    kafka_may_stop_and_be_killed(Generation::Kafka4);
}

fn kafka_may_stop_and_be_killed(generation: Generation) {
    let _turn = ONE_BROKER.lock().unwrap_or_else(PoisonError::into_inner);
    let name = generation.service();
    let services = Services::private(&[name, "postgres", "redis"]);
    let events = EventsKind::Kafka(generation);
    let backends = Backends::on(&services, StoreKind::Postgres, CacheKind::Redis, events);
    let server = start(backends.service("kafka goes").threads(4), 2);
    let traffic = Traffic::start(&server, TIMEOUT, Tolerance::Nothing);
    let mut outage = Outage::of(&server, "Kafka at");

    traffic.go_on_for(A_WHILE, "with Kafka");
    services.stop(name);
    outage.begins();
    traffic.go_on_for(stop_time(), "stopped");
    traffic.wait_for_more(50);
    services.start(name);
    outage.is_over();

    for _ in 0..2 {
        traffic.wait_for_more(50);
        services.kill(name);
        outage.begins();
        services.start(name);
        outage.is_over();
    }

    let report = traffic.stop();
    let listener = backends.events.as_ref().map(|topic| topic.listen());
    judge(&server, &backends, listener.as_ref(), &report);
    outage.assert_told_in_turn();
}

fn stop_time() -> Duration {
    match std::env::var_os("OXICORN_LONG") {
        Some(_) => Duration::from_secs(60),
        None => Duration::from_secs(20),
    }
}
