//! Workers that are too large, each for itself and all together.

use std::time::Duration;

use log::Level;
use nix::sys::signal::Signal;
use oxicorn_common::Message;
use oxicorn_common::scoreboard::RestartReason;

use super::simulation::{Simulation, plan};
use crate::supervisor::{Action, ChildId, Event, Plan};

const MIB: u64 = 1024 * 1024;

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn limited(workers: usize) -> Plan {
    Plan {
        max_worker_memory: Some(512 * MIB),
        ..plan(workers, 0)
    }
}

fn limited_together(workers: usize) -> Plan {
    Plan {
        max_total_memory: Some(1000 * MIB),
        ..plan(workers, 0)
    }
}

impl Simulation {
    fn measures(&mut self, id: ChildId, mib: u64) {
        let bytes = mib * MIB;
        self.message(id, Message::Memory { bytes });
    }

    /// A worker finds that it is over its limit.
    fn is_too_large(&mut self, id: ChildId, mib: u64) {
        self.measures(id, mib);
        let why = RestartReason::Memory;
        self.message(id, Message::Replace { why });
    }

    /// Those that start get ready, and those that are told to end do.
    fn settle(&mut self) {
        self.all_ready();
        for id in self.sent(Signal::SIGTERM) {
            self.exits(id, 0);
        }
    }

    fn warnings(&self) -> usize {
        let is_warning =
            |action: &&Action| matches!(action, Action::Log { level, .. } if *level == Level::Warn);
        self.done.iter().filter(is_warning).count()
    }

    fn ids(&self) -> Vec<ChildId> {
        self.alive.keys().copied().collect()
    }
}

#[test]
fn a_worker_that_has_grown_is_replaced_ready_first_and_the_log_has_both_figures() {
    let mut sim = Simulation::serving(limited(2));
    sim.advance(seconds(600));
    sim.is_too_large(1, 612);
    assert!(sim.sent(Signal::SIGTERM).is_empty(), "its successor boots");
    let text = "Replacing Worker (pid: 1): it uses 612.0 MiB of memory, more than max_worker_memory (512.0 MiB)";
    assert!(sim.logged(Level::Info, text), "{:?}", sim.done);
    sim.settle();
    assert_eq!(sim.ids(), [2, 3]);
    assert_eq!(sim.warnings(), 0);
    assert!(
        sim.done
            .contains(&Action::CountRestart(RestartReason::Memory))
    );
}

#[test]
fn old_workers_that_grow_at_the_same_time_go_one_by_one_without_a_pause() {
    let mut sim = Simulation::serving(limited(4));
    sim.advance(seconds(600));
    (1..=4).for_each(|id| sim.is_too_large(id, 600));
    for _ in 0..4 {
        assert_eq!(sim.alive.len(), 5, "one at a time");
        sim.settle();
    }
    assert_eq!(sim.ids(), [5, 6, 7, 8]);
}

#[test]
fn fresh_workers_that_are_too_large_are_said_once_and_replaced_once_per_minute() {
    let mut sim = Simulation::serving(limited(4));
    let mut replaced = 0;
    let mut asked = Vec::new();
    for _ in 0..600 {
        sim.advance(seconds(1));
        for id in sim.ids() {
            if !asked.contains(&id) {
                asked.push(id);
                sim.is_too_large(id, 900);
            }
        }
        let before = sim.ids();
        sim.settle();
        replaced += before.iter().filter(|id| !sim.ids().contains(id)).count();
    }
    assert!((8..=11).contains(&replaced), "{replaced} in 10 minutes");
    assert_eq!(sim.warnings(), 1, "{:?}", sim.done);
    assert!(sim.logged(
        Level::Warn,
        "if fresh workers need that much, raise the limit"
    ));
}

#[test]
fn a_stuck_request_does_not_wait_for_the_pause_of_the_memory() {
    let mut sim = Simulation::serving(limited(1));
    sim.advance(seconds(1));
    sim.is_too_large(1, 900);
    sim.settle();
    sim.advance(seconds(1));
    sim.is_too_large(2, 900);
    sim.settle();
    assert_eq!(sim.ids(), [2], "it has to wait");
    let why = RestartReason::Timeout;
    sim.message(2, Message::Replace { why });
    sim.settle();
    assert_eq!(sim.ids(), [3]);
}

#[test]
fn other_limits_are_tried_at_once() {
    let mut sim = Simulation::serving(limited(1));
    sim.advance(seconds(1));
    sim.is_too_large(1, 900);
    sim.settle();
    sim.reload(limited(1));
    sim.settle();
    sim.advance(seconds(1));
    let newest = sim.ids()[0];
    sim.is_too_large(newest, 900);
    sim.settle();
    assert!(!sim.ids().contains(&newest), "no pause is left of before");
}

#[test]
fn the_largest_goes_when_all_together_are_too_large() {
    let mut sim = Simulation::serving(limited_together(3));
    sim.handle(Event::OtherMemory { bytes: 100 * MIB });
    for (id, mib) in [(1, 250), (2, 400), (3, 250)] {
        sim.measures(id, mib);
    }
    assert_eq!(sim.ids(), [1, 2, 3], "just enough");
    sim.measures(1, 251);
    let text = "The server uses 1001.0 MiB of memory, more than max_total_memory (1000.0 MiB): the largest is \
                Worker (pid: 2) with 400.0 MiB";
    assert!(sim.logged(Level::Info, text), "{:?}", sim.done);
    assert!(sim.logged(Level::Info, "Replacing Worker (pid: 2): max_total_memory"));
    sim.settle();
    assert_eq!(sim.ids(), [1, 3, 4]);
    assert_eq!(sim.warnings(), 0);
}

#[test]
fn all_together_are_reduced_once_per_minute_and_a_limit_that_is_too_low_is_said_once() {
    let mut sim = Simulation::serving(limited_together(3));
    let mut replaced = 0;
    for _ in 0..600 {
        sim.advance(seconds(1));
        let before = sim.ids();
        before.iter().for_each(|&id| sim.measures(id, 500));
        sim.settle();
        replaced += before.iter().filter(|id| !sim.ids().contains(id)).count();
    }
    assert!((8..=11).contains(&replaced), "{replaced} in 10 minutes");
    assert_eq!(sim.warnings(), 1, "{:?}", sim.done);
}

#[test]
fn nothing_is_decided_while_children_come_and_go() {
    let mut sim = Simulation::serving(limited_together(2));
    sim.measures(1, 900);
    sim.signal(Signal::SIGTTIN);
    sim.measures(2, 900);
    assert_eq!(sim.alive.len(), 3, "the new one boots");
    sim.all_ready();
    sim.measures(2, 900);
    assert_eq!(sim.alive.len(), 4, "now one is replaced");
}

#[test]
fn a_worker_may_ask_before_it_has_said_that_it_is_ready() {
    let mut sim = Simulation::new(limited(3));
    (1..=3).for_each(|id| sim.is_too_large(id, 900));
    sim.all_ready();
    sim.settle();
    sim.settle();
    assert_eq!(sim.ids(), [2, 3, 4], "one at once, the others have to wait");
    assert_eq!(sim.warnings(), 1);
}
