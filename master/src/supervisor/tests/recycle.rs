//! Replacing one child, ready first.

use std::time::Duration;

use log::Level;
use nix::sys::signal::Signal;

use super::simulation::{Simulation, plan};

#[test]
fn the_old_drains_when_the_new_is_ready() {
    let mut sim = Simulation::serving(plan(2, 0));
    sim.ask_replacement(1);
    assert_eq!(sim.of_generation(1), [1, 2, 3]);
    assert!(sim.logged(Level::Info, "Replacing Worker (pid: 1): max_requests"));
    assert!(sim.sent(Signal::SIGTERM).is_empty());
    sim.ready(&[3]);
    assert_eq!(sim.sent(Signal::SIGTERM), [1]);
    sim.exits(1, 0);
    assert_eq!(sim.of_generation(1), [2, 3]);
}

#[test]
fn one_at_a_time_over_the_whole_server() {
    let mut sim = Simulation::serving(plan(4, 0));
    (1..=4).for_each(|id| sim.ask_replacement(id));
    for replaced in 1..=4 {
        assert_eq!(sim.alive.len(), 5);
        sim.ready(&[replaced + 4]);
        assert_eq!(sim.sent(Signal::SIGTERM), [replaced]);
        sim.exits(replaced, 0);
    }
    assert_eq!(sim.of_generation(1), [5, 6, 7, 8]);
}

#[test]
fn a_replacement_that_cannot_boot_costs_nothing() {
    let mut sim = Simulation::serving(plan(1, 0));
    sim.ask_replacement(1);
    sim.exits(2, 3);
    assert_eq!(sim.of_generation(1), [1]);
    sim.advance(Duration::from_millis(150));
    assert_eq!(
        sim.of_generation(1),
        [1, 3],
        "after a while it is tried again"
    );
    sim.ready(&[3]);
    assert_eq!(sim.sent(Signal::SIGTERM), [1]);
}

#[test]
fn a_replacement_takes_the_place_of_one_that_died_meanwhile() {
    let mut sim = Simulation::serving(plan(2, 0));
    sim.advance(Duration::from_secs(5));
    sim.ask_replacement(1);
    sim.killed(1, Signal::SIGKILL);
    assert_eq!(sim.of_generation(1), [2, 3]);
    sim.ready(&[3]);
    assert!(sim.sent(Signal::SIGTERM).is_empty());
}

#[test]
fn fewer_workers_need_no_replacement() {
    let mut sim = Simulation::serving(plan(2, 0));
    sim.ask_replacement(1);
    sim.signal(Signal::SIGTTOU);
    sim.all_ready();
    sim.exits(1, 0);
    let left = sim.sent(Signal::SIGTERM);
    assert_eq!(sim.alive.len() + 1 - left.len(), 1, "{left:?}");
}

#[test]
fn those_that_take_long_to_drain_do_not_pile_up() {
    let mut sim = Simulation::serving(plan(2, 0));
    for _ in 0..50 {
        let asking: Vec<_> = sim.alive.keys().copied().collect();
        asking.into_iter().for_each(|id| sim.ask_replacement(id));
        sim.all_ready();
    }
    assert!(sim.alive.len() <= 2 * 2 + 2, "{}", sim.alive.len());
}
