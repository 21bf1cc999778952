//! PostgreSQL stops, restarts, drops or refuses clients, and hangs: requests get 503, and nothing confirmed is lost.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::*;
use crate::harness::{
    Backends, CacheKind, EventsKind, Server, Services, StoreKind, TIMEOUT, eventually,
};
use crate::service::matrix::ready;
use crate::service::start;

/// Expected errors in the log: the store is down, also for the runner.
fn serve(backends: &Backends) -> Server {
    let builder = backends.service("postgres goes").threads(4);
    let mut server = start(builder.env("POOL_TIMEOUT", "2"), 2);
    server.tolerate("PostgreSQL at");
    // A commit that was under way.
    server.tolerate("500 OUTCOME_UNKNOWN");
    server.tolerate("Runner: ");
    server
}

#[test]
fn postgres_may_stop_restart_and_hang() {
    let services = Services::private(&["postgres"]);
    let kinds = (StoreKind::Postgres, CacheKind::Memory, EventsKind::Outbox);
    let backends = Backends::on(&services, kinds.0, kinds.1, kinds.2);
    let server = serve(&backends);
    let traffic = Traffic::start(&server, TIMEOUT, Tolerance::Refusals);
    let mut outage = Outage::of(&server, "PostgreSQL at");

    services.stop("postgres");
    outage.begins();
    eventually("/ready says so", || (ready(&server).0 == 503).then_some(()));
    traffic.go_on_for(A_WHILE, "stopped");
    // It stays down until this many requests have been refused.
    traffic.wait_for_refusals(20);
    services.start("postgres");
    outage.ends();
    traffic.wait_for_more(50);
    assert_eq!(ready(&server).0, 200);

    services.restart("postgres");
    traffic.wait_for_more(50);
    outage.may_have_been();

    services.kill("postgres");
    services.start("postgres");
    traffic.wait_for_more(50);
    outage.may_have_been();

    services.pause("postgres");
    traffic.go_on_for(A_WHILE, "hung");
    services.resume("postgres");
    traffic.wait_for_more(50);
    outage.may_have_been();

    let report = traffic.stop();
    judge(&server, &backends, None, &report);
    outage.assert_told_once();
}

/// A request that waits for it gets its response when its time is over, and the waiting worker is replaced.
#[test]
fn postgres_may_hang_for_longer_than_requests_may_take() {
    let services = Services::private(&["postgres"]);
    let kinds = (StoreKind::Postgres, CacheKind::Memory, EventsKind::Outbox);
    let backends = Backends::on(&services, kinds.0, kinds.1, kinds.2);
    let builder = backends.service("postgres hangs").threads(4);
    // The event loop needs time to log the stacks of threads that have run too long.
    let builder = builder.env("POOL_TIMEOUT", "2").args(&["--timeout", "10"]);
    let mut server = start(builder, 2);
    // Each request that took too long is logged, with the stack of its thread.
    server.tolerate("");
    let traffic = Traffic::start(&server, TIMEOUT, Tolerance::Deaths);
    let mut outage = Outage::of(&server, "PostgreSQL at");
    services.pause("postgres");
    eventually("/ready says so", || (ready(&server).0 == 503).then_some(()));
    traffic.go_on_for(Duration::from_secs(15), "hung");
    // No request waits until it is back.
    traffic.wait_for_refusals(4);
    services.resume("postgres");
    traffic.wait_for_more(50);
    outage.may_have_been();
    let report = traffic.stop();
    judge(&server, &backends, None, &report);
    outage.assert_told_once();
}

#[test]
fn postgres_may_throw_clients_out_and_have_no_room() {
    let services = Services::private(&["postgres", "redis"]);
    let kinds = (StoreKind::Postgres, CacheKind::Redis, EventsKind::Outbox);
    let backends = Backends::on(&services, kinds.0, kinds.1, kinds.2);
    let server = serve(&backends);
    let traffic = Traffic::start(&server, TIMEOUT, Tolerance::Refusals);
    let mut outage = Outage::of(&server, "PostgreSQL at");
    let database = backends.store.as_ref().expect("PostgreSQL");
    let throw_out = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{}'",
        database.name()
    );

    for _ in 0..3 {
        assert_ne!(database.sql_elsewhere(&throw_out), "0");
        traffic.wait_for_more(20);
    }
    outage.may_have_been();

    let mut crowd = Crowd::new(services.variable("PGPORT"));
    // The service has to work with the connections that it has.
    crowd.grow();
    traffic.go_on_for(A_WHILE, "no room");
    drop(crowd);
    traffic.wait_for_more(50);
    outage.may_have_been();

    let report = traffic.stop();
    judge(&server, &backends, None, &report);
    outage.assert_told_once();
}

/// Clients that connect and send no query.
struct Crowd(Vec<TcpStream>, String);

impl Crowd {
    fn new(port: &str) -> Self {
        Self(Vec::new(), format!("127.0.0.1:{port}"))
    }

    /// Connects until the server accepts no client.
    fn grow(&mut self) {
        // StartupMessage of the protocol's version 3.0 (PostgreSQL, "Message Formats").
        let words = b"\x00\x03\x00\x00user\0oxicorn\0database\0oxicorn\0\0";
        let length = u32::try_from(words.len() + 4).expect("a short message");
        loop {
            let mut stream = TcpStream::connect(&self.1).expect("the server listens");
            stream.write_all(&length.to_be_bytes()).expect("sent");
            stream.write_all(words).expect("sent");
            let mut kind = [0];
            stream.read_exact(&mut kind).expect("an answer");
            match kind[0] {
                b'R' => self.0.push(stream),
                _ => return,
            }
        }
    }
}
