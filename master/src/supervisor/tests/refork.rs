//! `refork_after`: a warm worker becomes the mold of the others.

use std::time::Duration;

use log::Level;
use nix::sys::signal::Signal;
use oxicorn_common::Message;
use oxicorn_common::scoreboard::RestartReason;

use super::simulation::{Simulation, plan};
use crate::supervisor::{Action, ChildId, Event, Plan};

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn reforking(workers: usize) -> Plan {
    Plan {
        reforks: true,
        ..plan(workers, 0)
    }
}

impl Simulation {
    fn is_warm(&mut self, id: ChildId) {
        self.message(id, Message::Warm);
    }

    /// The slots that were chosen since the last call.
    fn chosen(&mut self) -> usize {
        let chosen = |action: &mut Action| matches!(action, Action::ChooseMold { .. });
        self.done.extract_if(.., chosen).count()
    }

    /// A child that has drained says that it is the mold.
    fn becomes_mold(&mut self, id: ChildId) {
        self.message(id, Message::BecomesMold);
    }

    fn molds(&self) -> usize {
        let adopts = |action: &&Action| matches!(action, Action::AdoptMold { .. });
        self.done.iter().filter(adopts).count()
    }

    /// Replaces workers until none asks any more; returns those that are left.
    fn run_out(&mut self) -> Vec<ChildId> {
        for _ in 0..20 {
            self.all_ready();
            for id in self.sent(Signal::SIGTERM) {
                if self.alive.contains_key(&id) {
                    self.exits(id, 0);
                }
            }
        }
        self.alive.keys().copied().collect()
    }
}

/// Worker 1 is the mold, and the next child is 5.
fn with_mold() -> Simulation {
    let mut sim = Simulation::serving(reforking(3));
    sim.advance(seconds(60));
    sim.is_warm(1);
    sim.ready(&[4]);
    assert_eq!(sim.sent(Signal::SIGTERM), [1]);
    sim.becomes_mold(1);
    sim
}

#[test]
fn the_first_warm_worker_becomes_the_mold_and_all_others_are_replaced_one_by_one() {
    let mut sim = Simulation::serving(reforking(3));
    sim.advance(seconds(60));
    sim.is_warm(2);
    sim.is_warm(3);
    assert!(sim.sent(Signal::SIGTERM).is_empty(), "ready first");
    assert_eq!(sim.chosen(), 0, "it serves still");
    sim.ready(&[4]);
    assert_eq!((sim.chosen(), sim.sent(Signal::SIGTERM)), (1, vec![2]));
    sim.becomes_mold(2);
    assert!(sim.logged(
        Level::Info,
        "Worker (pid: 2) is the mold of the next workers"
    ));
    assert_eq!(sim.alive.len(), 3 + 1, "one at a time");
    assert_eq!(
        sim.run_out(),
        [5, 6, 7],
        "also the one that came in its place"
    );
    let count = Action::CountRestart(RestartReason::Refork);
    assert_eq!(sim.done.iter().filter(|&it| *it == count).count(), 4);
    // Their own warmth is of no interest.
    [5, 6, 7].into_iter().for_each(|id| sim.is_warm(id));
    assert_eq!(sim.run_out(), [5, 6, 7]);
    assert_eq!(sim.molds(), 1);
}

#[test]
fn a_worker_that_cannot_be_a_mold_says_why_once_per_generation() {
    let mut sim = Simulation::serving(reforking(2));
    sim.advance(seconds(60));
    sim.is_warm(1);
    sim.ready(&[3]);
    let reason = "it has threads".to_owned();
    sim.message(1, Message::CannotBecomeMold { reason });
    sim.exits(1, 0);
    assert!(sim.logged(Level::Warn, "(refork_after): it has threads. Workers go on"));
    sim.is_warm(2);
    sim.is_warm(3);
    assert_eq!(sim.run_out(), [2, 3], "it is not tried again");
    sim.reload(reforking(2));
    sim.run_out();
    sim.is_warm(4);
    sim.all_ready();
    assert_eq!(sim.chosen(), 2, "new code may do without");
}

#[test]
fn a_worker_that_dies_on_its_way_is_not_followed_by_another() {
    let mut sim = Simulation::serving(reforking(2));
    sim.advance(seconds(60));
    sim.is_warm(1);
    sim.ready(&[3]);
    sim.advance(seconds(11));
    assert_eq!(sim.sent(Signal::SIGKILL), [1], "it does not drain");
    sim.killed(1, Signal::SIGKILL);
    assert!(sim.logged(Level::Warn, "was to become the mold of the next workers"));
    sim.is_warm(2);
    assert_eq!(sim.run_out(), [2, 3]);
}

