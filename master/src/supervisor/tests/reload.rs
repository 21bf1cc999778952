//! SIGHUP: the next generation, ready first.

use std::time::Duration;

use log::Level;
use nix::sys::signal::Signal;
use oxicorn_common::Message;

use super::simulation::{Simulation, plan};
use crate::supervisor::{Action, Event};

#[test]
fn each_ready_worker_sends_one_of_the_old_away() {
    let mut sim = Simulation::serving(plan(3, 1));
    sim.reload(plan(3, 1));
    assert_eq!(sim.of_generation(2), [5, 6, 7, 8]);
    assert!(sim.sent(Signal::SIGTERM).is_empty(), "nobody is ready");
    sim.ready(&[6]);
    assert_eq!(sim.sent(Signal::SIGTERM), [1]);
    sim.ready(&[5, 7]);
    assert_eq!(sim.sent(Signal::SIGTERM), [2, 3]);
    assert!(!sim.done.contains(&Action::Forget { generation: 1 }));
    sim.ready(&[8]);
    assert_eq!(sim.sent(Signal::SIGTERM), [4], "the runner");
    assert!(sim.done.contains(&Action::Forget { generation: 1 }));
    (1..=4).for_each(|id| sim.exits(id, 0));
    assert_eq!(sim.of_generation(2), [5, 6, 7, 8]);
    assert_eq!(sim.alive.len(), 4);
    assert!(!sim.logged(Level::Error, ""), "{:?}", sim.done);
}

#[test]
fn a_generation_that_cannot_boot_is_given_up_and_the_old_serves_on() {
    let mut sim = Simulation::serving(plan(2, 1));
    sim.reload(plan(2, 1));
    sim.exits(4, 4);
    sim.exits(5, 4);
    assert!(sim.logged(
        Level::Error,
        "Reload given up: the application could not be loaded"
    ));
    assert!(sim.done.contains(&Action::Forget { generation: 2 }));
    assert_eq!(sim.sent(Signal::SIGTERM), [6], "the runner of the new");
    sim.exits(6, 0);
    sim.advance(Duration::from_secs(60));
    assert_eq!(sim.of_generation(1), [1, 2, 3]);
    assert_eq!(sim.alive.len(), 3);
    // The next reload may succeed.
    sim.reload(plan(2, 1));
    sim.all_ready();
    assert_eq!(sim.sent(Signal::SIGTERM), [1, 2, 3]);
}

#[test]
fn the_old_are_kept_up_until_the_new_are_proven() {
    let mut sim = Simulation::serving(plan(2, 0));
    sim.advance(Duration::from_secs(5));
    sim.reload(plan(2, 0));
    sim.killed(1, Signal::SIGKILL);
    assert_eq!(sim.of_generation(1), [2, 5]);
    sim.ready(&[3]);
    assert_eq!(
        sim.sent(Signal::SIGTERM),
        [5],
        "what boots goes before what serves"
    );
}

#[test]
fn a_proven_generation_tries_again_for_those_that_fail() {
    let mut sim = Simulation::serving(plan(2, 0));
    sim.reload(plan(2, 0));
    sim.ready(&[3]);
    sim.exits(4, 3);
    assert_eq!(sim.sent(Signal::SIGTERM), [1]);
    sim.advance(Duration::from_millis(150));
    assert_eq!(sim.of_generation(2), [3, 5]);
    sim.ready(&[5]);
    assert_eq!(sim.sent(Signal::SIGTERM), [2]);
}

#[test]
fn a_reload_during_an_unproven_one_follows_it() {
    let mut sim = Simulation::serving(plan(1, 0));
    sim.reload(plan(1, 0));
    sim.signal(Signal::SIGHUP);
    sim.signal(Signal::SIGHUP);
    assert_eq!(sim.reloads(), 0);
    sim.ready(&[2]);
    assert_eq!(sim.reloads(), 1);
    sim.handle(crate::supervisor::Event::Reloaded(plan(1, 0)));
    sim.ready(&[3]);
    assert!(sim.done.contains(&Action::Forget { generation: 2 }));
    assert_eq!(sim.sent(Signal::SIGTERM), [1, 2]);
}

#[test]
fn a_reload_overtakes_one_that_is_proven_but_not_complete() {
    let mut sim = Simulation::serving(plan(2, 0));
    sim.reload(plan(2, 0));
    sim.ready(&[3]);
    assert_eq!(sim.sent(Signal::SIGTERM), [1]);
    sim.reload(plan(2, 0));
    sim.ready(&[5]);
    assert_eq!(
        sim.sent(Signal::SIGTERM),
        [4, 2],
        "what is left of all before"
    );
    sim.ready(&[6]);
    assert_eq!(sim.sent(Signal::SIGTERM), [3]);
    assert!(sim.done.contains(&Action::Forget { generation: 2 }));
}

