//! Redis stops, hangs and comes back: the service goes on without it, and no request waits.

use super::*;
use crate::harness::{Backends, CacheKind, EventsKind, Services, StoreKind, TIMEOUT};
use crate::service::start;

#[test]
fn redis_may_stop_and_hang() {
    let services = Services::private(&["redis", "postgres"]);
    let kinds = (StoreKind::Postgres, CacheKind::Redis, EventsKind::Outbox);
    let backends = Backends::on(&services, kinds.0, kinds.1, kinds.2);
    let server = start(backends.service("redis goes").threads(4), 2);
    let traffic = Traffic::start(&server, TIMEOUT, Tolerance::Nothing);
    let mut outage = Outage::of(&server, "Redis at");
    traffic.go_on_for(A_WHILE, "with Redis");
    type Verb = fn(&Services, &str);
    let faults: [(&str, Verb, Verb); 3] = [
        ("stopped", Services::stop, Services::start),
        ("hung", Services::pause, Services::resume),
        ("killed", Services::kill, Services::start),
    ];
    for (fault, begin, end) in faults {
        begin(&services, "redis");
        outage.begins();
        traffic.go_on_for(A_WHILE, fault);
        // It stays down until this much has been done without it.
        traffic.wait_for_more(50);
        end(&services, "redis");
        outage.ends();
        traffic.go_on_for(A_WHILE / 2, "back");
    }
    let report = traffic.stop();
    judge(&server, &backends, None, &report);
    outage.assert_told_once();
}
