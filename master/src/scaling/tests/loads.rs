//! Steps, ramps, spikes, noise, days, blocked and stuck requests: it settles within 10 s, does not
//! flap, and stays within its bounds (which `SimulatedServer` checks after each step of its clock).

use oxicorn_common::scoreboard::ScalingCause;

use super::simulated_server::{Change, Dice, SimulatedServer, Traffic};

/// Requests that take this long on average, each another time.
fn about(mean: f64) -> impl Fn(f64, &mut Dice) -> f64 {
    move |_, dice| dice.exponential(mean)
}

/// Requests that all take as long.
fn exactly(time: f64) -> impl Fn(f64, &mut Dice) -> f64 {
    move |_, _| time
}

fn rises(change: &Change) -> bool {
    change.to > change.from
}

/// When the last step up came, of those within half a minute from `from` on.
fn settled_at(server: &SimulatedServer, from: f64) -> f64 {
    let within = |it: &&Change| rises(it) && it.at >= from && it.at < from + 30.0;
    let ups = server.changes.iter().filter(within);
    ups.map(|it| it.at).fold(from, f64::max)
}

#[test]
fn a_step_settles_within_ten_seconds_and_serves_without_a_wait() {
    for (threads, boot) in [(1, 0.3), (1, 1.5), (4, 0.3), (4, 1.5)] {
        for seed in 0..3 {
            let mut server = SimulatedServer::new(threads, 1, 16, seed);
            server.boot = boot;
            // 0.1 and then 5 threads' worth of requests.
            let rate = |now| if now < 60.0 { 2.0 } else { 100.0 };
            server.run(&Traffic::open(rate, about(0.05)), 180.0);
            let (late, settled) = (server.late(70.0, 180.0, 0.2), settled_at(&server, 60.0));
            let what = format!(
                "{threads} threads, boot {boot}, seed {seed}: {:?}",
                server.changes
            );
            assert!(settled < 70.0 && late < 0.01, "{late} late; {what}");
            assert_eq!(server.flapping(0.0), None, "{what}");
            let needed = 5_usize.div_ceil(threads);
            assert!((needed..=4 * needed).contains(&server.wanted), "{what}");
        }
    }
}

#[test]
fn clients_that_wait_for_their_answers_get_a_thread_each_within_ten_seconds() {
    for (threads, takes) in [(1, 0.02), (1, 0.5), (1, 20.0), (4, 0.1)] {
        let mut server = SimulatedServer::new(threads, 1, 32, 1);
        server.boot = 0.4;
        let clients = |now| if now < 30.0 { 0 } else { 20 };
        server.run(&Traffic::closed(clients, exactly(takes)), 120.0);
        let what = format!("{threads} threads, {takes} s: {:?}", server.changes);
        assert!(server.wanted * threads >= 20, "{what}");
        assert!(settled_at(&server, 30.0) < 40.0, "{what}");
        assert_eq!(server.late(40.0, 120.0, 0.1), 0.0, "{what}");
    }
}

#[test]
fn a_constant_load_does_not_flap_whatever_it_is() {
    for threads in [1, 4] {
        for takes in [0.02, 0.3, 3.0] {
            for demand in [0.2, 0.7, 1.5, 5.0] {
                let mut server = SimulatedServer::new(threads, 1, 16, 7);
                let rate = demand / takes;
                server.run(&Traffic::open(move |_| rate, about(takes)), 600.0);
                let what = format!("{threads} threads, {takes} s, demand {demand}");
                assert_eq!(server.flapping(0.0), None, "{what}: {:?}", server.changes);
            }
        }
    }
}

#[test]
fn what_was_added_goes_again_but_slowly() {
    let mut server = SimulatedServer::new(2, 2, 12, 3);
    let clients = |now| if now < 60.0 { 20 } else { 0 };
    server.run(&Traffic::closed(clients, exactly(0.1)), 240.0);
    let down: Vec<_> = server.changes.iter().filter(|it| !rises(it)).collect();
    assert_eq!(server.wanted, 2, "{down:?}");
    assert!(down[0].at >= 115.0 && down.iter().all(|it| it.from - it.to == 1));
    assert!(down.windows(2).all(|pair| pair[1].at - pair[0].at >= 5.0));
    assert!(down.iter().all(|it| it.cause == ScalingCause::Idle));
}

#[test]
fn a_ramp_is_followed_without_a_queue() {
    let mut server = SimulatedServer::new(2, 1, 16, 5);
    let rate = |now: f64| 20.0 + now;
    server.run(&Traffic::open(rate, about(0.05)), 300.0);
    assert!(server.changes.iter().all(rises), "{:?}", server.changes);
    let late = server.late(10.0, 300.0, 0.25);
    assert!(late < 0.05, "{late} late: {:?}", server.changes);
}

