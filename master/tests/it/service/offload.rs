//! How much load the cache takes off the database, as PostgreSQL counts it.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use super::*;
use crate::harness::{CacheKind, EventsKind, Services, StoreKind};

/// The number of objects and of requests, and how many of a hundred requests are changes.
const THINGS: usize = 2000;
const REQUESTS: u32 = 20_000;
const CHANGES_PERCENT: u32 = 2;
const CLIENTS: usize = 8;
/// The guide promises that caching takes 70 to 90 per cent of the load off the database.
const PROMISED: f64 = 0.7;

/// How often each object is requested: the second half as often as the first, the third a third as often, and so on
/// (Zipf's law with the exponent 1, as observed for web pages).
struct Zipf {
    cumulated: Vec<f64>,
    random: u64,
}

impl Zipf {
    fn new(seed: u64) -> Self {
        let mut sum = 0.0;
        let shares = (1..=THINGS).map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        });
        Self {
            cumulated: shares.collect(),
            random: seed,
        }
    }

    fn next(&mut self) -> usize {
        let all = self.cumulated[THINGS - 1];
        let at = self.uniform() * all;
        self.cumulated.partition_point(|share| *share < at)
    }

    /// From 0 to 1: the upper half of Knuth's MMIX generator, the same in each run.
    fn uniform(&mut self) -> f64 {
        let step = self.random.wrapping_mul(6_364_136_223_846_793_005);
        self.random = step.wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 32) as f64 / f64::from(u32::MAX)
    }
}

/// The number of statements that the database has executed, of all kinds.
fn statements(backends: &Backends) -> i64 {
    let database = backends.store.as_ref().expect("PostgreSQL");
    let sql = format!(
        "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements
         WHERE dbid = (SELECT oid FROM pg_database WHERE datname = '{}')",
        database.name()
    );
    database.sql_elsewhere(&sql).parse().expect("a number")
}

/// Puts the same load on a service with these settings; returns the number of statements.
fn cost(backends: &Backends, settings: &[&str]) -> i64 {
    let builder = patient(backends.service("offload"))
        .threads(4)
        .args(settings);
    let server = builder.args(&["--runners", "0"]).workers(2).start();
    let names: Vec<_> = (0..THINGS).map(|it| user(&server, it)).collect();
    let before = statements(backends);
    let left = AtomicU32::new(REQUESTS);
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (server, names, left) = (&server, &names, &left);
            scope.spawn(move || visit(&mut server.client(), names, number as u64 + 1, left));
        }
    });
    statements(backends) - before
}

fn user(server: &Server, number: usize) -> String {
    let name = format!("u{number}-{}", std::process::id());
    let body = json!({"username": name, "email": format!("{name}@example.org")});
    let (status, answer) = call(server, "POST", "/users", Some(body));
    assert_eq!(status, 201, "{answer}");
    format!("/users/{}", answer["user"]["userId"])
}

/// Sends requests until all have been made. Some change the object instead of reading it.
fn visit(client: &mut Client, names: &[String], seed: u64, left: &AtomicU32) {
    let mut zipf = Zipf::new(seed);
    let take = |left: u32| left.checked_sub(1);
    while let Ok(round) = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
        let path = &names[zipf.next()];
        let (method, body) = match round % 100 < CHANGES_PERCENT {
            true => ("PUT", Some(json!({"fullName": format!("changed {round}")}))),
            false => ("GET", None),
        };
        let (status, answer) = call_on(client, method, path, body);
        assert_eq!(status, 200, "{method} {path}: {answer}");
    }
}

#[test]
fn the_cache_takes_seventy_per_cent_of_the_load_off_the_database() {
    let over = |cache| {
        let backends = Backends::on(
            Services::shared(),
            StoreKind::Postgres,
            cache,
            EventsKind::Outbox,
        );
        move |settings: &[&str]| cost(&backends, settings)
    };
    let nothing = ["--cache-entries", "0", "--user-cache-ttl", "0"];
    let without = over(CacheKind::Memory)(&nothing);
    assert!(without >= i64::from(REQUESTS), "{without} statements");
    for cache in [CacheKind::Redis, CacheKind::Memory] {
        let with = over(cache)(&[]);
        let saved = 1.0 - with as f64 / without as f64;
        println!("{cache:?}: {with} statements instead of {without}: {saved:.3} less");
        assert!(saved >= PROMISED, "{cache:?}: {with} of {without}");
    }
}
