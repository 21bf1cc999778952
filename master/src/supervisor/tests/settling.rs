//! The outcome of a reload: once per generation, and never too early.

use std::time::Duration;

use oxicorn_common::{Message, exit_code};

use super::simulation::{Simulation, plan};
use crate::supervisor::Event;

const SECOND: Duration = Duration::from_secs(1);

fn expect_failure(sim: &mut Simulation, generation: u32, text: &str) {
    let outcomes = sim.outcomes();
    let [(failed, Some(reason))] = &outcomes[..] else {
        panic!("{outcomes:?}");
    };
    assert_eq!(*failed, generation);
    assert!(reason.contains(text), "{reason}");
}

#[test]
fn a_reload_succeeds_when_all_workers_have_been_ready_for_a_second() {
    let mut sim = Simulation::serving(plan(2, 0));
    sim.reload(plan(2, 0));
    sim.ready(&[3]);
    sim.advance(5 * SECOND);
    assert_eq!(sim.outcomes(), [], "one of the old still serves");
    sim.ready(&[4]);
    sim.advance(SECOND / 2);
    assert_eq!(sim.outcomes(), [], "they may end at once");
    sim.advance(SECOND);
    assert_eq!(sim.outcomes(), [(2, None)]);
    sim.advance(60 * SECOND);
    assert_eq!(sim.outcomes(), [], "once");
}

#[test]
fn the_start_is_no_reload() {
    let mut sim = Simulation::serving(plan(2, 0));
    sim.advance(5 * SECOND);
    assert_eq!(sim.outcomes(), []);
}

#[test]
fn the_reason_is_that_of_the_settings_or_of_the_worker() {
    let mut sim = Simulation::serving(plan(2, 0));
    sim.signal(nix::sys::signal::Signal::SIGHUP);
    let reason = "no such setting".to_owned();
    sim.handle(Event::ReloadFailed { reason });
    expect_failure(&mut sim, 2, "no such setting");

    sim.reload(plan(2, 0));
    let text = "SyntaxError in app.py".to_owned();
    let exit_code = exit_code::LOAD_ERROR;
    sim.message(3, Message::Failed { exit_code, text });
    sim.exits(3, exit_code);
    assert_eq!(sim.outcomes(), [], "another may boot");
    sim.exits(4, exit_code);
    expect_failure(&mut sim, 2, "could not be loaded");

    sim.reload(plan(1, 0));
    let id = sim.of_generation(3)[0];
    sim.exits(id, 7);
    expect_failure(&mut sim, 3, "exited with code 7 before it was ready");
    sim.advance(60 * SECOND);
    assert_eq!(sim.outcomes(), []);
}

#[test]
fn workers_that_end_as_soon_as_they_are_ready_are_a_failure() {
    let mut sim = Simulation::serving(plan(1, 0));
    sim.reload(plan(1, 0));
    let mut outcomes = Vec::new();
    for _ in 0..10 {
        let new = sim.of_generation(2);
        sim.ready(&new);
        sim.advance(SECOND / 4);
        new.into_iter().for_each(|id| sim.exits(id, 3));
        sim.advance(30 * SECOND);
        outcomes.extend(sim.outcomes());
    }
    let [(2, Some(reason))] = &outcomes[..] else {
        panic!("{outcomes:?}");
    };
    assert!(
        reason.contains("exited with code 3 right after it was ready"),
        "{reason}"
    );
}

#[test]
fn a_worker_that_boots_at_the_second_attempt_is_no_failure() {
    let mut sim = Simulation::serving(plan(2, 0));
    sim.reload(plan(2, 0));
    sim.ready(&[3]);
    sim.exits(4, 3);
    sim.advance(5 * SECOND);
    assert_eq!(sim.outcomes(), []);
    sim.all_ready();
    sim.advance(2 * SECOND);
    assert_eq!(sim.outcomes(), [(2, None)]);
}

#[test]
fn an_overtaken_generation_is_reported_when_the_next_one_fails() {
    let mut sim = Simulation::serving(plan(2, 0));
    sim.reload(plan(2, 0));
    sim.ready(&[3]);
    sim.reload(plan(2, 0));
    sim.exits(5, 3);
    sim.exits(6, 3);
    expect_failure(&mut sim, 3, "before it was ready");
    sim.ready(&[4]);
    sim.advance(2 * SECOND);
    assert_eq!(sim.outcomes(), [(2, None)]);
    assert!(sim.overtaken().is_empty());
    let summary = sim.supervisor.summary();
    assert!(
        summary.contains("the last reload failed: no worker could boot"),
        "{summary}"
    );
}

#[test]
fn a_generation_that_the_next_one_overtakes_is_counted_and_reported_by_that_one() {
    let mut sim = Simulation::serving(plan(2, 0));
    sim.reload(plan(2, 0));
    sim.ready(&[3]);
    sim.reload(plan(2, 0));
    assert!(sim.overtaken().is_empty(), "the next one may fail");
    sim.ready(&[5]);
    assert_eq!(sim.overtaken(), [2]);
    sim.all_ready();
    sim.advance(2 * SECOND);
    assert_eq!(sim.outcomes(), [(3, None)]);
    sim.reload(plan(2, 0));
    sim.all_ready();
    sim.advance(2 * SECOND);
    assert_eq!(sim.outcomes(), [(4, None)]);
    assert!(sim.overtaken().is_empty(), "it has been reported");
}

#[test]
fn replacements_under_load_do_not_put_off_the_outcome() {
    let mut sim = Simulation::serving(plan(1, 0));
    sim.reload(plan(1, 0));
    sim.all_ready();
    for _ in 0..5 {
        let serving = sim.of_generation(2)[0];
        sim.ask_replacement(serving);
        let next = *sim.of_generation(2).last().expect("a replacement");
        sim.ready(&[next]);
        sim.exits(serving, 0);
        sim.advance(SECOND / 2);
    }
    assert_eq!(sim.outcomes(), [(2, None)]);
}

#[test]
fn runners_that_do_not_boot_are_a_failure_too() {
    let mut sim = Simulation::serving(plan(2, 1));
    sim.reload(plan(2, 1));
    let new = sim.of_generation(2);
    sim.ready(&new[..2]);
    let mut outcomes = Vec::new();
    for _ in 0..5 {
        let runner = *sim.of_generation(2).last().expect("a runner");
        sim.exits(runner, 1);
        sim.advance(30 * SECOND);
        outcomes.extend(sim.outcomes());
    }
    let [(2, Some(reason))] = &outcomes[..] else {
        panic!("{outcomes:?}");
    };
    assert!(reason.contains("runners keep failing"), "{reason}");
}
