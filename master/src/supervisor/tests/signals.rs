//! Signals that concern the whole server.

use std::time::Duration;

use log::Level;
use nix::sys::signal::Signal;
use oxicorn_common::settings::MOST_WORKERS;

use super::simulation::{Simulation, plan};
use crate::supervisor::Action;

#[test]
fn one_more_and_one_less_but_never_none() {
    let mut sim = Simulation::serving(plan(1, 0));
    sim.signal(Signal::SIGTTOU);
    assert!(sim.sent(Signal::SIGTERM).is_empty());
    sim.signal(Signal::SIGTTIN);
    assert_eq!(sim.of_generation(1), [1, 2]);
    sim.signal(Signal::SIGTTOU);
    assert_eq!(
        sim.sent(Signal::SIGTERM),
        [2],
        "what is not ready yet goes first"
    );
    sim.signal(Signal::SIGTTIN);
    sim.all_ready();
    sim.signal(Signal::SIGTTOU);
    assert_eq!(sim.sent(Signal::SIGTERM), [1], "then the oldest");
}

/// As many as the setting may be: otherwise a reload would find no slots for the next generation.
#[test]
fn there_are_never_more_workers_than_the_setting_may_say() {
    let mut sim = Simulation::serving(plan(MOST_WORKERS - 3, 2));
    sim.signal(Signal::SIGTTIN);
    assert_eq!(sim.of_generation(1).len(), MOST_WORKERS, "with the runners");
    sim.signal(Signal::SIGTTIN);
    assert_eq!(sim.of_generation(1).len(), MOST_WORKERS);
    assert!(sim.logged(Level::Warn, "248 workers are the most"));
    sim.all_ready();
    sim.reload(plan(MOST_WORKERS - 3, 2));
    sim.all_ready();
    assert_eq!(sim.of_generation(2).len(), MOST_WORKERS);
}

#[test]
fn each_new_number_of_workers_is_reported_and_a_reload_reports_it_again() {
    let mut sim = Simulation::serving(plan(1, 0));
    sim.signal(Signal::SIGTTIN);
    let more = Action::WorkersChanged { new: 2, old: 1 };
    assert!(sim.done.contains(&more));
    sim.all_ready();
    sim.done.clear();
    sim.reload(plan(1, 0));
    let same = Action::WorkersChanged { new: 2, old: 2 };
    assert!(sim.done.contains(&same));
    sim.all_ready();
    sim.done.clear();
    sim.signal(Signal::SIGTTOU);
    assert!(
        sim.done
            .contains(&Action::WorkersChanged { new: 1, old: 2 })
    );
}

#[test]
fn term_says_that_all_stops_drains_and_waits_for_all() {
    let mut sim = Simulation::serving(plan(2, 1));
    sim.signal(Signal::SIGTERM);
    assert_eq!(sim.done[0], Action::MarkStopping { code: 0 });
    assert_eq!(sim.sent(Signal::SIGTERM), [1, 2, 3]);
    sim.signal(Signal::SIGTERM);
    sim.signal(Signal::SIGHUP);
    assert!(sim.sent(Signal::SIGTERM).is_empty(), "once is enough");
    assert_eq!(sim.reloads(), 0);
    sim.exits(1, 0);
    sim.exits(2, 0);
    assert_eq!(sim.exit_code(), None);
    sim.exits(3, 0);
    assert_eq!(sim.exit_code(), Some(0));
}

#[test]
fn who_does_not_drain_in_time_is_killed() {
    let mut sim = Simulation::serving(plan(2, 0));
    sim.signal(Signal::SIGTERM);
    sim.advance(Duration::from_millis(9_900));
    assert!(sim.sent(Signal::SIGKILL).is_empty());
    sim.exits(1, 0);
    sim.advance(Duration::from_secs(1));
    assert_eq!(sim.sent(Signal::SIGKILL), [2]);
    sim.killed(2, Signal::SIGKILL);
    assert_eq!(sim.exit_code(), Some(0));
}

#[test]
fn int_and_quit_end_at_once_also_what_drains() {
    for signal in [Signal::SIGINT, Signal::SIGQUIT] {
        let mut sim = Simulation::serving(plan(2, 0));
        sim.signal(Signal::SIGTERM);
        sim.signal(signal);
        assert_eq!(sim.sent(signal), [1, 2]);
        sim.exits(1, 0);
        sim.advance(Duration::from_secs(3));
        assert_eq!(sim.sent(Signal::SIGKILL), [2]);
        sim.killed(2, Signal::SIGKILL);
        assert_eq!(sim.exit_code(), Some(0));
    }
}

#[test]
fn a_server_that_is_stopped_while_it_boots_ends_with_zero() {
    let mut sim = Simulation::new(plan(2, 0));
    sim.signal(Signal::SIGTERM);
    sim.exits(1, 0);
    sim.killed(2, Signal::SIGTERM);
    assert_eq!(sim.exit_code(), Some(0));
}

#[test]
fn winch_drains_all_until_a_reload_or_one_more() {
    let mut sim = Simulation::serving(plan(2, 1));
    sim.signal(Signal::SIGWINCH);
    let gone = Action::MarkDeserted(true);
    assert_eq!(sim.done[0], gone, "before any of them drains");
    assert_eq!(sim.sent(Signal::SIGTERM), [1, 2, 3]);
    (1..=3).for_each(|id| sim.exits(id, 0));
    sim.advance(Duration::from_secs(60));
    assert!(sim.alive.is_empty() && sim.exit_code().is_none());
    sim.signal(Signal::SIGTTIN);
    assert_eq!(sim.alive.len(), 2, "one worker, and the runner");
    let back = Action::MarkDeserted(false);
    assert!(sim.done.contains(&back));
    sim.all_ready();
    sim.signal(Signal::SIGWINCH);
    sim.done.clear();
    sim.reload(plan(2, 1));
    assert!(sim.done.contains(&back));
    assert_eq!(
        sim.of_generation(2).len(),
        2,
        "the number that was set last, and the runner"
    );
    sim.all_ready();
    assert!(sim.done.contains(&Action::Forget { generation: 1 }));
}

#[test]
fn usr1_reopens_the_logs_everywhere() {
    let mut sim = Simulation::serving(plan(2, 1));
    sim.signal(Signal::SIGUSR1);
    assert_eq!(sim.done[0], Action::ReopenLogs);
    assert_eq!(sim.sent(Signal::SIGUSR1), [1, 2, 3]);
}
