//! Children boot, or fail to.

use std::time::Duration;

use log::Level;
use nix::sys::signal::Signal;
use oxicorn_common::Message;

use super::simulation::{Simulation, plan};
use crate::supervisor::{Action, ChildKind, Plan};

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn the_first_generation_starts_whole_and_serves_with_the_first_ready_worker() {
    let mut sim = Simulation::new(plan(3, 1));
    let kinds: Vec<ChildKind> = sim.alive.values().map(|child| child.0).collect();
    assert_eq!(
        kinds,
        [
            ChildKind::Web,
            ChildKind::Web,
            ChildKind::Web,
            ChildKind::Runner
        ]
    );
    sim.ready(&[4]);
    assert!(
        !sim.done.contains(&Action::Serving),
        "a runner serves nobody"
    );
    sim.all_ready();
    let count = sim.done.iter().filter(|it| **it == Action::Serving);
    assert_eq!(count.count(), 1, "once a generation");
    assert!(sim.logged(Level::Info, "Generation 1 serves with 3 workers"));
}

#[test]
fn a_worker_that_dies_is_replaced_at_once_in_its_slot() {
    let mut sim = Simulation::serving(plan(2, 0));
    sim.advance(seconds(5));
    let slot = sim.alive[&1].1;
    sim.killed(1, Signal::SIGKILL);
    assert_eq!(sim.of_generation(1), [2, 3]);
    assert_eq!(sim.alive[&3].1, slot);
    assert!(sim.logged(Level::Error, "Worker (pid: 1) was killed by SIGKILL"));
    assert!(sim.logged(Level::Error, "starting another"));
}

#[test]
fn killing_a_worker_as_soon_as_it_is_ready_delays_nothing() {
    let mut sim = Simulation::serving(plan(1, 0));
    for id in 1..20 {
        sim.killed(id, Signal::SIGKILL);
        sim.ready(&[id + 1]);
    }
    assert_eq!(sim.of_generation(1), [20]);
}

#[test]
fn no_worker_that_boots_ends_the_server() {
    let mut sim = Simulation::new(plan(2, 1));
    sim.exits(1, 3);
    assert_eq!(sim.exit_code(), None, "the other may still come up");
    sim.killed(2, Signal::SIGSEGV);
    assert_eq!(sim.sent(Signal::SIGQUIT), [3], "the runner goes too");
    sim.exits(3, 0);
    assert_eq!(sim.exit_code(), Some(3));
    assert!(sim.logged(Level::Error, "no worker could boot"));
}

#[test]
fn an_application_that_cannot_be_loaded_has_its_own_exit_code() {
    let mut sim = Simulation::new(plan(2, 0));
    for id in [1, 2] {
        let text = "no such table".to_owned();
        sim.message(id, Message::Failed { exit_code: 4, text });
        sim.exits(id, 4);
    }
    assert_eq!(sim.exit_code(), Some(4));
    assert!(sim.logged(Level::Error, "the application could not be loaded"));
}

#[test]
fn a_server_that_cannot_fork_at_all_ends() {
    let mut sim = Simulation::serving(plan(1, 0));
    sim.forks_fail = true;
    sim.advance(seconds(2));
    sim.killed(1, Signal::SIGKILL);
    assert!(sim.logged(
        Level::Error,
        "Cannot fork: no memory; trying again in 0.1 s"
    ));
    assert_eq!(sim.exit_code(), None, "it has served before");
    sim.forks_fail = false;
    sim.advance(Duration::from_millis(150));
    assert_eq!(sim.alive.len(), 1);
}

#[test]
fn a_worker_that_keeps_failing_is_tried_less_and_less_often() {
    let mut sim = Simulation::new(plan(2, 0));
    sim.ready(&[1]);
    let mut attempts = 0;
    for _ in 0..600 {
        if let Some(&id) = sim.alive.keys().find(|&&id| id != 1) {
            attempts += 1;
            sim.exits(id, 3);
        }
        sim.advance(Duration::from_millis(100));
    }
    assert!((8..=11).contains(&attempts), "{attempts} in a minute");
    assert_eq!(sim.exit_code(), None);
}

#[test]
fn a_worker_that_crashes_as_soon_as_it_is_ready_waits_too() {
    let mut sim = Simulation::serving(plan(1, 0));
    sim.killed(1, Signal::SIGSEGV);
    assert!(sim.alive.is_empty());
    sim.advance(Duration::from_millis(150));
    sim.all_ready();
    sim.killed(2, Signal::SIGSEGV);
    sim.advance(Duration::from_millis(150));
    assert!(sim.alive.is_empty(), "twice as long");
    sim.advance(Duration::from_millis(100));
    assert_eq!(sim.alive.len(), 1);
}

#[test]
fn the_time_to_boot_is_apart_from_the_timeout() {
    let mut sim = Simulation::new(Plan {
        boot_timeout: seconds(90),
        ..plan(1, 1)
    });
    sim.advance(seconds(89));
    assert!(sim.sent(Signal::SIGABRT).is_empty());
    sim.advance(seconds(2));
    assert_eq!(sim.sent(Signal::SIGABRT), [1, 2]);
    // Shorter than the shortest timeout, and without any.
    let mut sim = Simulation::new(Plan {
        boot_timeout: seconds(2),
        timeout: Duration::ZERO,
        ..plan(1, 0)
    });
    sim.advance(seconds(3));
    assert_eq!(sim.sent(Signal::SIGABRT), [1]);
    let mut sim = Simulation::new(Plan {
        timeout: Duration::ZERO,
        ..plan(1, 0)
    });
    sim.advance(seconds(100_000));
    assert!(sim.sent(Signal::SIGABRT).is_empty());
}

#[test]
fn a_runner_that_fails_leaves_the_workers_alone() {
    let mut sim = Simulation::new(plan(1, 1));
    sim.exits(2, 4);
    assert_eq!(sim.exit_code(), None);
    sim.ready(&[1]);
    sim.advance(Duration::from_millis(150));
    assert_eq!(sim.of_generation(1), [1, 3]);
}