#[test]
fn spikes_that_come_again_find_the_workers_that_they_need() {
    let mut server = SimulatedServer::new(1, 1, 16, 9);
    // Three seconds of each 90: the first steps down are wrong.
    let rate = |now: f64| if now % 90.0 < 3.0 { 120.0 } else { 1.0 };
    server.run(&Traffic::open(rate, about(0.05)), 1800.0);
    let ups = |from: f64| {
        let later = server.changes.iter().filter(|it| rises(it) && it.at > from);
        later.count()
    };
    assert!(ups(900.0) < ups(0.0) - ups(900.0), "{:?}", server.changes);
    assert_eq!(server.flapping(0.0), None);
}

#[test]
fn a_day_is_followed_with_few_changes() {
    let mut server = SimulatedServer::new(2, 2, 20, 11);
    // A day of 40 minutes, from 1 to 15 threads' worth.
    let rate = |now: f64| 160.0 - 140.0 * (now * std::f64::consts::TAU / 2400.0).cos();
    server.run(&Traffic::open(rate, about(0.05)), 2400.0);
    assert!(server.changes.len() < 60, "{:?}", server.changes);
    assert!(server.wanted < 8 && server.changes.iter().any(|it| it.to >= 8));
    assert!(server.late(10.0, 2400.0, 0.25) < 0.03);
}

#[test]
fn where_all_threads_are_blocked_the_number_goes_to_its_end_and_back() {
    let mut server = SimulatedServer::new(2, 1, 6, 13);
    // A database that does not answer for a minute.
    let takes = |now: f64, _: &mut Dice| {
        if (30.0..90.0).contains(&now) {
            100.0 - now
        } else {
            0.02
        }
    };
    server.run(&Traffic::open(|_| 10.0, takes), 400.0);
    assert!(
        server.changes.iter().any(|it| it.to == 6),
        "{:?}",
        server.changes
    );
    assert_eq!(server.flapping(0.0), None);
    assert_eq!(server.wanted, 1);
}

#[test]
fn busy_threads_are_no_reason_for_a_worker_while_others_are_in_reserve() {
    for reserve in [0, 4] {
        let mut server = SimulatedServer::new(4, 1, 8, 21);
        server.reserve = reserve;
        // All threads that serve are always busy, and no request waits.
        server.run(&Traffic::closed(|_| 4, exactly(0.1)), 60.0);
        assert_eq!(
            server.changes.is_empty(),
            reserve > 0,
            "{:?}",
            server.changes
        );
        // Requests that wait are one, as ever.
        server.run(&Traffic::closed(|_| 8, exactly(0.1)), 120.0);
        assert!(server.wanted > 1);
    }
}

#[test]
fn threads_that_are_being_called_up_come_before_workers() {
    let mut server = SimulatedServer::new(2, 1, 4, 23);
    server.reserve = 14;
    // No request ends, so a step takes a second.
    let stuck = Traffic::closed(|_| 12, exactly(1e6));
    server.run(&stuck, 0.3);
    for second in 1..=8 {
        (server.threads, server.reserve) = (server.threads + 1, server.reserve - 1);
        server.run(&stuck, 0.3 + f64::from(second));
    }
    assert_eq!(server.changes, []);
    // No further step helps, or the worker knows better.
    server.run(&stuck, 20.0);
    assert!(server.wanted > 1);
}

#[test]
fn one_stuck_request_costs_one_worker_at_most() {
    let mut server = SimulatedServer::new(1, 1, 8, 15);
    let clients = |now: f64| usize::from(now > 10.0);
    server.run(&Traffic::closed(clients, exactly(1e6)), 600.0);
    assert_eq!(server.wanted, 2, "{:?}", server.changes);
    assert_eq!(server.changes.len(), 1);
}

#[test]
fn an_idle_server_stays_as_it_is() {
    let mut server = SimulatedServer::new(1, 2, 8, 17);
    server.run(&Traffic::open(|_| 0.5, exactly(0.005)), 300.0);
    assert_eq!(server.changes, []);
}

#[test]
fn a_worker_that_dies_is_no_reason_to_scale() {
    let mut server = SimulatedServer::new(4, 2, 8, 19);
    let traffic = Traffic::open(|_| 40.0, about(0.05));
    server.run(&traffic, 60.0);
    server.kill_one();
    server.run(&traffic, 120.0);
    assert_eq!(server.changes, []);
}
