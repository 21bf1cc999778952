//! What an operator wants of the whole server.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::scene::{Scene, plan};
use crate::supervisor::Action;

#[test]
fn one_more_and_one_less_but_never_none() {
    let mut scene = Scene::serving(plan(1, 0));
    scene.signal(Signal::SIGTTOU);
    assert!(scene.sent(Signal::SIGTERM).is_empty());
    scene.signal(Signal::SIGTTIN);
    assert_eq!(scene.of(1), [1, 2]);
    scene.signal(Signal::SIGTTOU);
    assert_eq!(
        scene.sent(Signal::SIGTERM),
        [2],
        "what is not ready yet goes first"
    );
    scene.signal(Signal::SIGTTIN);
    scene.all_ready();
    scene.signal(Signal::SIGTTOU);
    assert_eq!(scene.sent(Signal::SIGTERM), [1], "then the oldest");
}

#[test]
fn term_says_that_all_stops_drains_and_waits_for_all() {
    let mut scene = Scene::serving(plan(2, 1));
    scene.signal(Signal::SIGTERM);
    assert_eq!(scene.done[0], Action::MarkStopping);
    assert_eq!(scene.sent(Signal::SIGTERM), [1, 2, 3]);
    scene.signal(Signal::SIGTERM);
    scene.signal(Signal::SIGHUP);
    assert!(scene.sent(Signal::SIGTERM).is_empty(), "once is enough");
    assert!(!scene.done.contains(&Action::Reload));
    scene.exits(1, 0);
    scene.exits(2, 0);
    assert_eq!(scene.exit_code(), None);
    scene.exits(3, 0);
    assert_eq!(scene.exit_code(), Some(0));
}

#[test]
fn who_does_not_drain_in_time_is_killed() {
    let mut scene = Scene::serving(plan(2, 0));
    scene.signal(Signal::SIGTERM);
    scene.pass(Duration::from_millis(9_900));
    assert!(scene.sent(Signal::SIGKILL).is_empty());
    scene.exits(1, 0);
    scene.pass(Duration::from_secs(1));
    assert_eq!(scene.sent(Signal::SIGKILL), [2]);
    scene.killed(2, Signal::SIGKILL);
    assert_eq!(scene.exit_code(), Some(0));
}

#[test]
fn int_and_quit_end_at_once_also_what_drains() {
    for signal in [Signal::SIGINT, Signal::SIGQUIT] {
        let mut scene = Scene::serving(plan(2, 0));
        scene.signal(Signal::SIGTERM);
        scene.signal(signal);
        assert_eq!(scene.sent(signal), [1, 2]);
        scene.exits(1, 0);
        scene.pass(Duration::from_secs(3));
        assert_eq!(scene.sent(Signal::SIGKILL), [2]);
        scene.killed(2, Signal::SIGKILL);
        assert_eq!(scene.exit_code(), Some(0));
    }
}

#[test]
fn a_server_that_is_stopped_while_it_boots_ends_with_zero() {
    let mut scene = Scene::new(plan(2, 0));
    scene.signal(Signal::SIGTERM);
    scene.exits(1, 0);
    scene.killed(2, Signal::SIGTERM);
    assert_eq!(scene.exit_code(), Some(0));
}

#[test]
fn winch_drains_all_until_a_reload_or_one_more() {
    let mut scene = Scene::serving(plan(2, 1));
    scene.signal(Signal::SIGWINCH);
    let gone = Action::MarkDeserted(true);
    assert_eq!(scene.done[0], gone, "before any of them drains");
    assert_eq!(scene.sent(Signal::SIGTERM), [1, 2, 3]);
    (1..=3).for_each(|id| scene.exits(id, 0));
    scene.pass(Duration::from_secs(60));
    assert!(scene.alive.is_empty() && scene.exit_code().is_none());
    scene.signal(Signal::SIGTTIN);
    assert_eq!(scene.alive.len(), 2, "one worker, and the runner");
    let back = Action::MarkDeserted(false);
    assert!(scene.done.contains(&back));
    scene.all_ready();
    scene.signal(Signal::SIGWINCH);
    scene.done.clear();
    scene.reload(plan(2, 1));
    assert!(scene.done.contains(&back));
    assert_eq!(
        scene.of(2).len(),
        2,
        "the number that was set last, and the runner"
    );
    scene.all_ready();
    assert!(scene.done.contains(&Action::Forget { generation: 1 }));
}

#[test]
fn usr1_reopens_the_logs_everywhere() {
    let mut scene = Scene::serving(plan(2, 1));
    scene.signal(Signal::SIGUSR1);
    assert_eq!(scene.done[0], Action::ReopenLogs);
    assert_eq!(scene.sent(Signal::SIGUSR1), [1, 2, 3]);
}
