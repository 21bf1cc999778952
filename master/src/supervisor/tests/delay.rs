//! `drain_delay`: between SIGTERM and the drain.

use std::time::Duration;

use log::Level;
use nix::sys::signal::Signal;
use oxicorn_common::scoreboard::ServerState;

use super::simulation::{Simulation, plan};
use crate::supervisor::{Action, Death, Event, ExitKind, Plan};

const DELAY: Duration = Duration::from_secs(15);

fn delayed(workers: usize) -> Plan {
    Plan {
        drain_delay: DELAY,
        ..plan(workers, 0)
    }
}

/// A server that was told to end and waits.
fn draining(workers: usize) -> Simulation {
    let mut sim = Simulation::serving(delayed(workers));
    sim.signal(Signal::SIGTERM);
    assert_eq!(sim.done[0], Action::MarkDraining);
    assert_eq!(sim.supervisor.server_state(), ServerState::Draining);
    sim
}

#[test]
fn term_drains_when_the_delay_is_over() {
    let mut sim = draining(2);
    sim.advance(DELAY - Duration::from_millis(1));
    assert!(sim.sent(Signal::SIGTERM).is_empty());
    assert!(!sim.done.contains(&Action::MarkStopping { code: 0 }));
    assert_eq!(
        sim.supervisor.summary(),
        "Draining (drain_delay); generation 1: 2 of 2 workers ready"
    );
    sim.advance(Duration::from_millis(1));
    assert!(sim.done.contains(&Action::MarkStopping { code: 0 }));
    assert_eq!(sim.sent(Signal::SIGTERM), [1, 2]);
    assert_eq!(sim.supervisor.server_state(), ServerState::Stopping);
    // Only now: graceful_timeout is for the drain.
    sim.advance(Duration::from_secs(10));
    assert!(sim.sent(Signal::SIGKILL).is_empty());
    sim.exits(1, 0);
    assert_eq!(sim.supervisor.summary(), "Stopping; children left: 1");
    sim.exits(2, 0);
    assert_eq!(sim.exit_code(), Some(0));
}

#[test]
fn another_term_ends_the_delay_and_int_and_quit_do_not_wait() {
    let mut sim = draining(1);
    sim.signal(Signal::SIGTERM);
    assert_eq!(sim.sent(Signal::SIGTERM), [1]);
    for signal in [Signal::SIGINT, Signal::SIGQUIT] {
        let mut sim = draining(1);
        sim.signal(signal);
        assert_eq!(sim.sent(signal), [1]);
        let mut sim = Simulation::serving(delayed(1));
        sim.signal(signal);
        assert_eq!(sim.sent(signal), [1]);
        assert!(!sim.done.contains(&Action::MarkDraining));
    }
}

#[test]
fn children_that_die_or_ask_for_it_are_replaced() {
    let mut sim = draining(2);
    sim.killed(1, Signal::SIGKILL);
    assert_eq!(sim.of_generation(1), [2, 3]);
    sim.all_ready();
    sim.ask_replacement(2);
    sim.ready(&[4]);
    assert_eq!(sim.sent(Signal::SIGTERM), [2]);
    sim.exits(2, 0);
    sim.advance(DELAY);
    assert_eq!(sim.sent(Signal::SIGTERM), [3, 4]);
}

#[test]
fn nothing_new_begins() {
    let mut sim = draining(2);
    sim.done.clear();
    let signals = [
        ("HUP", Signal::SIGHUP),
        ("USR2", Signal::SIGUSR2),
        ("TTIN", Signal::SIGTTIN),
        ("TTOU", Signal::SIGTTOU),
        ("WINCH", Signal::SIGWINCH),
    ];
    for (name, signal) in signals {
        sim.signal(signal);
        let text = format!("{name} signal ignored: the server has been told to end");
        assert!(sim.logged(Level::Info, &text), "{:?}", sim.done);
    }
    assert_eq!(sim.done.len(), signals.len(), "{:?}", sim.done);
    sim.signal(Signal::SIGUSR1);
    assert!(sim.done.contains(&Action::ReopenLogs));
}

