//! Which ends of a worker count as a restart, and for which reason.

use std::time::Duration;

use log::Level;
use nix::sys::signal::Signal;
use oxicorn_common::Message;
use oxicorn_common::scoreboard::RestartReason;

use super::simulation::{Simulation, plan};
use crate::supervisor::{Action, ChildKind, ExitKind};

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

impl Simulation {
    /// The restarts that were counted since the last call.
    fn restarts(&mut self) -> Vec<RestartReason> {
        let mut reasons = Vec::new();
        self.done.retain(|action| match action {
            Action::CountRestart(reason) => {
                reasons.push(*reason);
                false
            }
            _ => true,
        });
        reasons
    }

    fn newest_child(&self) -> u64 {
        *self.alive.keys().next_back().expect("a child")
    }
}

#[test]
fn a_worker_that_ends_by_itself_counts_by_the_cause_of_its_end() {
    let mut sim = Simulation::serving(plan(2, 0));
    sim.advance(seconds(5));
    let signalled = |signal: Signal| ExitKind::Signalled {
        signal: signal as i32,
        core_dumped: false,
    };
    let ends = [
        (ExitKind::Exited { code: 0 }, false, RestartReason::Exit),
        (ExitKind::Exited { code: 3 }, false, RestartReason::Exit),
        (signalled(Signal::SIGSEGV), false, RestartReason::Crash),
        (signalled(Signal::SIGKILL), false, RestartReason::Signal),
        (signalled(Signal::SIGHUP), false, RestartReason::Signal),
        (signalled(Signal::SIGKILL), true, RestartReason::OutOfMemory),
    ];
    for (end, out_of_memory, reason) in ends {
        let id = sim.newest_child();
        sim.dies_of(id, end, out_of_memory);
        assert_eq!(sim.restarts(), [reason]);
        sim.all_ready();
        sim.advance(seconds(5));
    }
    assert_eq!(sim.restarts(), []);
}

#[test]
fn a_replacement_counts_when_it_is_ready_and_once() {
    let mut sim = Simulation::serving(plan(1, 0));
    let reasons = [
        RestartReason::MaxRequests,
        RestartReason::Timeout,
        RestartReason::Memory,
        RestartReason::Exit,
    ];
    for why in reasons {
        sim.advance(seconds(5));
        let old = sim.newest_child();
        sim.message(old, Message::Replace { why });
        assert_eq!(sim.restarts(), []);
        let new = sim.newest_child();
        sim.ready(&[new]);
        assert_eq!(sim.restarts(), [why]);
        // However it ends.
        sim.killed(old, Signal::SIGKILL);
        assert_eq!(sim.restarts(), []);
    }
}

#[test]
fn a_worker_that_wants_a_replacement_and_dies_before_counts_by_its_death() {
    let mut sim = Simulation::serving(plan(1, 0));
    sim.advance(seconds(5));
    sim.ask_replacement(1);
    sim.killed(1, Signal::SIGSEGV);
    assert_eq!(sim.restarts(), [RestartReason::Crash]);
    sim.ready(&[2]);
    assert_eq!(sim.restarts(), []);
}

#[test]
fn a_worker_that_does_not_get_ready_counts_as_boot_however_it_ends() {
    let mut sim = Simulation::serving(plan(1, 0));
    sim.advance(seconds(5));
    sim.exits(1, 1);
    assert_eq!(sim.restarts(), [RestartReason::Exit]);
    sim.exits(2, 1);
    assert_eq!(sim.restarts(), [RestartReason::Boot]);
    sim.advance(seconds(5));
    let booting = sim.newest_child();
    // Longer than it may take.
    sim.advance(seconds(30));
    assert_eq!(sim.restarts(), [RestartReason::Boot]);
    sim.killed(booting, Signal::SIGABRT);
    assert_eq!(sim.restarts(), []);
    sim.forks_fail = true;
    sim.advance(seconds(60));
    let boots = sim.restarts();
    assert!(!boots.is_empty() && boots.iter().all(|&it| it == RestartReason::Boot));
}

#[test]
fn workers_of_a_reload_that_fails_replace_nobody() {
    let mut sim = Simulation::serving(plan(2, 0));
    sim.advance(seconds(5));
    sim.reload(plan(2, 0));
    let new = sim.of_generation(2);
    sim.exits(new[0], 3);
    // Longer than it may take.
    sim.advance(seconds(30));
    sim.killed(new[1], Signal::SIGABRT);
    assert!(sim.logged(Level::Error, "Reload given up"));
    assert_eq!(sim.restarts(), []);
    // From the first ready worker on, its generation is the one that serves.
    sim.reload(plan(2, 0));
    let new = sim.of_generation(3);
    sim.ready(&new[..1]);
    sim.exits(new[1], 3);
    assert_eq!(sim.restarts(), [RestartReason::Boot]);
}

#[test]
fn a_silent_worker_counts_as_a_timeout_and_a_signal_of_others_as_a_signal() {
    let mut sim = Simulation::serving(plan(1, 0));
    sim.advance(seconds(5));
    sim.advance_with(seconds(40), |_| seconds(40));
    assert_eq!(sim.sent(Signal::SIGABRT), [1]);
    assert_eq!(sim.restarts(), [RestartReason::Timeout]);
    sim.killed(1, Signal::SIGABRT);
    sim.all_ready();
    assert_eq!(sim.restarts(), []);

    // It says that it drains, and ends some time later, or at once.
    for time in [seconds(5), Duration::ZERO] {
        sim.advance(seconds(5));
        let id = sim.newest_child();
        sim.message(id, Message::Draining);
        sim.advance(time);
        sim.exits(id, 0);
        assert_eq!(sim.restarts(), [RestartReason::Signal]);
        sim.all_ready();
    }
}

#[test]
fn what_the_server_does_without_is_no_restart() {
    let mut sim = Simulation::serving(plan(2, 1));
    sim.advance(seconds(5));
    sim.signal(Signal::SIGTTOU);
    let [leaving] = sim.sent(Signal::SIGTERM)[..] else {
        panic!("one drains");
    };
    sim.killed(leaving, Signal::SIGKILL);
    sim.reload(plan(1, 1));
    sim.all_ready();
    for id in sim.sent(Signal::SIGTERM) {
        sim.exits(id, 0);
    }
    let runner = sim
        .alive
        .iter()
        .find(|(_, child)| child.0 == ChildKind::Runner);
    let runner = *runner.expect("a runner").0;
    sim.killed(runner, Signal::SIGSEGV);
    sim.all_ready();
    sim.signal(Signal::SIGTERM);
    let web = sim.newest_child();
    sim.killed(web, Signal::SIGKILL);
    assert_eq!(sim.restarts(), []);
}
