//! Another master beside this one.

use log::Level;
use nix::sys::signal::Signal;

use super::scene::{Scene, plan};
use crate::supervisor::{Action, Death, End, Event};

fn exited(code: i32) -> Death {
    Death {
        end: End::Exited { code },
        out_of_memory: false,
    }
}

#[test]
fn there_is_one_successor_at_a_time() {
    let mut scene = Scene::serving(plan(1, 0));
    scene.signal(Signal::SIGUSR2);
    assert_eq!(scene.done, [Action::StartSuccessor]);
    scene.handle(Event::SuccessorStarted { pid: 70 });
    assert!(!scene.supervisor.succession().is_alone());
    scene.done.clear();
    scene.signal(Signal::SIGUSR2);
    assert!(scene.said(Level::Warn, "USR2 signal ignored: the new master (pid: 70)"));
    assert!(!scene.done.contains(&Action::StartSuccessor));
    scene.handle(Event::SuccessorEnded {
        death: exited(1),
        reason: Some("no such file".to_owned()),
    });
    assert!(scene.said(
        Level::Error,
        "(pid: 70) exited with code 1; this one serves on: no such file"
    ));
    assert!(scene.supervisor.succession().is_alone());
    scene.signal(Signal::SIGUSR2);
    assert!(scene.done.contains(&Action::StartSuccessor));
}

#[test]
fn a_master_that_cannot_be_started_leaves_this_one_alone() {
    let mut scene = Scene::serving(plan(1, 0));
    scene.signal(Signal::SIGUSR2);
    let reason = "no memory".to_owned();
    scene.handle(Event::SuccessorFailed { reason });
    assert!(scene.said(Level::Error, "Cannot start a new master: no memory"));
    assert!(scene.supervisor.succession().is_alone());
}

#[test]
fn a_successor_has_none_itself_until_its_predecessor_is_gone() {
    let mut scene = Scene::succeeding(plan(1, 0), 60);
    scene.signal(Signal::SIGUSR2);
    assert!(scene.said(Level::Warn, "the old master (pid: 60) is still there"));
    assert!(!scene.done.contains(&Action::StartSuccessor));
    assert_eq!(scene.supervisor.succession().name(), "Master.2");
    scene.handle(Event::PredecessorEnded);
    assert!(scene.said(Level::Info, "Master has been promoted."));
    assert!(scene.done.contains(&Action::Promote));
    assert_eq!(scene.supervisor.succession().name(), "Master");
    scene.signal(Signal::SIGUSR2);
    assert!(scene.done.contains(&Action::StartSuccessor));
}

#[test]
fn a_server_that_stops_starts_no_other() {
    let mut scene = Scene::serving(plan(1, 0));
    scene.signal(Signal::SIGTERM);
    scene.signal(Signal::SIGUSR2);
    assert!(!scene.done.contains(&Action::StartSuccessor));
}