#[test]
fn a_reload_that_has_begun_goes_on_and_the_next_does_not_begin() {
    let mut sim = Simulation::serving(delayed(1));
    sim.reload(delayed(1));
    sim.signal(Signal::SIGHUP);
    sim.signal(Signal::SIGTERM);
    assert_eq!(sim.supervisor.server_state(), ServerState::Draining);
    let ended = Action::ReloadEnded {
        generation: 3,
        failure: Some("the server has been told to end".to_owned()),
    };
    assert!(
        sim.done.contains(&ended),
        "whoever waits for it learns at once"
    );
    sim.ready(&[2]);
    assert_eq!(sim.sent(Signal::SIGTERM), [1]);
    assert_eq!(sim.reloads(), 0);
    sim.exits(1, 0);
    sim.advance(DELAY);
    assert_eq!(sim.sent(Signal::SIGTERM), [2]);
}

#[test]
fn a_server_that_nobody_uses_or_another_master_serves_does_not_wait() {
    let mut booting = Simulation::new(delayed(1));
    booting.signal(Signal::SIGTERM);
    assert_eq!(booting.sent(Signal::SIGTERM), [1]);

    let mut old_master = Simulation::serving(delayed(1));
    old_master.handle(Event::NewMasterStarted { pid: 70 });
    old_master.handle(Event::NewMasterServes);
    old_master.signal(Signal::SIGTERM);
    assert_eq!(old_master.sent(Signal::SIGTERM), [1]);
    let state = old_master.supervisor.server_state();
    assert_eq!(state, ServerState::HandingOver);
    assert!(state.is_ready(), "the sockets are served");

    let mut new_master = Simulation::new_master(delayed(1), 60);
    new_master.signal(Signal::SIGTERM);
    assert_eq!(new_master.sent(Signal::SIGTERM), [1]);
    new_master.handle(Event::OldMasterExited);
    let state = new_master.supervisor.server_state();
    assert_eq!(state, ServerState::Stopping, "nobody serves them any more");
}

#[test]
fn a_new_master_that_does_not_serve_yet_ends_no_delay_and_one_that_serves_does() {
    let mut sim = Simulation::serving(delayed(1));
    sim.handle(Event::NewMasterStarted { pid: 70 });
    sim.signal(Signal::SIGTERM);
    assert_eq!(sim.supervisor.server_state(), ServerState::Draining);
    assert!(sim.sent(Signal::SIGTERM).is_empty());
    sim.handle(Event::NewMasterServes);
    assert_eq!(sim.sent(Signal::SIGTERM), [1]);
    assert_eq!(sim.supervisor.server_state(), ServerState::HandingOver);
    // The next one is another one.
    let mut sim = Simulation::serving(delayed(1));
    sim.handle(Event::NewMasterStarted { pid: 70 });
    sim.handle(Event::NewMasterServes);
    sim.handle(Event::NewMasterExited {
        death: Death {
            kind: ExitKind::Exited { code: 1 },
            out_of_memory: false,
        },
        reason: None,
    });
    sim.handle(Event::NewMasterStarted { pid: 71 });
    sim.signal(Signal::SIGTERM);
    assert_eq!(sim.supervisor.server_state(), ServerState::Draining);
}

#[test]
fn the_summary_follows_reloads() {
    let mut sim = Simulation::new(plan(2, 1));
    assert_eq!(sim.supervisor.summary(), "Generation 1 boots");
    sim.ready(&[1]);
    let summary = |sim: &Simulation| sim.supervisor.summary();
    assert_eq!(summary(&sim), "Generation 1: 1 of 2 workers ready");
    sim.all_ready();
    sim.reload(plan(2, 1));
    assert_eq!(
        summary(&sim),
        "Generation 1: 2 of 2 workers ready; generation 2 boots"
    );
    let new = sim.of_generation(2);
    new.into_iter().for_each(|id| sim.exits(id, 3));
    let failed =
        "Generation 1: 2 of 2 workers ready; the last reload failed: no worker could boot: ";
    assert!(summary(&sim).starts_with(failed), "{}", summary(&sim));
    sim.reload(plan(2, 1));
    sim.all_ready();
    assert_eq!(summary(&sim), "Generation 3: 2 of 2 workers ready");
}
