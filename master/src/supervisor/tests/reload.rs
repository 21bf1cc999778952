//! SIGHUP: the next generation, ready first.

use std::time::Duration;

use log::Level;
use nix::sys::signal::Signal;
use oxicorn_common::Message;

use super::scene::{Scene, plan};
use crate::supervisor::{Action, Event};

#[test]
fn each_ready_worker_sends_one_of_the_old_away() {
    let mut scene = Scene::serving(plan(3, 1));
    scene.reload(plan(3, 1));
    assert_eq!(scene.of(2), [5, 6, 7, 8]);
    assert!(scene.sent(Signal::SIGTERM).is_empty(), "nobody is ready");
    scene.ready(&[6]);
    assert_eq!(scene.sent(Signal::SIGTERM), [1]);
    scene.ready(&[5, 7]);
    assert_eq!(scene.sent(Signal::SIGTERM), [2, 3]);
    assert!(!scene.done.contains(&Action::Forget { generation: 1 }));
    scene.ready(&[8]);
    assert_eq!(scene.sent(Signal::SIGTERM), [4], "the runner");
    assert!(scene.done.contains(&Action::Forget { generation: 1 }));
    (1..=4).for_each(|id| scene.exits(id, 0));
    assert_eq!(scene.of(2), [5, 6, 7, 8]);
    assert_eq!(scene.alive.len(), 4);
    assert!(!scene.said(Level::Error, ""), "{:?}", scene.done);
}

#[test]
fn a_generation_that_cannot_boot_is_given_up_and_the_old_serves_on() {
    let mut scene = Scene::serving(plan(2, 1));
    scene.reload(plan(2, 1));
    scene.exits(4, 4);
    scene.exits(5, 4);
    assert!(scene.said(
        Level::Error,
        "Reload given up: the application could not be loaded"
    ));
    assert!(scene.done.contains(&Action::Forget { generation: 2 }));
    assert_eq!(scene.sent(Signal::SIGTERM), [6], "the runner of the new");
    scene.exits(6, 0);
    scene.pass(Duration::from_secs(60));
    assert_eq!(scene.of(1), [1, 2, 3]);
    assert_eq!(scene.alive.len(), 3);
    // And the next reload may succeed.
    scene.reload(plan(2, 1));
    scene.all_ready();
    assert_eq!(scene.sent(Signal::SIGTERM), [1, 2, 3]);
}

#[test]
fn the_old_are_kept_up_until_the_new_are_proven() {
    let mut scene = Scene::serving(plan(2, 0));
    scene.pass(Duration::from_secs(5));
    scene.reload(plan(2, 0));
    scene.killed(1, Signal::SIGKILL);
    assert_eq!(scene.of(1), [2, 5]);
    scene.ready(&[3]);
    assert_eq!(
        scene.sent(Signal::SIGTERM),
        [5],
        "what boots goes before what serves"
    );
}

#[test]
fn a_proven_generation_tries_again_for_those_that_fail() {
    let mut scene = Scene::serving(plan(2, 0));
    scene.reload(plan(2, 0));
    scene.ready(&[3]);
    scene.exits(4, 3);
    assert_eq!(scene.sent(Signal::SIGTERM), [1]);
    scene.pass(Duration::from_millis(150));
    assert_eq!(scene.of(2), [3, 5]);
    scene.ready(&[5]);
    assert_eq!(scene.sent(Signal::SIGTERM), [2]);
}

#[test]
fn a_reload_during_an_unproven_one_follows_it() {
    let mut scene = Scene::serving(plan(1, 0));
    scene.reload(plan(1, 0));
    scene.signal(Signal::SIGHUP);
    scene.signal(Signal::SIGHUP);
    assert!(!scene.done.contains(&Action::Reload));
    scene.ready(&[2]);
    let reloads = scene.done.iter().filter(|it| **it == Action::Reload);
    assert_eq!(reloads.count(), 1);
    scene.handle(crate::supervisor::Event::Reloaded(plan(1, 0)));
    scene.ready(&[3]);
    assert!(scene.done.contains(&Action::Forget { generation: 2 }));
    assert_eq!(scene.sent(Signal::SIGTERM), [1, 2]);
}

