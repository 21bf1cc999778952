//! Restarts and reloads: each is counted by its reason, and none loses a count.

use nix::sys::signal::Signal;
use serde_json::Value;

use super::counts::{count, logged, total, wait_for_total};
use super::figures::{sample, status};
use super::{address, server};
use crate::harness::{Load, Mode, Process, eventually};

#[test]
fn every_reason_of_a_restart_is_told_apart() {
    let mut server = server("counts, reasons")
        .lab()
        .args(&["--max-requests", "40"])
        .start_with_unknown_workers();
    server.tolerate("");
    let admin = address(&server, 1);
    let worker = || {
        let report = status(admin);
        let mut workers = report["workers"].as_array().expect("a list").iter();
        let worker = workers.find(|it| it["kind"] == "worker" && it["state"] == "ready");
        let pid = worker.and_then(|it| it["pid"].as_i64());
        pid.and_then(|pid| i32::try_from(pid).ok())
    };
    let restarts = |reason: &str| {
        status(admin)["restarts"][reason]
            .as_u64()
            .expect("a number")
    };
    let ends: [(&str, &dyn Fn(i32)); 5] = [
        ("exit", &|_| drop(server.client().get("/exit?code=0"))),
        ("crash", &|_| drop(server.client().get("/abort"))),
        ("signal", &|pid| Process(pid).signal(Signal::SIGKILL)),
        ("signal", &|pid| Process(pid).signal(Signal::SIGTERM)),
        ("max_requests", &|_| {
            for _ in 0..40 {
                let _ = server.client().get("/");
            }
        }),
    ];
    for (reason, end) in ends {
        let pid = eventually("a worker", worker);
        let before = restarts(reason);
        end(pid);
        eventually("it is counted", || {
            (restarts(reason) == before + 1).then_some(())
        });
        eventually("another worker", || worker().filter(|it| *it != pid));
    }
    let report = status(admin);
    let counts: Vec<_> = [
        "exit",
        "crash",
        "signal",
        "max_requests",
        "boot",
        "oom",
        "memory",
        "timeout",
    ]
    .map(|reason| report["restarts"][reason].as_u64().expect("a number"))
    .into();
    assert_eq!(counts, [1, 1, 2, 1, 0, 0, 0, 0]);
}

#[test]
fn reloads_that_follow_at_once_are_counted_too() {
    let mut server = server("counts, overtaken").start_with_unknown_workers();
    server.tolerate("Admin process (pid");
    for generation in 2..=6 {
        server.signal(Signal::SIGHUP);
        let serves = format!("Generation {generation} serves");
        server.log().wait_for(&serves);
    }
    let admin = address(&server, 1);
    let reloads = eventually("each is counted", || {
        let reloads = status(admin)["reloads"].clone();
        (reloads["succeeded"] == 5).then_some(reloads)
    });
    assert_eq!(reloads["failed"], 0);
    let history = reloads["history"].as_array().expect("a list");
    let generations: Vec<_> = history.iter().map(|it| it["generation"].as_u64()).collect();
    assert_eq!(generations, [2, 3, 4, 5, 6].map(Some));
}

#[test]
fn reloads_are_counted_and_a_failed_one_tells_its_reason() {
    let builder = server("counts, reloads").lab();
    let closed = builder.dir().join("closed");
    let mut server = builder
        .env("LAB_BOOT", &closed.display().to_string())
        .start_with_unknown_workers();
    server.tolerate("");
    let admin = address(&server, 1);
    let reloads = || {
        let reloads = status(admin)["reloads"].clone();
        let of = |name: &str| reloads[name].as_u64().expect("a number");
        ((of("succeeded"), of("failed")), reloads["history"].clone())
    };
    server.signal(Signal::SIGHUP);
    eventually("it has succeeded", || (reloads().0 == (1, 0)).then_some(()));
    std::fs::write(&closed, "").expect("written");
    server.signal(Signal::SIGHUP);
    eventually("it has failed", || (reloads().0 == (1, 1)).then_some(()));
    let (_, history) = reloads();
    assert_eq!(history[0]["generation"], 2);
    assert_eq!(history[0]["failure"], Value::Null);
    assert_eq!(history[1]["generation"], 3);
    let reason = history[1]["failure"].as_str().expect("a reason");
    assert!(reason.contains("the lab has been closed"), "{reason}");
    assert_eq!(sample(admin, "oxicorn_generation"), 2.0);
    assert_eq!(sample(admin, "oxicorn_last_reload_successful"), 0.0);
    let boots = status(admin)["restarts"]["boot"].as_u64();
    assert_eq!(
        boots,
        Some(0),
        "the worker of the third generation replaced nobody"
    );
    // A worker of the generation that serves does.
    for child in server.children() {
        if child.command_line().contains("oxicorn: worker") {
            child.signal(Signal::SIGKILL);
        }
    }
    eventually("a worker that does not boot", || {
        let boots = status(admin)["restarts"]["boot"].as_u64();
        boots.filter(|boots| *boots > 0)
    });
}

/// A hundred workers die, in three ways. The client counts.
#[test]
fn a_hundred_restarts_lose_no_count() {
    let mut server = logged("counts, restarts")
        .args(&["--workers", "3", "--max-requests", "25"])
        .start_with_unknown_workers();
    server.tolerate("");
    let admin = address(&server, 1);
    let restarts = || -> u64 {
        let report = status(admin);
        let reasons = report["restarts"].as_object().expect("a table").values();
        reasons.map(|it| it.as_u64().expect("a number")).sum()
    };
    let mut last = 0;
    let mut not_fallen = || {
        let now = total(admin);
        assert!(now >= last, "{now} after {last}");
        last = now;
    };
    // Under load by max_requests and by reloads: every answer is counted.
    let loads =
        [Mode::KeepAlive, Mode::Fresh].map(|mode| Load::start(server.address(), 2, mode, "/pid"));
    eventually("sixty replacements", || {
        not_fallen();
        (restarts() >= 60).then_some(())
    });
    for generation in 2..4 {
        server.signal(Signal::SIGHUP);
        let line = format!("Generation {generation} serves");
        eventually("the next generation", || {
            not_fallen();
            (server.log().count(&line) > 0).then_some(())
        });
    }
    let mut answered = 0;
    for load in loads {
        let tally = load.stop();
        tally.assert_perfect();
        answered += tally.answered;
    }
    // Idle workers by kill -9: nothing is under way, and none has asked for a replacement.
    let mut killed = 0;
    while restarts() < 100 || killed < 20 {
        let victim = eventually("three fresh workers", || {
            let report = status(admin);
            let workers = report["workers"].as_array().expect("a list").iter();
            let workers: Vec<_> = workers.filter(|it| it["kind"] == "worker").collect();
            let is_fresh = |it: &&Value| {
                it["state"] == "ready" && it["requests"].as_u64().is_some_and(|count| count < 25)
            };
            let all = workers.len() == 3 && workers.iter().all(is_fresh);
            all.then(|| workers[0]["pid"].as_i64().expect("a pid"))
        });
        let before = restarts();
        Process(i32::try_from(victim).expect("a pid")).signal(Signal::SIGKILL);
        killed += 1;
        eventually("it is counted", || (restarts() > before).then_some(()));
        not_fallen();
    }
    // The start has asked too.
    let asked = server.out().lines().len() as u64 - answered;
    assert!((1..5).contains(&asked), "{asked} more lines than answers");
    wait_for_total(&server, admin, answered + asked);
    let report = status(admin);
    assert_eq!(report["restarts"]["signal"], killed);
    assert_eq!(count(&report, "GET", 200), answered + asked);
}