/// SIGHUP after SIGWINCH asks for workers. If the new ones cannot boot, those of before are better than none.
#[test]
fn a_reload_that_fails_after_winch_brings_the_workers_of_before_back() {
    let mut sim = Simulation::serving(plan(2, 0));
    sim.signal(Signal::SIGWINCH);
    sim.exits(1, 0);
    sim.exits(2, 0);
    sim.reload(plan(2, 0));
    let new = sim.of_generation(2);
    new.into_iter().for_each(|id| sim.exits(id, 4));
    assert!(sim.logged(
        Level::Error,
        "; the generation of before starts its workers again"
    ));
    let again = sim.of_generation(1);
    assert_eq!(again.len(), 2);
    // They may fail as well, and are tried again.
    again.into_iter().for_each(|id| sim.exits(id, 4));
    sim.advance(Duration::from_secs(1));
    sim.all_ready();
    assert_eq!(sim.of_generation(1).len(), 2);
    assert_eq!(sim.supervisor.workers(), 2);
    // SIGWINCH while the new generation boots is the last word.
    let mut sim = Simulation::serving(plan(1, 0));
    sim.reload(plan(1, 0));
    sim.signal(Signal::SIGWINCH);
    sim.exits(2, 4);
    sim.exits(1, 0);
    sim.advance(Duration::from_secs(60));
    assert!(sim.alive.is_empty());
}

#[test]
fn bad_settings_change_nothing() {
    let mut sim = Simulation::serving(plan(1, 0));
    sim.signal(Signal::SIGHUP);
    sim.done.clear();
    let reason = "no such setting".to_owned();
    sim.handle(Event::ReloadFailed { reason });
    assert!(sim.logged(Level::Error, "everything stays as it is: no such setting"));
    assert_eq!(sim.outcomes().len(), 1);
    assert_eq!(sim.done[1..], [Action::Serving], "to whoever waits for it");
    sim.signal(Signal::SIGHUP);
    assert_eq!(sim.reloads(), 1, "the next may be good");
}

#[test]
fn the_number_set_by_signals_survives_until_the_setting_changes() {
    let mut sim = Simulation::serving(plan(2, 0));
    sim.signal(Signal::SIGTTIN);
    assert_eq!(sim.alive.len(), 3);
    sim.all_ready();
    sim.reload(plan(2, 0));
    assert_eq!(sim.of_generation(2).len(), 3);
    sim.all_ready();
    sim.reload(plan(5, 0));
    assert_eq!(sim.of_generation(3).len(), 5);
}

#[test]
fn more_workers_are_of_the_new_generation_only() {
    let mut sim = Simulation::serving(plan(1, 1));
    sim.reload(plan(3, 2));
    assert_eq!(
        (sim.of_generation(1).len(), sim.of_generation(2).len()),
        (2, 5)
    );
    assert_eq!(sim.supervisor.workers_wanted(), 3);
    sim.all_ready();
    assert_eq!(sim.sent(Signal::SIGTERM), [1, 2]);
}

#[test]
fn a_generation_that_is_given_up_changes_no_number() {
    let mut sim = Simulation::serving(plan(2, 0));
    sim.reload(plan(1, 0));
    let new = sim.of_generation(2);
    new.into_iter().for_each(|id| sim.exits(id, 3));
    sim.advance(Duration::from_secs(60));
    assert_eq!(sim.of_generation(1).len(), 2);
    assert_eq!(sim.supervisor.workers_wanted(), 2);
}

#[test]
fn fewer_workers_after_a_reload_are_fewer() {
    let mut sim = Simulation::serving(plan(4, 2));
    sim.reload(plan(1, 0));
    let new = sim.of_generation(2);
    assert_eq!(new.len(), 1);
    sim.ready(&new);
    assert_eq!(sim.sent(Signal::SIGTERM).len(), 6);
    assert!(sim.done.contains(&Action::Forget { generation: 1 }));
}

#[test]
fn changed_code_is_reloaded_once_whoever_reports_it() {
    let mut sim = Simulation::serving(plan(3, 0));
    let changed = |stamp| Message::Changed {
        file: "app.py".to_owned(),
        stamp,
    };
    sim.message(1, changed(70));
    assert_eq!(sim.reloads(), 1);
    sim.message(2, changed(70));
    sim.handle(Event::Reloaded(plan(3, 0)));
    sim.message(3, changed(69));
    sim.all_ready();
    assert_eq!(sim.reloads(), 1, "all of the same change");
    // The next change, seen by both generations while the old one drains.
    sim.message(4, changed(80));
    sim.message(1, changed(80));
    assert_eq!(sim.reloads(), 2);
    // It does not load; the next change may.
    sim.handle(Event::Reloaded(plan(3, 0)));
    (7..=9).for_each(|id| sim.exits(id, 3));
    sim.message(5, changed(90));
    assert_eq!(sim.reloads(), 3);
}
