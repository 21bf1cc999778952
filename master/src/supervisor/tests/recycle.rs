//! Replacing one child, ready first.

use std::time::Duration;

use log::Level;
use nix::sys::signal::Signal;

use super::scene::{Scene, plan};

#[test]
fn the_old_drains_when_the_new_is_ready() {
    let mut scene = Scene::serving(plan(2, 0));
    scene.ask_replacement(1);
    assert_eq!(scene.of(1), [1, 2, 3]);
    assert!(scene.said(Level::Info, "Replacing Worker (pid: 1): max_requests"));
    assert!(scene.sent(Signal::SIGTERM).is_empty());
    scene.ready(&[3]);
    assert_eq!(scene.sent(Signal::SIGTERM), [1]);
    scene.exits(1, 0);
    assert_eq!(scene.of(1), [2, 3]);
}

#[test]
fn one_at_a_time_over_the_whole_server() {
    let mut scene = Scene::serving(plan(4, 0));
    (1..=4).for_each(|id| scene.ask_replacement(id));
    for replaced in 1..=4 {
        assert_eq!(scene.alive.len(), 5);
        scene.ready(&[replaced + 4]);
        assert_eq!(scene.sent(Signal::SIGTERM), [replaced]);
        scene.exits(replaced, 0);
    }
    assert_eq!(scene.of(1), [5, 6, 7, 8]);
}

#[test]
fn a_replacement_that_cannot_boot_costs_nothing() {
    let mut scene = Scene::serving(plan(1, 0));
    scene.ask_replacement(1);
    scene.exits(2, 3);
    assert_eq!(scene.of(1), [1]);
    scene.pass(Duration::from_millis(150));
    assert_eq!(scene.of(1), [1, 3], "after a while it is tried again");
    scene.ready(&[3]);
    assert_eq!(scene.sent(Signal::SIGTERM), [1]);
}

#[test]
fn a_replacement_takes_the_place_of_one_that_died_meanwhile() {
    let mut scene = Scene::serving(plan(2, 0));
    scene.pass(Duration::from_secs(5));
    scene.ask_replacement(1);
    scene.killed(1, Signal::SIGKILL);
    assert_eq!(scene.of(1), [2, 3]);
    scene.ready(&[3]);
    assert!(scene.sent(Signal::SIGTERM).is_empty());
}

#[test]
fn fewer_workers_need_no_replacement() {
    let mut scene = Scene::serving(plan(2, 0));
    scene.ask_replacement(1);
    scene.signal(Signal::SIGTTOU);
    scene.all_ready();
    scene.exits(1, 0);
    let left = scene.sent(Signal::SIGTERM);
    assert_eq!(scene.alive.len() + 1 - left.len(), 1, "{left:?}");
}

#[test]
fn those_that_take_long_to_drain_do_not_pile_up() {
    let mut scene = Scene::serving(plan(2, 0));
    for _ in 0..50 {
        let asking: Vec<_> = scene.alive.keys().copied().collect();
        asking.into_iter().for_each(|id| scene.ask_replacement(id));
        scene.all_ready();
    }
    assert!(scene.alive.len() <= 2 * 2 + 2, "{}", scene.alive.len());
}
