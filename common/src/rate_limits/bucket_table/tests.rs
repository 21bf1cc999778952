#![allow(unsafe_code, reason = "fork(2) has no safe interface")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

use super::*;
use crate::rate_limits::RulesFile;

fn rule(line: &str) -> RateLimitRule {
    let file = RulesFile::parse(line, Path::new("rules")).expect(line);
    file.rules.into_iter().next().expect(line)
}

fn table(line: &str) -> (BucketTable, Instant) {
    let table = BucketTable::new(&rule(line)).expect("memory");
    let origin = table.origin;
    (table, origin)
}

fn passes(verdict: LimitVerdict) -> bool {
    matches!(verdict, LimitVerdict::Passed { .. })
}

#[test]
fn a_burst_passes_and_then_the_rate() {
    for line in ["a 10/s burst=3", "a 10/s burst=3 by=server"] {
        let (table, start) = table(line);
        let key = table.key(b"one");
        let at = |millis| start + Duration::from_millis(millis);
        let wait = Duration::from_millis(100);
        for (left, wait) in [(2, Duration::ZERO), (1, Duration::ZERO), (0, wait)] {
            let passed = LimitVerdict::Passed { left, wait };
            assert_eq!(table.look(key, at(0)), passed, "{line}");
            assert_eq!(table.take(key, at(0)), passed, "{line}");
        }
        assert_eq!(table.take(key, at(0)), LimitVerdict::Refused { wait });
        assert_eq!(table.standing(key, at(40)), (0, Duration::from_millis(60)));
        assert!(!passes(table.take(key, at(99))) && passes(table.take(key, at(100))));
        assert!(!passes(table.take(key, at(199))) && passes(table.take(key, at(250))));
        // Half of an interval is not lost.
        assert!(passes(table.take(key, at(300))));
        assert_eq!(table.standing(key, at(10_000)), (3, Duration::ZERO));
    }
}

#[test]
fn keys_do_not_share() {
    let (table, start) = table("a 1/m");
    for number in 0..1_000_u32 {
        let key = table.key(&number.to_be_bytes());
        assert!(passes(table.take(key, start)), "{number}");
        assert!(!passes(table.take(key, start)), "{number}");
    }
}

#[test]
fn what_another_host_has_let_through_is_held_back() {
    let (table, start) = table("a 10/s burst=5");
    let key = table.key(b"one");
    let at = |millis| start + Duration::from_millis(millis);
    table.hold(key, at(0), Duration::from_millis(700));
    let wait = Duration::from_millis(700);
    assert_eq!(table.take(key, at(0)), LimitVerdict::Refused { wait });
    // It is never shortened.
    table.hold(key, at(0), Duration::from_millis(100));
    assert!(!passes(table.take(key, at(699))) && passes(table.take(key, at(700))));
    assert!(!passes(table.take(key, at(700))));
}

/// Whether `passed` keeps the promise: over any time at most the rate times that, and a burst.
fn check_bound(passed: &mut [u64], interval: u64, burst: usize) {
    passed.sort_unstable();
    for (index, &end) in passed.iter().enumerate() {
        for (first, &begin) in passed[..=index].iter().enumerate() {
            let count = index - first + 1;
            let most = burst + usize::try_from((end - begin) / interval).expect("a number");
            assert!(
                count <= most,
                "{count} passed within {} and not {most}",
                end - begin
            );
        }
    }
}

/// A generator of numbers that look random (Steele and others, splitmix64).
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut value = *state;
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Three times as many keys as there is room for, at times that jump: nobody gets more than the rule permits.
#[test]
fn the_bound_holds_for_every_key_of_an_overcrowded_table() {
    for seed in 0..20 {
        let (table, start) = table("a 100/s burst=4 keys=64");
        let (mut state, mut now) = (seed, 0_u64);
        let mut passed: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for _ in 0..20_000 {
            now += random(&mut state) % 40;
            let key = random(&mut state) % 192;
            let verdict = table.take(
                table.key(&key.to_be_bytes()),
                start + Duration::from_micros(now),
            );
            if passes(verdict) {
                passed.entry(key).or_default().push(now);
            }
        }
        for times in passed.values_mut() {
            check_bound(times, 10_000, 4);
        }
    }
}

