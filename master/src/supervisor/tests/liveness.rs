//! Late and silent children.

use std::time::Duration;

use log::Level;
use nix::sys::signal::Signal;
use oxicorn_common::Message;
use oxicorn_common::message::PROBE;

use super::simulation::{Simulation, plan};
use crate::supervisor::Plan;

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn a_silent_event_loop_is_aborted_killed_and_replaced() {
    let mut sim = Simulation::serving(plan(2, 0));
    let slot = sim.alive[&1].1;
    let silence = |which: usize| seconds(if which == slot { 31 } else { 0 });
    sim.advance(seconds(40));
    sim.advance_with(seconds(2), silence);
    assert_eq!(sim.sent(PROBE), [1], "it is asked first");
    sim.advance_with(seconds(2), silence);
    assert_eq!(sim.sent(Signal::SIGABRT), [1]);
    assert_eq!(
        sim.of_generation(1),
        [1, 2, 3],
        "its replacement has started"
    );
    sim.advance(seconds(3));
    assert_eq!(sim.sent(Signal::SIGKILL), [1]);
    sim.killed(1, Signal::SIGKILL);
    assert!(sim.logged(Level::Error, "was killed: its event loop made no progress"));
    assert_eq!(sim.of_generation(1), [2, 3]);
}

#[test]
fn a_master_that_was_stopped_itself_blames_nobody() {
    let mut sim = Simulation::serving(plan(1, 0));
    sim.advance(seconds(60));
    sim.now += seconds(100);
    sim.advance_with(seconds(5), |_| seconds(100));
    assert!(sim.sent(Signal::SIGABRT).is_empty());
    sim.advance_with(seconds(30), |_| seconds(130));
    assert_eq!(sim.sent(Signal::SIGABRT), [1], "it had its chance");
}

/// A sibling has written to its slot.
#[test]
fn one_that_answers_lives_whatever_its_heartbeat_says() {
    let mut sim = Simulation::serving(plan(1, 0));
    for _ in 0..100 {
        sim.advance_with(seconds(1), |_| seconds(1000));
        if sim.sent(PROBE) == [1] {
            sim.message(1, Message::Alive);
        }
    }
    assert!(sim.sent(Signal::SIGABRT).is_empty());
    assert!(sim.logged(Level::Warn, "though the scoreboard says"));
    // The child stays under watch: its last answer counts as a heartbeat.
    sim.advance_with(seconds(40), |_| seconds(1000));
    assert_eq!(sim.sent(Signal::SIGABRT), [1]);
}

#[test]
fn a_timeout_of_zero_watches_nobody() {
    let patient = Plan {
        timeout: Duration::ZERO,
        ..plan(1, 0)
    };
    let mut sim = Simulation::new(patient.clone());
    sim.advance(seconds(1000));
    sim.all_ready();
    sim.advance_with(seconds(1000), |_| seconds(900));
    assert_eq!(sim.supervisor.deadline(sim.now), None);
    assert!(sim.sent(Signal::SIGABRT).is_empty());
}

#[test]
fn a_short_timeout_allows_for_a_machine_that_is_busy() {
    let hasty = Plan {
        timeout: seconds(1),
        ..plan(1, 0)
    };
    let mut sim = Simulation::serving(hasty);
    sim.advance_with(seconds(60), |_| seconds(4));
    assert!(sim.sent(Signal::SIGABRT).is_empty());
}

#[test]
fn a_worker_that_never_gets_ready_is_a_boot_failure() {
    let mut sim = Simulation::new(plan(2, 0));
    sim.ready(&[1]);
    sim.advance(seconds(29));
    assert!(sim.sent(Signal::SIGABRT).is_empty());
    sim.advance(seconds(2));
    assert_eq!(sim.sent(Signal::SIGABRT), [2]);
    sim.killed(2, Signal::SIGABRT);
    assert!(sim.logged(
        Level::Error,
        "was killed: it did not get ready in time (boot_timeout); trying again"
    ));
}

#[test]
fn one_that_another_has_told_to_end_is_replaced_while_it_drains() {
    let mut sim = Simulation::serving(plan(2, 0));
    sim.advance(seconds(5));
    sim.message(1, Message::Draining);
    sim.advance(Duration::from_millis(1));
    assert!(sim.logged(Level::Warn, "drains without being told to"));
    assert_eq!(sim.of_generation(1), [1, 2, 3]);
    sim.all_ready();
    sim.exits(1, 0);
    sim.advance(seconds(60));
    assert_eq!(sim.of_generation(1), [2, 3]);
    assert!(sim.sent(Signal::SIGTERM).is_empty());
}

#[test]
fn one_that_does_not_drain_after_its_replacement_is_killed() {
    let mut sim = Simulation::serving(plan(1, 0));
    sim.ask_replacement(1);
    sim.ready(&[2]);
    sim.advance(seconds(11));
    assert_eq!(sim.sent(Signal::SIGKILL), [1]);
    sim.killed(1, Signal::SIGKILL);
    assert!(sim.logged(Level::Error, "it did not drain in graceful_timeout"));
    assert_eq!(sim.of_generation(1), [2]);
}
