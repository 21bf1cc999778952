//! Late and silent children.

use std::time::Duration;

use log::Level;
use nix::sys::signal::Signal;
use oxicorn_common::Message;
use oxicorn_common::message::PROBE;

use super::scene::{Scene, plan};
use crate::supervisor::Plan;

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn a_silent_event_loop_is_aborted_killed_and_replaced() {
    let mut scene = Scene::serving(plan(2, 0));
    let slot = scene.alive[&1].1;
    let silence = |which: usize| seconds(if which == slot { 31 } else { 0 });
    scene.pass(seconds(40));
    scene.pass_with(seconds(2), silence);
    assert_eq!(scene.sent(PROBE), [1], "it is asked first");
    scene.pass_with(seconds(2), silence);
    assert_eq!(scene.sent(Signal::SIGABRT), [1]);
    assert_eq!(scene.of(1), [1, 2, 3], "its replacement has started");
    scene.pass(seconds(3));
    assert_eq!(scene.sent(Signal::SIGKILL), [1]);
    scene.killed(1, Signal::SIGKILL);
    assert!(scene.said(Level::Error, "was killed: its event loop made no progress"));
    assert_eq!(scene.of(1), [2, 3]);
}

#[test]
fn a_master_that_was_stopped_itself_blames_nobody() {
    let mut scene = Scene::serving(plan(1, 0));
    scene.pass(seconds(60));
    scene.now += seconds(100);
    scene.pass_with(seconds(5), |_| seconds(100));
    assert!(scene.sent(Signal::SIGABRT).is_empty());
    scene.pass_with(seconds(30), |_| seconds(130));
    assert_eq!(scene.sent(Signal::SIGABRT), [1], "it had its chance");
}

/// A sibling has written to its slot.
#[test]
fn one_that_answers_lives_whatever_its_heartbeat_says() {
    let mut scene = Scene::serving(plan(1, 0));
    for _ in 0..100 {
        scene.pass_with(seconds(1), |_| seconds(1000));
        if scene.sent(PROBE) == [1] {
            scene.say(1, Message::Alive);
        }
    }
    assert!(scene.sent(Signal::SIGABRT).is_empty());
    assert!(scene.said(Level::Warn, "though the scoreboard says"));
    // And is watched on: the last answer counts as a heartbeat.
    scene.pass_with(seconds(40), |_| seconds(1000));
    assert_eq!(scene.sent(Signal::SIGABRT), [1]);
}

#[test]
fn a_timeout_of_zero_watches_nobody() {
    let patient = Plan {
        timeout: Duration::ZERO,
        ..plan(1, 0)
    };
    let mut scene = Scene::new(patient.clone());
    scene.pass(seconds(1000));
    scene.all_ready();
    scene.pass_with(seconds(1000), |_| seconds(900));
    assert_eq!(scene.supervisor.deadline(scene.now), None);
    assert!(scene.sent(Signal::SIGABRT).is_empty());
}

#[test]
fn a_short_timeout_allows_for_a_machine_that_is_busy() {
    let hasty = Plan {
        timeout: seconds(1),
        ..plan(1, 0)
    };
    let mut scene = Scene::serving(hasty);
    scene.pass_with(seconds(60), |_| seconds(4));
    assert!(scene.sent(Signal::SIGABRT).is_empty());
}

#[test]
fn a_worker_that_never_gets_ready_is_a_boot_failure() {
    let mut scene = Scene::new(plan(2, 0));
    scene.ready(&[1]);
    scene.pass(seconds(29));
    assert!(scene.sent(Signal::SIGABRT).is_empty());
    scene.pass(seconds(2));
    assert_eq!(scene.sent(Signal::SIGABRT), [2]);
    scene.killed(2, Signal::SIGABRT);
    assert!(scene.said(
        Level::Error,
        "was killed: it did not get ready; trying again"
    ));
}

#[test]
fn one_that_another_has_told_to_end_is_replaced_while_it_drains() {
    let mut scene = Scene::serving(plan(2, 0));
    scene.pass(seconds(5));
    scene.say(1, Message::Draining);
    scene.pass(Duration::from_millis(1));
    assert!(scene.said(Level::Warn, "drains without being told to"));
    assert_eq!(scene.of(1), [1, 2, 3]);
    scene.all_ready();
    scene.exits(1, 0);
    scene.pass(seconds(60));
    assert_eq!(scene.of(1), [2, 3]);
    assert!(scene.sent(Signal::SIGTERM).is_empty());
}

#[test]
fn one_that_does_not_drain_after_its_replacement_is_killed() {
    let mut scene = Scene::serving(plan(1, 0));
    scene.ask_replacement(1);
    scene.ready(&[2]);
    scene.pass(seconds(11));
    assert_eq!(scene.sent(Signal::SIGKILL), [1]);
    scene.killed(1, Signal::SIGKILL);
    assert!(scene.said(Level::Error, "it did not drain in graceful_timeout"));
    assert_eq!(scene.of(1), [2]);
}
