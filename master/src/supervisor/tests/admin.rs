//! The admin process: one per generation, and the workers do not depend on it.

use std::time::Duration;

use log::Level;
use nix::sys::signal::Signal;
use oxicorn_common::Message;

use super::simulation::{Simulation, plan, plan_with_admin};
use crate::supervisor::{Action, ChildId, ChildKind, Event};

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn admins(sim: &Simulation) -> Vec<ChildId> {
    let alive = sim.alive.iter();
    let admins = alive.filter(|(_, child)| child.0 == ChildKind::Admin);
    admins.map(|(&id, _)| id).collect()
}

#[test]
fn there_is_one_beside_the_workers_and_it_is_none_of_them() {
    let mut sim = Simulation::new(plan_with_admin(2));
    assert_eq!(admins(&sim), [3]);
    sim.ready(&[3]);
    assert!(!sim.done.contains(&Action::Serving), "it serves no clients");
    sim.all_ready();
    assert!(sim.logged(Level::Info, "Generation 1 serves with 2 workers"));
    assert_eq!(sim.supervisor.workers(), 2);
    sim.signal(Signal::SIGTTIN);
    sim.signal(Signal::SIGTTOU);
    assert_eq!(admins(&sim), [3]);
}

#[test]
fn one_that_dies_is_restarted_less_and_less_often() {
    let mut sim = Simulation::serving(plan_with_admin(1));
    sim.advance(seconds(5));
    sim.killed(2, Signal::SIGKILL);
    assert_eq!(admins(&sim), [3]);
    assert!(sim.logged(Level::Error, "Admin process (pid: 2) was killed by SIGKILL"));
    let mut attempts = 0;
    for _ in 0..600 {
        if let [id] = admins(&sim)[..] {
            attempts += 1;
            sim.exits(id, 3);
        }
        sim.advance(Duration::from_millis(100));
    }
    assert!((8..=11).contains(&attempts), "{attempts} in a minute");
    assert_eq!(sim.exit_code(), None);
    assert!(sim.alive.contains_key(&1), "the worker serves on");
}

#[test]
fn a_reload_replaces_it_when_the_new_one_is_ready() {
    let mut sim = Simulation::serving(plan_with_admin(1));
    sim.reload(plan_with_admin(1));
    assert_eq!(admins(&sim), [2, 4]);
    sim.ready(&[3]);
    assert_eq!(sim.sent(Signal::SIGTERM), [1], "the new one is not ready");
    sim.ready(&[4]);
    assert_eq!(sim.sent(Signal::SIGTERM), [2]);
}

#[test]
fn one_that_cannot_boot_neither_fails_nor_holds_up_a_reload() {
    let mut sim = Simulation::serving(plan_with_admin(1));
    sim.reload(plan_with_admin(1));
    sim.exits(4, 3);
    assert!(sim.logged(Level::Error, "Admin process (pid: 4) exited with code 3"));
    sim.ready(&[3]);
    sim.exits(1, 0);
    assert!(sim.logged(Level::Info, "Generation 2 serves with 1 workers"));
    assert!(sim.done.contains(&Action::Forget { generation: 1 }));
    assert_eq!(sim.sent(Signal::SIGTERM), [1], "the old one answers on");
    sim.advance(Duration::from_millis(150));
    let id = *admins(&sim).last().expect("another attempt");
    sim.ready(&[id]);
    assert_eq!(sim.sent(Signal::SIGTERM), [2]);
}

#[test]
fn a_reload_adds_and_removes_it() {
    let mut sim = Simulation::serving(plan(1, 0));
    sim.reload(plan_with_admin(1));
    sim.all_ready();
    sim.exits(1, 0);
    let [id] = admins(&sim)[..] else {
        panic!("one is there")
    };
    sim.sent(Signal::SIGTERM);
    sim.reload(plan(1, 0));
    let [worker] = sim.of_generation(3)[..] else {
        panic!("a worker alone")
    };
    assert!(sim.sent(Signal::SIGTERM).is_empty(), "not before it serves");
    sim.ready(&[worker]);
    assert!(sim.sent(Signal::SIGTERM).contains(&id));
}

#[test]
fn at_a_stop_it_ends_last() {
    let mut sim = Simulation::serving(plan_with_admin(2));
    sim.signal(Signal::SIGTERM);
    assert_eq!(sim.sent(Signal::SIGTERM), [1, 2]);
    sim.exits(1, 0);
    assert!(sim.sent(Signal::SIGTERM).is_empty());
    sim.exits(2, 0);
    assert_eq!(sim.sent(Signal::SIGTERM), [3]);
    assert_eq!(sim.exit_code(), None);
    sim.exits(3, 0);
    assert_eq!(sim.exit_code(), Some(0));
}

#[test]
fn one_that_dies_while_the_server_stops_is_not_restarted() {
    let mut sim = Simulation::serving(plan_with_admin(1));
    sim.signal(Signal::SIGTERM);
    sim.killed(2, Signal::SIGKILL);
    sim.advance(seconds(1));
    assert!(admins(&sim).is_empty());
    sim.exits(1, 0);
    assert_eq!(sim.exit_code(), Some(0));
}

/// As Ctrl-C and timeout(1) signal.
#[test]
fn a_signal_to_the_whole_group_is_no_reason_to_warn() {
    let mut sim = Simulation::serving(plan_with_admin(1));
    sim.signal(Signal::SIGTERM);
    sim.message(2, Message::Draining);
    sim.advance(seconds(1));
    assert!(!sim.logged(Level::Warn, "drains"));
    let mut sim = Simulation::serving(plan_with_admin(1));
    sim.signal(Signal::SIGTERM);
    sim.exits(2, 0);
    assert!(!sim.logged(Level::Warn, "ended"));
    let mut sim = Simulation::serving(plan_with_admin(1));
    sim.message(2, Message::Draining);
    sim.advance(seconds(1));
    assert!(sim.logged(
        Level::Warn,
        "Admin process (pid: 2) drains without being told"
    ));
}

#[test]
fn a_quick_end_is_for_it_too() {
    let mut sim = Simulation::serving(plan_with_admin(1));
    sim.signal(Signal::SIGQUIT);
    assert_eq!(sim.sent(Signal::SIGQUIT), [1, 2]);
}

#[test]
fn beside_another_master_it_ends_with_the_workers() {
    let mut sim = Simulation::serving(plan_with_admin(1));
    sim.signal(Signal::SIGUSR2);
    sim.handle(Event::NewMasterStarted { pid: 99 });
    sim.signal(Signal::SIGTERM);
    assert_eq!(sim.sent(Signal::SIGTERM), [1, 2]);
}

#[test]
fn sigwinch_leaves_it_unless_another_master_has_one() {
    let mut sim = Simulation::serving(plan_with_admin(1));
    sim.signal(Signal::SIGWINCH);
    assert_eq!(sim.sent(Signal::SIGTERM), [1]);
    sim.handle(Event::NewMasterStarted { pid: 99 });
    assert_eq!(sim.sent(Signal::SIGTERM), [2]);
}

#[test]
fn no_worker_that_boots_ends_it_too() {
    let mut sim = Simulation::new(plan_with_admin(1));
    sim.ready(&[2]);
    sim.exits(1, 3);
    assert_eq!(sim.sent(Signal::SIGQUIT), [2]);
    sim.exits(2, 0);
    assert_eq!(sim.exit_code(), Some(3));
}
