//! Anything may happen in any order, and then the server stands as it should.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::scene::{Scene, plan};
use crate::supervisor::{Action, Event};

/// Marsaglia's xorshift64: the same storm for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }
}

/// Ends what was told to end, with luck.
fn end_the_told(scene: &mut Scene) {
    for signal in [Signal::SIGTERM, Signal::SIGABRT, Signal::SIGKILL] {
        for id in scene.sent(signal) {
            if scene.alive.contains_key(&id) {
                scene.exits(id, 0);
            }
        }
    }
}

fn strike(scene: &mut Scene, dice: &mut Dice) {
    let ids: Vec<_> = scene.alive.keys().copied().collect();
    let victim = match ids.len() {
        0 => 0,
        count => ids[dice.roll(count)],
    };
    match dice.roll(12) {
        0..=3 => scene.ready(&[victim]),
        4 => scene.ask_replacement(victim),
        5 if victim > 0 => scene.killed(victim, Signal::SIGKILL),
        6 if victim > 0 => scene.exits(victim, 3),
        7 => scene.signal(Signal::SIGHUP),
        8 => scene.signal([Signal::SIGTTIN, Signal::SIGTTOU][dice.roll(2)]),
        9 => end_the_told(scene),
        10 => scene.forks_fail = dice.roll(4) == 0,
        _ => scene.pass(Duration::from_millis(dice.roll(3000) as u64)),
    }
    if scene.done.contains(&Action::Reload) {
        scene.done.retain(|action| *action != Action::Reload);
        scene.handle(Event::Reloaded(plan(3, 1)));
    }
}

#[test]
fn after_any_storm_comes_a_calm_with_the_right_number_of_children() {
    for seed in 1..=60 {
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15 ^ seed);
        let mut scene = Scene::serving(plan(3, 1));
        for _ in 0..200 {
            strike(&mut scene, &mut dice);
            let ready = scene.supervisor.children.values();
            let serving = ready.filter(|child| child.is_ready()).count();
            assert!(scene.alive.len() <= 512 && serving <= 512, "seed {seed}");
        }
        scene.forks_fail = false;
        for _ in 0..60 {
            end_the_told(&mut scene);
            scene.all_ready();
            scene.pass(Duration::from_secs(31));
            if scene.done.contains(&Action::Reload) {
                scene.done.retain(|action| *action != Action::Reload);
                scene.handle(Event::Reloaded(plan(3, 1)));
            }
        }
        let (web, runners) = (scene.supervisor.web.target, 1);
        assert_eq!(scene.alive.len(), web + runners, "seed {seed}");
        let newest = scene.supervisor.newest();
        let generations: Vec<u32> = scene.alive.values().map(|child| child.2).collect();
        assert!(
            generations
                .iter()
                .all(|&it| it == generations[0] && it <= newest)
        );
        scene.signal(Signal::SIGTERM);
        end_the_told(&mut scene);
        assert_eq!(scene.exit_code(), Some(0), "seed {seed}");
    }
}