#[test]
fn a_reload_overtakes_one_that_is_proven_but_not_complete() {
    let mut scene = Scene::serving(plan(2, 0));
    scene.reload(plan(2, 0));
    scene.ready(&[3]);
    assert_eq!(scene.sent(Signal::SIGTERM), [1]);
    scene.reload(plan(2, 0));
    scene.ready(&[5]);
    assert_eq!(
        scene.sent(Signal::SIGTERM),
        [4, 2],
        "what is left of all before"
    );
    scene.ready(&[6]);
    assert_eq!(scene.sent(Signal::SIGTERM), [3]);
    assert!(scene.done.contains(&Action::Forget { generation: 2 }));
}

#[test]
fn bad_settings_change_nothing() {
    let mut scene = Scene::serving(plan(1, 0));
    scene.signal(Signal::SIGHUP);
    scene.done.clear();
    assert!(scene.supervisor.reload_failed(scene.now).is_empty());
    scene.signal(Signal::SIGHUP);
    assert!(scene.done.contains(&Action::Reload), "the next may be good");
}

#[test]
fn the_number_set_by_signals_survives_until_the_setting_changes() {
    let mut scene = Scene::serving(plan(2, 0));
    scene.signal(Signal::SIGTTIN);
    assert_eq!(scene.alive.len(), 3);
    scene.all_ready();
    scene.reload(plan(2, 0));
    assert_eq!(scene.of(2).len(), 3);
    scene.all_ready();
    scene.reload(plan(5, 0));
    assert_eq!(scene.of(3).len(), 5);
}

#[test]
fn more_workers_are_of_the_new_generation_only() {
    let mut scene = Scene::serving(plan(1, 1));
    scene.reload(plan(3, 2));
    assert_eq!((scene.of(1).len(), scene.of(2).len()), (2, 5));
    assert_eq!(scene.supervisor.workers_wanted(), 3);
    scene.all_ready();
    assert_eq!(scene.sent(Signal::SIGTERM), [1, 2]);
}

#[test]
fn a_generation_that_is_given_up_changes_no_number() {
    let mut scene = Scene::serving(plan(2, 0));
    scene.reload(plan(1, 0));
    let new = scene.of(2);
    new.into_iter().for_each(|id| scene.exits(id, 3));
    scene.pass(Duration::from_secs(60));
    assert_eq!(scene.of(1).len(), 2);
    assert_eq!(scene.supervisor.workers_wanted(), 2);
}

#[test]
fn fewer_workers_after_a_reload_are_fewer() {
    let mut scene = Scene::serving(plan(4, 2));
    scene.reload(plan(1, 0));
    let new = scene.of(2);
    assert_eq!(new.len(), 1);
    scene.ready(&new);
    assert_eq!(scene.sent(Signal::SIGTERM).len(), 6);
    assert!(scene.done.contains(&Action::Forget { generation: 1 }));
}

#[test]
fn changed_code_is_reloaded_once_whoever_reports_it() {
    let mut scene = Scene::serving(plan(3, 0));
    let reloads = |scene: &Scene| {
        let reloads = scene.done.iter().filter(|it| **it == Action::Reload);
        reloads.count()
    };
    let changed = |stamp| Message::Changed {
        file: "app.py".to_owned(),
        stamp,
    };
    scene.say(1, changed(70));
    assert_eq!(reloads(&scene), 1);
    scene.say(2, changed(70));
    scene.handle(Event::Reloaded(plan(3, 0)));
    scene.say(3, changed(69));
    scene.all_ready();
    assert_eq!(reloads(&scene), 1, "all of the same change");
    // The next change, seen by both generations while the old one drains.
    scene.say(4, changed(80));
    scene.say(1, changed(80));
    assert_eq!(reloads(&scene), 2);
    // It does not load; the next change may.
    scene.handle(Event::Reloaded(plan(3, 0)));
    (7..=9).for_each(|id| scene.exits(id, 3));
    scene.say(5, changed(90));
    assert_eq!(reloads(&scene), 3);
}
