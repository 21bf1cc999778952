//! The service's metrics, each compared with somebody else's count: PostgreSQL's, Redis', Kafka's, the tables'.

mod cache;
mod events;
mod pool;

use super::*;
use crate::harness::{CacheKind, EventsKind, Exposition, Process, StoreKind};

/// Waits until the figure that `found` takes is the `expected` one, which may move too.
fn expect<T: PartialEq + std::fmt::Debug>(
    server: &Server,
    what: &str,
    expected: impl Fn() -> T,
    found: impl Fn(&Exposition) -> T,
) {
    let mut last = None;
    eventually(what, || {
        let now = Some((found(&server.exposition()), expected()));
        if now != last {
            println!("{what}: {now:?}");
        }
        last = now;
        last.as_ref()
            .filter(|(found, expected)| found == expected)
            .map(drop)
    });
}

/// Web workers and the runner, beside the admin process.
fn start_with_admin(builder: Builder, workers: usize) -> Server {
    let builder = builder.admin();
    let server = builder
        .args(&["--workers", &workers.to_string()])
        .start_with_unknown_workers();
    server.wait_for_children(workers + 2);
    server
}

fn children(server: &Server, kind: &str) -> Vec<Process> {
    let mut children = server.children();
    children.retain(|it| it.command_line().contains(&format!("oxicorn: {kind}")));
    children
}

fn number(text: &str) -> f64 {
    text.parse()
        .unwrap_or_else(|_| panic!("no number: {text:?}"))
}

fn postgres(cache: CacheKind, events: EventsKind) -> Backends {
    Backends::new(StoreKind::Postgres, cache, events)
}
