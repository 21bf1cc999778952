//! `worker_max_age`.

use std::time::{Duration, Instant};

use log::Level;
use nix::sys::signal::Signal;
use oxicorn_common::scoreboard::RestartReason;

use super::simulation::{Simulation, plan};
use crate::supervisor::aging::retirement;
use crate::supervisor::{Action, Plan};

fn hours(count: u64) -> Duration {
    Duration::from_secs(3600 * count)
}

fn aging(workers: usize) -> Plan {
    Plan {
        worker_max_age: hours(1),
        ..plan(workers, 1)
    }
}

/// Lets time pass by seconds: those that start get ready, and those that are told to end do.
fn live(sim: &mut Simulation, time: Duration) {
    let end = sim.now + time;
    while sim.now < end {
        sim.advance(Duration::from_secs(1));
        sim.all_ready();
        for id in sim.sent(Signal::SIGTERM) {
            sim.exits(id, 0);
        }
        assert!(sim.alive.len() <= 5 + 1, "{:?}", sim.alive);
    }
}

#[test]
fn every_worker_is_replaced_at_its_age_and_counted() {
    let mut sim = Simulation::serving(aging(4));
    live(&mut sim, hours(1) * 9 / 10 - Duration::from_secs(1));
    assert_eq!(sim.of_generation(1), [1, 2, 3, 4, 5], "none yet");
    live(&mut sim, hours(1) / 10 + Duration::from_secs(5));
    let left: Vec<u64> = sim.of_generation(1);
    assert_eq!(left.len(), 5);
    assert!(left[0] == 5 && left[1] > 5, "the runner stays: {left:?}");
    assert!(sim.logged(Level::Info, "worker_max_age (3600 s)"));
    let count = Action::CountRestart(RestartReason::Age);
    assert_eq!(sim.done.iter().filter(|&it| *it == count).count(), 4);
}

#[test]
fn no_two_of_those_that_start_together_end_together() {
    let now = Instant::now();
    let ends: Vec<_> = (1..=8)
        .filter_map(|id| retirement(id, hours(1), now))
        .map(|at| at.duration_since(now))
        .collect();
    for (index, end) in ends.iter().enumerate() {
        assert!(*end > hours(1) * 9 / 10 && *end <= hours(1), "{ends:?}");
        assert!(!ends[..index].contains(end), "{ends:?}");
    }
    assert_eq!(retirement(1, Duration::ZERO, now), None);
}

#[test]
fn without_a_limit_none_is_old() {
    let mut sim = Simulation::serving(plan(4, 0));
    sim.advance(hours(100));
    assert_eq!(sim.of_generation(1), [1, 2, 3, 4]);
}
