//! A second master beside this one.

use log::Level;
use nix::sys::signal::Signal;

use super::simulation::{Simulation, plan};
use crate::supervisor::{Action, Death, Event, ExitKind};

const START: Action = Action::StartNewMaster { workers: 1 };

fn exited(code: i32) -> Death {
    Death {
        kind: ExitKind::Exited { code },
        out_of_memory: false,
    }
}

#[test]
fn there_is_one_new_master_at_a_time() {
    let mut sim = Simulation::serving(plan(1, 0));
    sim.signal(Signal::SIGUSR2);
    assert_eq!(sim.done, [START]);
    sim.handle(Event::NewMasterStarted { pid: 70 });
    assert!(!sim.supervisor.upgrade.is_alone());
    sim.done.clear();
    sim.signal(Signal::SIGUSR2);
    assert!(sim.logged(Level::Warn, "USR2 signal ignored: the new master (pid: 70)"));
    assert!(!sim.done.contains(&START));
    sim.handle(Event::NewMasterExited {
        death: exited(1),
        reason: Some("no such file".to_owned()),
    });
    assert!(sim.logged(
        Level::Error,
        "(pid: 70) exited with code 1; this one serves on: no such file"
    ));
    assert!(sim.supervisor.upgrade.is_alone());
    sim.signal(Signal::SIGUSR2);
    assert!(sim.done.contains(&START));
}

#[test]
fn a_master_that_cannot_be_started_leaves_this_one_alone() {
    let mut sim = Simulation::serving(plan(1, 0));
    sim.signal(Signal::SIGUSR2);
    let reason = "no memory".to_owned();
    sim.handle(Event::NewMasterFailed { reason });
    assert!(sim.logged(Level::Error, "Cannot start a new master: no memory"));
    assert!(sim.supervisor.upgrade.is_alone());
}

#[test]
fn a_new_master_is_not_upgraded_until_the_old_one_is_gone() {
    let mut sim = Simulation::new_master(plan(1, 0), 60);
    sim.signal(Signal::SIGUSR2);
    assert!(sim.logged(Level::Warn, "the old master (pid: 60) is still there"));
    assert!(!sim.done.contains(&START));
    assert_eq!(sim.supervisor.upgrade.name(), "Master.2");
    sim.handle(Event::OldMasterExited);
    assert!(sim.logged(Level::Info, "Master has been promoted."));
    assert!(sim.done.contains(&Action::Promote));
    assert_eq!(sim.supervisor.upgrade.name(), "Master");
    sim.signal(Signal::SIGUSR2);
    assert!(sim.done.contains(&START));
}

#[test]
fn a_server_that_stops_starts_no_other() {
    let mut sim = Simulation::serving(plan(1, 0));
    sim.signal(Signal::SIGTERM);
    sim.signal(Signal::SIGUSR2);
    assert!(!sim.done.contains(&START));
}

/// They stay open for the other master, as long as that one lives.
#[test]
fn a_server_that_stops_closes_its_listeners_when_the_other_master_is_gone() {
    let mut sim = Simulation::new_master(plan(1, 0), 60);
    sim.handle(Event::OldMasterExited);
    assert!(!sim.done.contains(&Action::CloseListeners), "it serves");
    let mut sim = Simulation::new_master(plan(1, 0), 60);
    sim.signal(Signal::SIGTERM);
    sim.done.clear();
    sim.handle(Event::OldMasterExited);
    assert!(sim.done.contains(&Action::CloseListeners));
}