#[test]
fn a_worker_that_is_replaced_for_another_reason_is_no_mold() {
    let mut sim = Simulation::serving(reforking(2));
    sim.advance(seconds(60));
    sim.is_warm(1);
    // Its replacement boots, and a request gets stuck.
    let why = RestartReason::Timeout;
    sim.message(1, Message::Replace { why });
    sim.ready(&[3]);
    assert_eq!((sim.chosen(), sim.sent(Signal::SIGTERM)), (0, vec![1]));
    sim.exits(1, 0);
    sim.is_warm(2);
    sim.all_ready();
    assert_eq!(sim.chosen(), 1, "another one may be");
    // But one that has served as many as it may is the mold first.
    let mut sim = Simulation::serving(reforking(2));
    sim.advance(seconds(60));
    sim.is_warm(1);
    sim.ask_replacement(1);
    sim.ready(&[3]);
    assert_eq!(sim.chosen(), 1);
    // And max_requests goes on as before, with a mold or without.
    let mut sim = with_mold();
    assert_eq!(sim.run_out(), [5, 6, 7]);
    sim.ask_replacement(6);
    assert_eq!(sim.run_out(), [5, 7, 8]);
}

#[test]
fn a_mold_that_dies_harms_nobody_and_may_have_a_few_successors() {
    let mut sim = with_mold();
    let mut workers = sim.run_out();
    for _ in 0..5 {
        sim.handle(Event::MoldEnded { generation: 1 });
        assert_eq!(sim.run_out(), workers, "they serve on");
        let first = workers[0];
        sim.is_warm(first);
        sim.all_ready();
        for id in sim.sent(Signal::SIGTERM) {
            match id == first && sim.chosen() > 0 {
                true => sim.becomes_mold(id),
                false => sim.exits(id, 0),
            }
        }
        workers = sim.run_out();
    }
    assert_eq!(sim.molds(), 3);
    assert!(sim.logged(Level::Warn, "The molds of this generation keep ending"));
}

#[test]
fn a_mold_whose_workers_do_not_boot_is_given_up() {
    let mut sim = with_mold();
    let end = Action::EndMold { generation: 1 };
    sim.killed(5, Signal::SIGSEGV);
    assert!(!sim.done.contains(&end));
    sim.advance(seconds(1));
    sim.killed(6, Signal::SIGSEGV);
    assert!(sim.done.contains(&end));
    sim.advance(seconds(5));
    let workers = sim.run_out();
    assert_eq!(workers.len(), 3);
    workers.into_iter().for_each(|id| sim.is_warm(id));
    assert_eq!(sim.molds(), 1, "there is no other");
}

#[test]
fn a_reload_begins_again_and_a_mold_of_before_comes_too_late() {
    let mut sim = Simulation::serving(reforking(2));
    sim.advance(seconds(60));
    sim.is_warm(1);
    sim.ready(&[3]);
    assert_eq!(sim.sent(Signal::SIGTERM), [1]);
    sim.reload(reforking(2));
    sim.all_ready();
    sim.message(1, Message::BecomesMold);
    assert_eq!(sim.sent(Signal::SIGKILL), [1]);
    assert_eq!(sim.molds(), 0);
    sim.killed(1, Signal::SIGKILL);
    // Nor is one chosen while a reload is under way.
    let workers = sim.run_out();
    sim.reload(reforking(2));
    workers.iter().for_each(|&id| sim.is_warm(id));
    assert_eq!(sim.alive.len(), 4, "no replacement");
}

#[test]
fn a_server_that_stops_gets_no_mold() {
    let mut sim = Simulation::serving(reforking(2));
    sim.advance(seconds(60));
    sim.is_warm(1);
    sim.ready(&[3]);
    sim.signal(Signal::SIGTERM);
    sim.message(1, Message::BecomesMold);
    assert_eq!(sim.molds(), 0);
    assert!(sim.sent(Signal::SIGKILL).contains(&1));
    [1, 2, 3].into_iter().for_each(|id| sim.exits(id, 0));
    assert_eq!(sim.exit_code(), Some(0));
}

#[test]
fn a_child_that_was_not_told_to_is_no_mold() {
    let mut sim = Simulation::serving(reforking(2));
    sim.message(2, Message::BecomesMold);
    assert_eq!((sim.molds(), sim.sent(Signal::SIGKILL)), (0, vec![2]));
    let mut sim = Simulation::serving(plan(2, 0));
    sim.is_warm(1);
    assert_eq!(sim.run_out(), [1, 2], "it is off");
}

#[test]
fn fewer_workers_are_wanted_while_one_is_to_become_the_mold() {
    let mut sim = Simulation::serving(reforking(3));
    sim.advance(seconds(60));
    sim.is_warm(1);
    sim.signal(Signal::SIGTTOU);
    sim.signal(Signal::SIGTTOU);
    let left = sim.run_out();
    assert_eq!(left.len(), 1, "{left:?}");
    sim.is_warm(left[0]);
    sim.all_ready();
    assert_eq!(sim.chosen(), 1);
}
