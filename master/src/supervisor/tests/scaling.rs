//! Automatic scaling moves the number of workers between the floor, which operators move, and the most.

use log::Level;
use nix::sys::signal::Signal;
use oxicorn_common::scoreboard::ScalingCause;
use oxicorn_common::settings::WorkerBounds;

use super::simulation::{Simulation, plan};
use crate::supervisor::{Action, ChildKind, Event, Plan};

/// Between 2 and 6 workers, from 3 on.
fn elastic() -> Plan {
    Plan {
        scaling: Some(WorkerBounds { least: 2, most: 6 }),
        ..plan(3, 0)
    }
}

fn scale(sim: &mut Simulation, to: usize, cause: ScalingCause) {
    let figures = "as measured".to_owned();
    sim.handle(Event::Scaled { to, cause, figures });
}

fn wanted(sim: &Simulation) -> (usize, usize) {
    let target = sim.supervisor.target(ChildKind::Web);
    (target, sim.supervisor.floor())
}

#[test]
fn a_decision_starts_and_ends_workers_within_the_bounds() {
    let mut sim = Simulation::serving(elastic());
    scale(&mut sim, 5, ScalingCause::Queue);
    assert_eq!(sim.alive.len(), 5);
    let text = "Scaling up from 3 to 5 workers: as measured";
    assert!(sim.logged(Level::Info, text), "{:?}", sim.done);
    let counted = Action::CountScaling {
        cause: ScalingCause::Queue,
        from: 3,
        to: 5,
    };
    assert!(sim.done.contains(&counted));
    assert!(
        sim.done
            .contains(&Action::WorkersChanged { new: 5, old: 3 })
    );
    assert_eq!(sim.supervisor.scale().map(|it| it.missing), Some(2));
    sim.all_ready();
    scale(&mut sim, 60, ScalingCause::Busy);
    assert_eq!(wanted(&sim), (6, 2));
    sim.all_ready();
    scale(&mut sim, 0, ScalingCause::Idle);
    assert_eq!(wanted(&sim), (2, 2));
    assert_eq!(sim.sent(Signal::SIGTERM), [1, 2, 3, 4]);
}

#[test]
fn a_refusal_is_logged_and_counted_and_changes_nothing() {
    let mut sim = Simulation::serving(elastic());
    scale(&mut sim, 3, ScalingCause::Memory);
    assert!(sim.logged(Level::Warn, "Workers stay at 3: as measured"));
    let is_counted = |it: &Action| matches!(it, Action::CountScaling { from: 3, to: 3, .. });
    assert!(sim.done.iter().any(is_counted) && wanted(&sim) == (3, 2));
}

#[test]
fn operators_move_the_floor_and_it_pushes_the_number() {
    let mut sim = Simulation::serving(elastic());
    sim.signal(Signal::SIGTTIN);
    assert_eq!(wanted(&sim), (3, 3), "3 were there");
    sim.signal(Signal::SIGTTIN);
    assert_eq!(wanted(&sim), (4, 4));
    sim.signal(Signal::SIGTTOU);
    assert_eq!(wanted(&sim), (3, 3), "a number at its floor falls with it");
    scale(&mut sim, 5, ScalingCause::Queue);
    sim.signal(Signal::SIGTTOU);
    assert_eq!(wanted(&sim), (5, 2), "what scaling has added stays");
    (0..9).for_each(|_| sim.signal(Signal::SIGTTIN));
    assert_eq!(wanted(&sim), (6, 6));
    assert!(sim.logged(Level::Warn, "6 workers are the most (max_workers)"));
    (0..9).for_each(|_| sim.signal(Signal::SIGTTOU));
    assert_eq!(wanted(&sim), (1, 1));
}

#[test]
fn the_number_survives_a_reload_as_long_as_its_settings_do() {
    let mut sim = Simulation::serving(elastic());
    sim.signal(Signal::SIGTTOU);
    scale(&mut sim, 5, ScalingCause::Queue);
    sim.reload(elastic());
    assert_eq!(sim.of_generation(2).len(), 5);
    assert_eq!(sim.supervisor.scale(), None, "not while it reloads");
    scale(&mut sim, 6, ScalingCause::Queue);
    sim.all_ready();
    assert_eq!(wanted(&sim), (5, 1));
    assert!(sim.supervisor.scale().is_some());
    let smaller = Plan {
        scaling: Some(WorkerBounds { least: 2, most: 4 }),
        ..elastic()
    };
    sim.reload(smaller);
    sim.all_ready();
    assert_eq!(wanted(&sim), (4, 2));
    sim.reload(plan(3, 0));
    sim.all_ready();
    assert_eq!(wanted(&sim), (3, 3), "the number is fixed");
    assert_eq!(sim.supervisor.scale(), None);
    sim.reload(elastic());
    sim.all_ready();
    assert_eq!(wanted(&sim), (3, 2));
}

#[test]
fn there_is_no_scaling_while_the_server_has_no_workers_or_ends() {
    let mut sim = Simulation::new(elastic());
    assert_eq!(sim.supervisor.scale(), None, "it boots");
    sim.all_ready();
    sim.signal(Signal::SIGWINCH);
    assert_eq!(sim.supervisor.scale(), None);
    scale(&mut sim, 6, ScalingCause::Queue);
    (1..=3).for_each(|id| sim.exits(id, 0));
    assert!(sim.alive.is_empty());
    sim.signal(Signal::SIGTTIN);
    assert_eq!(wanted(&sim), (1, 1), "as many as were asked for");
    sim.all_ready();
    scale(&mut sim, 4, ScalingCause::Queue);
    assert_eq!(wanted(&sim), (4, 1));
    sim.all_ready();
    sim.signal(Signal::SIGTERM);
    assert_eq!(sim.supervisor.scale(), None);
}

#[test]
fn workers_that_die_meanwhile_are_replaced() {
    let mut sim = Simulation::serving(elastic());
    scale(&mut sim, 5, ScalingCause::Queue);
    sim.killed(4, Signal::SIGKILL);
    sim.killed(1, Signal::SIGKILL);
    assert_eq!(sim.supervisor.scale().map(|it| it.missing), Some(3));
    sim.advance(std::time::Duration::from_secs(1));
    sim.all_ready();
    assert_eq!((sim.alive.len(), wanted(&sim)), (5, (5, 2)));
}

#[test]
fn beside_another_master_the_load_is_only_a_part() {
    let mut sim = Simulation::new_master(elastic(), 77);
    assert_eq!(sim.supervisor.scale().map(|it| it.is_shared), Some(true));
    sim.handle(Event::OldMasterExited);
    assert_eq!(sim.supervisor.scale().map(|it| it.is_shared), Some(false));
}

#[test]
fn a_new_master_begins_with_what_the_load_needs_within_its_own_bounds() {
    for (needed, begins) in [(None, 3), (Some(5), 5), (Some(1), 2), (Some(60), 6)] {
        let sim = Simulation::new_master_under_load(elastic(), 77, needed);
        assert_eq!((sim.alive.len(), wanted(&sim)), (begins, (begins, 2)));
    }
    // A fixed number is that of the settings.
    let sim = Simulation::new_master_under_load(plan(3, 0), 77, Some(5));
    assert_eq!((sim.alive.len(), wanted(&sim)), (3, (3, 3)));
    let mut sim = Simulation::serving(elastic());
    scale(&mut sim, 5, ScalingCause::Queue);
    sim.all_ready();
    // Without workers it still knows what the load needs.
    sim.signal(Signal::SIGWINCH);
    sim.signal(Signal::SIGUSR2);
    assert!(sim.done.contains(&Action::StartNewMaster { workers: 5 }));
}
