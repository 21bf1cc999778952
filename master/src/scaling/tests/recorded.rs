//! The samples of a real server, once more: a step, a larger one, and silence.

use std::time::{Duration, Instant};

use crate::scaling::load_sample::LoadSample;
use crate::scaling::policy::ScalingPolicy;
use crate::supervisor::WorkerScale;

const RECORD: &str = include_str!("recorded_load.txt");

/// The samples, with what the supervisor allowed, and the number of workers that was decided on.
fn record() -> Vec<(LoadSample, WorkerScale, Option<usize>)> {
    let mut at = Instant::now();
    let lines = RECORD.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let numbers = line.split(' ').map(|it| it.parse().expect("a number"));
            let numbers: Vec<u64> = numbers.collect();
            let count = |index: usize| usize::try_from(numbers[index]).expect("a count");
            let lasted = Duration::from_micros(numbers[0]);
            at += lasted;
            let sample = LoadSample {
                at,
                lasted,
                workers: count(1),
                threads: count(2),
                reserve: 0,
                busy: count(3),
                queued: count(4),
                responses: numbers[5],
                waited: Duration::from_micros(numbers[6]),
            };
            let scale = WorkerScale {
                wanted: count(7),
                floor: 1,
                most: 8,
                missing: count(8),
                is_shared: false,
            };
            (sample, scale, Some(count(9)).filter(|&it| it > 0))
        })
        .collect()
}

/// Seconds since the first sample, and the number that was decided on.
fn decisions(change: impl Fn(&mut WorkerScale)) -> Vec<(u64, usize, Option<usize>)> {
    let mut policy = ScalingPolicy::new();
    let record = record();
    let start = record[0].0.at;
    let mut decisions = Vec::new();
    for (sample, mut scale, recorded) in record {
        change(&mut scale);
        let decision = policy.decide(sample, &scale);
        if let Some(decision) = &decision {
            policy.note(scale.wanted, decision.to, sample.at);
        }
        let decided = decision.map(|it| it.to);
        if decided.is_some() || recorded.is_some() {
            let seconds = sample.at.saturating_duration_since(start).as_secs();
            decisions.push((seconds, decided.unwrap_or(0), recorded));
        }
    }
    decisions
}

#[test]
fn what_was_decided_is_decided_again() {
    let decisions = decisions(|_| {});
    assert!(
        decisions.iter().all(|it| Some(it.1) == it.2),
        "{decisions:?}"
    );
    let numbers: Vec<usize> = decisions.iter().map(|it| it.1).collect();
    assert_eq!(numbers, [2, 4, 6, 8, 7, 6, 5, 4, 3, 2, 1]);
    // Up within ten seconds of the step of clients, and no sooner down than a minute after the last step up.
    assert!(decisions[2].0 - decisions[0].0 < 10, "{decisions:?}");
    assert!(decisions[4].0 - decisions[3].0 >= 60, "{decisions:?}");
}

#[test]
fn beside_another_master_nothing_goes() {
    let decisions = decisions(|scale| scale.is_shared = true);
    let made = decisions.iter().filter(|it| it.1 > 0);
    assert!(made.map(|it| it.1).eq([2, 4, 6, 8]), "{decisions:?}");
}

#[test]
fn the_bounds_hold() {
    let decisions = decisions(|scale| {
        (scale.floor, scale.most) = (3, 4);
        scale.wanted = scale.wanted.clamp(3, 4);
    });
    let made: Vec<usize> = decisions
        .iter()
        .map(|it| it.1)
        .filter(|&it| it > 0)
        .collect();
    assert!(
        made.contains(&4) && made.iter().all(|it| (3..=4).contains(it)),
        "{made:?}"
    );
}
