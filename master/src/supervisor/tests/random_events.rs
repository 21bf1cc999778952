//! Random events in random order: in the end the server has the right number of children.

use std::time::Duration;

use nix::sys::signal::Signal;
use oxicorn_common::scoreboard::ScalingCause;
use oxicorn_common::settings::WorkerBounds;

use super::simulation::{Simulation, plan};
use crate::supervisor::{Event, Plan};

/// Marsaglia's xorshift64: the same events for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }
}

fn whole_plan() -> Plan {
    Plan {
        admin: true,
        scaling: Some(WorkerBounds { least: 2, most: 7 }),
        ..plan(3, 1)
    }
}

/// Ends the children that were told to end, with some probability.
fn end_those_told_to(sim: &mut Simulation) {
    for signal in [Signal::SIGTERM, Signal::SIGABRT, Signal::SIGKILL] {
        for id in sim.sent(signal) {
            if sim.alive.contains_key(&id) {
                sim.exits(id, 0);
            }
        }
    }
}

fn step(sim: &mut Simulation, random: &mut Random) {
    let ids: Vec<_> = sim.alive.keys().copied().collect();
    let victim = match ids.len() {
        0 => 0,
        count => ids[random.below(count)],
    };
    match random.below(13) {
        0..=3 => sim.ready(&[victim]),
        4 => sim.ask_replacement(victim),
        5 if victim > 0 => sim.killed(victim, Signal::SIGKILL),
        6 if victim > 0 => sim.exits(victim, 3),
        7 => sim.signal(Signal::SIGHUP),
        8 => sim.signal([Signal::SIGTTIN, Signal::SIGTTOU][random.below(2)]),
        9 => end_those_told_to(sim),
        12 => sim.handle(Event::Scaled {
            to: random.below(9),
            cause: ScalingCause::Queue,
            figures: String::new(),
        }),
        10 => sim.forks_fail = random.below(4) == 0,
        _ => sim.advance(Duration::from_millis(random.below(3000) as u64)),
    }
    if sim.take_reload() {
        sim.handle(Event::Reloaded(whole_plan()));
    }
}

#[test]
fn after_any_events_there_is_the_right_number_of_children() {
    for seed in 1..=60 {
        let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ seed);
        let mut sim = Simulation::serving(whole_plan());
        for _ in 0..200 {
            step(&mut sim, &mut random);
            let ready = sim.supervisor.children.values();
            let serving = ready.filter(|child| child.is_ready()).count();
            assert!(sim.alive.len() <= 512 && serving <= 512, "seed {seed}");
        }
        sim.forks_fail = false;
        for _ in 0..60 {
            end_those_told_to(&mut sim);
            sim.all_ready();
            sim.advance(Duration::from_secs(31));
            if sim.take_reload() {
                sim.handle(Event::Reloaded(whole_plan()));
            }
        }
        assert!((1..=7).contains(&sim.supervisor.web.target));
        let (web, runners, admin) = (sim.supervisor.web.target, 1, 1);
        assert_eq!(sim.alive.len(), web + runners + admin, "seed {seed}");
        let newest = sim.supervisor.newest();
        let generations: Vec<u32> = sim.alive.values().map(|child| child.2).collect();
        assert!(
            generations
                .iter()
                .all(|&it| it == generations[0] && it <= newest)
        );
        sim.signal(Signal::SIGTERM);
        end_those_told_to(&mut sim);
        // The admin process is told last.
        end_those_told_to(&mut sim);
        assert_eq!(sim.exit_code(), Some(0), "seed {seed}");
    }
}