/// Many addresses that send one request each do not take away the debt of one that has used its burst.
#[test]
fn a_used_up_bucket_outlives_a_flood_of_addresses() {
    let (table, start) = table("a 1/m burst=10 keys=64");
    let key = table.key(b"greedy");
    while passes(table.take(key, start)) {}
    for number in 0..100_000_u32 {
        table.take(table.key(&number.to_be_bytes()), start);
        if number % 100 == 0 {
            assert!(!passes(table.take(key, start)), "after {number}");
        }
    }
}

/// Processes and threads that bring one key at once: each request that passes is counted.
#[test]
fn no_update_is_lost() {
    const REQUESTS: u64 = 100_000;
    let (table, start) = table("a 10000/s burst=1000000 keys=8");
    let key = table.key(b"one");
    let go = || (0..REQUESTS).all(|_| passes(table.take(key, start)));
    let mut children = Vec::new();
    for _ in 0..3 {
        // SAFETY: the child reads and writes words of shared memory, allocates nothing, and ends without handlers.
        match unsafe { fork() }.expect("a child") {
            ForkResult::Parent { child } => children.push(child),
            ForkResult::Child => {
                let code = i32::from(!go());
                // SAFETY: ends the child without the exit handlers of the test harness.
                unsafe { libc::_exit(code) };
            }
        }
    }
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| assert!(go()));
        }
    });
    for child in children {
        let ended = waitpid(child, None).expect("its end");
        assert_eq!(ended, WaitStatus::Exited(child, 0));
    }
    let (left, _) = table.standing(key, start);
    assert_eq!(left, 1_000_000 - 6 * REQUESTS);
}

/// Processes and threads that bring the same few keys at once, with a table in which places change hands all the time.
/// Some processes are killed in the middle.
#[test]
fn the_bound_holds_for_all_processes_together() {
    const KEYS: u64 = 40;
    let (table, start) = table("a 1000/s burst=7 keys=8");
    let (interval, burst) = (1_000, 7);
    // For each key how many passed; times are not needed when all say the same.
    let counts = SharedMemory::new(KEYS as usize + 1).expect("memory");
    let go = |seed: u64, requests: usize| {
        let mut state = seed;
        for _ in 0..requests {
            // Nobody is ahead of the others by more than they know: the time is the count of all requests.
            let now = counts[KEYS as usize].fetch_add(1, Ordering::Relaxed) / 64;
            let key = random(&mut state) % KEYS;
            let octets = key.to_be_bytes();
            let moment = start + Duration::from_micros(now * 10);
            if passes(table.take(table.key(&octets), moment)) {
                counts[key as usize].fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let mut children = Vec::new();
    for seed in 0..6 {
        // SAFETY: the child reads and writes words of shared memory, allocates nothing, and ends without handlers.
        match unsafe { fork() }.expect("a child") {
            ForkResult::Parent { child } => children.push(child),
            ForkResult::Child => {
                go(seed, if seed < 3 { usize::MAX } else { 60_000 });
                // SAFETY: ends the child without the exit handlers of the test harness.
                unsafe { libc::_exit(0) };
            }
        }
    }
    let running = AtomicUsize::new(4);
    thread::scope(|scope| {
        for seed in 10..14 {
            let running = &running;
            scope.spawn(move || {
                go(seed, 60_000);
                running.fetch_sub(1, Ordering::Relaxed);
            });
        }
    });
    // Those that would go on for ever are in the middle of an update.
    for &child in &children[..3] {
        kill(child, Signal::SIGKILL).expect("a child");
    }
    for &child in &children {
        waitpid(child, None).expect("its end");
    }
    let last = counts[KEYS as usize].load(Ordering::Relaxed) / 64 * 10;
    let most = burst + last / interval;
    let mut passed = 0;
    for key in 0..KEYS {
        let count = counts[key as usize].load(Ordering::Relaxed);
        assert!(count <= most, "{count} of key {key} passed, not {most}");
        passed += count;
    }
    assert!(passed > most, "more than one key has been served: {passed}");
    // The table serves on: after all debts are paid, each key has its burst.
    let later = start + Duration::from_micros(last) + Duration::from_secs(60);
    let key = table.key(b"new");
    let (left, wait) = (burst - 1, Duration::ZERO);
    assert_eq!(table.take(key, later), LimitVerdict::Passed { left, wait });
}
