//! SIGUSR2: no total falls, whichever master's admin process answers, and whichever master ends in whatever way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::figures::status;
use super::{address, ask, server};
use crate::harness::{Load, Mode, Process, Server, eventually};
use crate::upgrade::NewMaster;

/// Asks all the time, whoever answers, and checks that no total has fallen.
struct Watcher {
    over: Arc<AtomicBool>,
    watch: JoinHandle<u64>,
}

impl Watcher {
    fn start(admin: SocketAddr) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&over);
        let watch = thread::spawn(move || {
            let (mut last, mut looks) = (Vec::new(), 0);
            while !stop.load(Ordering::Relaxed) {
                // A process that ends may have the connection.
                let Ok(answer) = ask(admin, "/status", "") else {
                    continue;
                };
                let Ok(report) = serde_json::from_slice::<Value>(&answer.body) else {
                    continue;
                };
                let now = totals(&report);
                if let Some(place) = now.iter().zip(&last).position(|(now, last)| now < last) {
                    panic!("total {place} has fallen: {now:?} after {last:?}");
                }
                (last, looks) = (now, looks + 1);
            }
            looks
        });
        Self { over, watch }
    }

    fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        let looks = self.watch.join().expect("no total has fallen");
        assert!(looks > 10, "{looks} answers");
    }
}

/// Everything that may only grow.
fn totals(report: &Value) -> Vec<u64> {
    let requests = &report["requests"];
    let restarts = report["restarts"].as_object().expect("a table").values();
    let numbers = [
        &requests["total"],
        &requests["sent_bytes"],
        &requests["received_bytes"],
        &requests["duration"]["count"],
        &requests["queue"]["count"],
        &report["reloads"]["succeeded"],
    ];
    let numbers = numbers.into_iter().chain(restarts);
    numbers.map(|it| it.as_u64().expect("a number")).collect()
}

fn total(admin: SocketAddr) -> u64 {
    status(admin)["requests"]["total"]
        .as_u64()
        .expect("a number")
}

fn master_of(admin: SocketAddr) -> i64 {
    status(admin)["server"]["pid"].as_i64().expect("a pid")
}

/// Load, all of whose answers are counted when it ends.
fn load(server: &Server) -> impl FnOnce() -> u64 + use<> {
    let loads = [Mode::KeepAlive, Mode::Fresh];
    let loads = loads.map(|mode| Load::start(server.address(), 2, mode, "/pid"));
    move || {
        let ends = loads.into_iter().map(|load| {
            load.wait_for_more(200);
            let tally = load.stop();
            tally.assert_perfect();
            tally.answered
        });
        ends.sum()
    }
}

/// Waits until exactly `wanted` are counted, whoever of `masters` is asked.
fn wait_for_total(admin: SocketAddr, wanted: u64, masters: usize) {
    eventually("each request is counted", || {
        (total(admin) >= wanted).then_some(())
    });
    let mut seen = std::collections::BTreeSet::new();
    eventually("each master says so", || {
        assert_eq!(total(admin), wanted);
        seen.insert(master_of(admin));
        (seen.len() >= masters).then_some(())
    });
}

fn upgrade(server: &Server, master: Process) -> NewMaster {
    let before = server.log().count("Using worker");
    master.signal(Signal::SIGUSR2);
    server.log().wait_for_nth("Using worker", before + 1);
    let new_master = NewMaster(
        *master
            .children()
            .iter()
            .find(|it| it.children().len() > 1 || it.command_line().contains("master"))
            .expect("a new master"),
    );
    eventually("its workers and its admin process", || {
        (new_master.0.children().len() == 3).then_some(())
    });
    new_master
}

#[test]
fn no_total_falls_through_upgrades_that_succeed_and_fail() {
    let mut server = server("admin, upgrades")
        .lab()
        .args(&["--workers", "2"])
        .start_with_unknown_workers();
    server.tolerate("");
    let admin = address(&server, 1);
    let mut wanted = eventually("the start is counted", || {
        Some(total(admin)).filter(|it| *it > 0)
    });
    let watcher = Watcher::start(admin);

    // A new master that is killed.
    let end = load(&server);
    let failed = upgrade(&server, server.master());
    wanted += end();
    wait_for_total(admin, wanted, 2);
    failed.0.signal(Signal::SIGKILL);
    server.log().wait_for("this one serves on");
    wait_for_total(admin, wanted, 1);

    // The second attempt goes on, and the old master ends as it should.
    let end = load(&server);
    let second = upgrade(&server, server.master());
    server.signal(Signal::SIGTERM);
    server.wait_for_exit();
    server.log().wait_for("Master has been promoted.");
    wanted += end();
    wait_for_total(admin, wanted, 1);

    // A third master, and the second is killed.
    let end = load(&server);
    let third = upgrade(&server, second.0);
    wanted += end();
    wait_for_total(admin, wanted, 2);
    second.0.signal(Signal::SIGKILL);
    server.log().wait_for_nth("Master has been promoted.", 2);
    wait_for_total(admin, wanted, 1);
    let end = load(&server);
    wanted += end();
    wait_for_total(admin, wanted, 1);
    watcher.end();
    third.end();
}
