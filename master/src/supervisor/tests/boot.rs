//! Children come up, or do not.

use std::time::Duration;

use log::Level;
use nix::sys::signal::Signal;
use oxicorn_common::Message;

use super::scene::{Scene, plan};
use crate::supervisor::{Action, Kind};

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn the_first_generation_starts_whole_and_serves_with_the_first_ready_worker() {
    let mut scene = Scene::new(plan(3, 1));
    let kinds: Vec<Kind> = scene.alive.values().map(|child| child.0).collect();
    assert_eq!(kinds, [Kind::Web, Kind::Web, Kind::Web, Kind::Runner]);
    scene.ready(&[4]);
    assert!(
        !scene.done.contains(&Action::Serving),
        "a runner serves nobody"
    );
    scene.all_ready();
    let count = scene.done.iter().filter(|it| **it == Action::Serving);
    assert_eq!(count.count(), 1, "once a generation");
    assert!(scene.said(Level::Info, "Generation 1 serves with 3 workers"));
}

#[test]
fn a_worker_that_dies_is_replaced_at_once_in_its_slot() {
    let mut scene = Scene::serving(plan(2, 0));
    scene.pass(seconds(5));
    let slot = scene.alive[&1].1;
    scene.killed(1, Signal::SIGKILL);
    assert_eq!(scene.of(1), [2, 3]);
    assert_eq!(scene.alive[&3].1, slot);
    assert!(scene.said(Level::Error, "Worker (pid: 1) was killed by SIGKILL"));
    assert!(scene.said(Level::Error, "starting another"));
}

#[test]
fn killing_a_worker_as_soon_as_it_is_ready_delays_nothing() {
    let mut scene = Scene::serving(plan(1, 0));
    for id in 1..20 {
        scene.killed(id, Signal::SIGKILL);
        scene.ready(&[id + 1]);
    }
    assert_eq!(scene.of(1), [20]);
}

#[test]
fn no_worker_that_boots_ends_the_server() {
    let mut scene = Scene::new(plan(2, 1));
    scene.exits(1, 3);
    assert_eq!(scene.exit_code(), None, "the other may still come up");
    scene.killed(2, Signal::SIGSEGV);
    assert_eq!(scene.sent(Signal::SIGQUIT), [3], "the runner goes too");
    scene.exits(3, 0);
    assert_eq!(scene.exit_code(), Some(3));
    assert!(scene.said(Level::Error, "no worker could boot"));
}

#[test]
fn an_application_that_cannot_be_loaded_has_its_own_exit_code() {
    let mut scene = Scene::new(plan(2, 0));
    for id in [1, 2] {
        let text = "no such table".to_owned();
        scene.say(id, Message::Failed { exit_code: 4, text });
        scene.exits(id, 4);
    }
    assert_eq!(scene.exit_code(), Some(4));
    assert!(scene.said(Level::Error, "the application could not be loaded"));
}

#[test]
fn a_server_that_cannot_fork_at_all_ends() {
    let mut scene = Scene::serving(plan(1, 0));
    scene.forks_fail = true;
    scene.pass(seconds(2));
    scene.killed(1, Signal::SIGKILL);
    assert!(scene.said(
        Level::Error,
        "Cannot fork: no memory; trying again in 0.1 s"
    ));
    assert_eq!(scene.exit_code(), None, "it has served before");
    scene.forks_fail = false;
    scene.pass(Duration::from_millis(150));
    assert_eq!(scene.alive.len(), 1);
}

#[test]
fn a_worker_that_keeps_failing_is_tried_less_and_less_often() {
    let mut scene = Scene::new(plan(2, 0));
    scene.ready(&[1]);
    let mut attempts = 0;
    for _ in 0..600 {
        if let Some(&id) = scene.alive.keys().find(|&&id| id != 1) {
            attempts += 1;
            scene.exits(id, 3);
        }
        scene.pass(Duration::from_millis(100));
    }
    assert!((8..=11).contains(&attempts), "{attempts} in a minute");
    assert_eq!(scene.exit_code(), None);
}

#[test]
fn a_worker_that_crashes_as_soon_as_it_is_ready_waits_too() {
    let mut scene = Scene::serving(plan(1, 0));
    scene.killed(1, Signal::SIGSEGV);
    assert!(scene.alive.is_empty());
    scene.pass(Duration::from_millis(150));
    scene.all_ready();
    scene.killed(2, Signal::SIGSEGV);
    scene.pass(Duration::from_millis(150));
    assert!(scene.alive.is_empty(), "twice as long");
    scene.pass(Duration::from_millis(100));
    assert_eq!(scene.alive.len(), 1);
}

#[test]
fn a_runner_that_fails_leaves_the_workers_alone() {
    let mut scene = Scene::new(plan(1, 1));
    scene.exits(2, 4);
    assert_eq!(scene.exit_code(), None);
    scene.ready(&[1]);
    scene.pass(Duration::from_millis(150));
    assert_eq!(scene.of(1), [1, 3]);
}
