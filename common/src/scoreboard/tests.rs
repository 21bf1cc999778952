//! The scoreboard as a whole: who counts, and that nothing that was counted is ever lost.

use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use super::*;

/// What the child in slot `index` has counted.
fn totals_of(board: &Scoreboard, index: usize) -> Totals {
    let (_, mut children) = board.totals_and_children();
    children.remove(&index).expect("it is claimed")
}

fn claimant(kind: SlotKind) -> Claimant {
    Claimant {
        kind,
        age: 1,
        generation: 1,
        threads: 2,
    }
}

fn response(status: u16, millis: u64) -> ResponseFigures<'static> {
    ResponseFigures {
        method: b"GET",
        status,
        times: Some(RequestTimes {
            queue: Duration::from_millis(1),
            total: Duration::from_millis(millis),
        }),
        proxy_queue: None,
    }
}

#[test]
fn totals_survive_the_child_that_made_them() {
    let board = Scoreboard::new().expect("a mapping");
    board.claim(3, claimant(SlotKind::Worker));
    let slot = board.slot(3);
    assert_eq!(board.claimed().count(), 1);
    slot.thread(0).record(response(200, 4));
    slot.thread(1).record(response(503, 20));
    slot.event_loop().record(ResponseFigures {
        method: b"BREW",
        status: 431,
        times: None,
        proxy_queue: Some(Duration::from_millis(30)),
    });
    slot.thread(1).count_refusal(RefusalReason::QueueTimeout);
    slot.event_loop().count_refusal(RefusalReason::RateLimit);
    slot.event_loop().count_refusal(RefusalReason::RateLimit);
    slot.thread(1).count_octets(0, 15);
    slot.event_loop().count_octets(7, 3);
    let living = board.totals();
    let responses: Vec<_> = living.responses().collect();
    assert_eq!(
        responses,
        [("GET", 200, 1), ("GET", 503, 1), ("other", 431, 1)]
    );
    assert_eq!((living.requests(), living.errors()), (3, 1));
    assert_eq!((living.received_octets(), living.sent_octets()), (7, 18));
    let refusals = RefusalReason::ALL.map(|reason| living.refusals(reason));
    assert_eq!(refusals, [1, 0, 2, 0]);
    assert_eq!(living.sum(Timed::Duration), 24_000);
    assert_eq!(living.times(Timed::Duration)[..3], [1, 0, 1]);
    assert_eq!(living.times(Timed::Queue)[..2], [2, 0]);
    assert_eq!(living.times(Timed::ProxyQueue)[..4], [0, 0, 0, 1]);
    assert_eq!(living.latency().iter().sum::<u64>(), 2);
    assert_eq!(totals_of(&board, 3), living);

    board.fold(3);
    assert_eq!(board.totals(), living);
    assert!(board.claim_of(3).kind().is_none() && board.slot(3).is_free());
    board.claim(3, claimant(SlotKind::Worker));
    assert_eq!(board.totals(), living, "the slot is empty again");
    board.slot(3).thread(0).record(response(200, 1));
    board.fold(3);
    assert_eq!(board.totals().requests(), 4);
}

#[test]
fn only_workers_count_and_the_master_counts_for_all() {
    let board = Scoreboard::new().expect("a mapping");
    for (index, kind) in [SlotKind::Runner, SlotKind::Admin].into_iter().enumerate() {
        board.claim(index, claimant(kind));
        board.slot(index).thread(0).record(response(200, 1));
        assert_eq!(totals_of(&board, index).requests(), 1);
        assert_eq!(board.totals().requests(), 0);
        board.fold(index);
        assert_eq!(board.totals().requests(), 0);
    }
    board.count_restart(RestartReason::OutOfMemory);
    board.count_reload(2, Some("no"));
    board.count_reload(3, None);
    board.claim(0, claimant(SlotKind::Worker));
    board.fold(0);
    board.count_reload(4, None);
    let totals = board.totals();
    let restarts = RestartReason::ALL.map(|reason| totals.restarts(reason));
    assert_eq!(restarts, [0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(totals.reloads(), (2, 1));
    assert_eq!(board.master().reloads().len(), 3);
}

/// Reads all the time until it is over: no total falls or is more than `most`.
fn read_until(over: &AtomicBool, board: &Scoreboard, most: u64) {
    let mut last = 0;
    while !over.load(Ordering::Acquire) {
        let requests = board.totals().requests();
        assert!((last..=most).contains(&requests), "{requests} after {last}");
        last = requests;
    }
}

#[test]
fn no_total_falls_or_counts_twice_while_children_die() {
    const ROUNDS: u64 = 2000;
    let (board, over) = (
        Scoreboard::new().expect("a mapping"),
        AtomicBool::new(false),
    );
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..ROUNDS {
                board.claim(0, claimant(SlotKind::Worker));
                board.slot(0).thread(1).record(response(200, 1));
                board.fold(0);
            }
            over.store(true, Ordering::Release);
        });
        read_until(&over, &board, ROUNDS);
    });
    assert_eq!(board.totals().requests(), ROUNDS);
}

#[test]
fn nonsense_of_a_child_makes_no_total_fall() {
    let board = Scoreboard::new().expect("a mapping");
    board.claim(0, claimant(SlotKind::Worker));
    board.slot(0).event_loop().count_octets(u64::MAX - 1, 9);
    board.slot(0).thread(0).count_octets(5, 0);
    assert_eq!(board.totals().received_octets(), u64::MAX);
    board.fold(0);
    assert_eq!(board.totals().received_octets(), u64::MAX);
    assert_eq!(board.totals().sent_octets(), 9);
}

#[test]
fn clones_share_the_memory() {
    let board = Scoreboard::new().expect("a mapping");
    board.clone().set_deserted(true);
    assert!(board.is_deserted());
    for state in [
        ServerState::Serving,
        ServerState::Draining,
        ServerState::Stopping,
        ServerState::HandingOver,
    ] {
        board.clone().set_server_state(state);
        assert_eq!(board.server_state(), state);
    }
    board.master().begin();
    board.master().set_generation(3);
    board.master().set_target(4);
    let page = board.master();
    assert_eq!((page.generation(), page.target()), (3, 4));
    assert!(page.pid() > 0 && page.started() > 0 && page.started_at() > 1e9);
}

/// Two masters of an upgrade.
fn two_masters() -> (Scoreboard, OwnedFd, Scoreboard) {
    let (old, file) = Scoreboard::inheritable().expect("a mapping");
    let file = file.expect("memfd_create(2)");
    let new = Scoreboard::inherited(&file, old.next_side()).expect("the same words");
    (old, file, new)
}

#[test]
fn both_masters_of_an_upgrade_tell_the_same_totals_and_each_has_its_own_children() {
    let (old, _file, new) = two_masters();
    for (board, index, count) in [(&old, 5, 3), (&new, 5, 4)] {
        board.claim(index, claimant(SlotKind::Worker));
        for _ in 0..count {
            board.slot(index).thread(0).record(response(200, 1));
        }
        board.count_restart(RestartReason::Crash);
        assert_eq!(totals_of(board, index).requests(), count);
    }
    old.set_deserted(true);
    old.set_server_state(ServerState::Stopping);
    assert!(!new.is_deserted() && new.server_state() == ServerState::Serving);
    assert_eq!((old.claimed().count(), new.claimed().count()), (1, 1));
    let totals = old.totals();
    assert_eq!((totals.requests(), new.totals()), (7, totals.clone()));
    assert_eq!(totals.restarts(RestartReason::Crash), 2);
    old.fold(5);
    new.fold(5);
    assert_eq!((old.totals(), new.totals()), (totals.clone(), totals));
}

#[test]
fn what_a_master_has_counted_outlives_it_through_further_upgrades() {
    let (first, file, second) = two_masters();
    for board in [&first, &second] {
        board.claim(0, claimant(SlotKind::Worker));
        board.slot(0).thread(0).record(response(200, 1));
        board
            .slot(0)
            .thread(0)
            .count_refusal(RefusalReason::MaxQueue);
    }
    first.count_reload(2, None);
    let all = second.totals();
    // The first is killed, and its worker with it: nobody has folded that.
    drop(first);
    assert_eq!(second.totals(), all);
    second.fold_other_side();
    assert_eq!(second.totals(), all);
    let third = Scoreboard::inherited(&file, second.next_side()).expect("the same words");
    assert_eq!((third.totals(), third.claimed().count()), (all.clone(), 0));
    assert!(third.master().reloads().is_empty());
    // It fails, and is tried again.
    third.claim(0, claimant(SlotKind::Worker));
    third.slot(0).thread(0).record(response(200, 1));
    assert_eq!(second.totals().requests(), 3);
    second.fold_other_side();
    let fourth = Scoreboard::inherited(&file, second.next_side()).expect("the same words");
    assert_eq!(
        (second.totals().requests(), fourth.totals().requests()),
        (3, 3)
    );
    assert_eq!(fourth.totals().reloads(), (1, 0));
    assert_eq!(fourth.totals().refusals(RefusalReason::MaxQueue), 2);
}

#[test]
fn a_master_that_is_killed_while_it_folds_loses_and_doubles_nothing() {
    let (old, _file, new) = two_masters();
    old.claim(0, claimant(SlotKind::Worker));
    old.claim(1, claimant(SlotKind::Worker));
    old.slot(0).thread(0).record(response(200, 1));
    old.slot(1).thread(0).record(response(404, 1));
    let all = old.totals();
    let dead = totals_of(&old, 0);
    // The slot does not count any more, and is half emptied.
    let folded = old.own().folded();
    let killed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        folded.absorb(Released::Slot(0), &dead, || panic!("killed"));
    }));
    assert!(killed.is_err());
    assert_eq!((old.totals(), new.totals()), (all.clone(), all.clone()));
    new.fold_other_side();
    assert_eq!(new.totals(), all);
}

#[test]
fn no_total_falls_or_counts_twice_while_the_other_side_is_folded() {
    const ROUNDS: u64 = 300;
    let (board, file, _) = two_masters();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..ROUNDS {
                let next = Scoreboard::inherited(&file, board.next_side()).expect("words");
                next.claim(3, claimant(SlotKind::Worker));
                next.slot(3).thread(1).record(response(200, 1));
                board.fold_other_side();
            }
            over.store(true, Ordering::Release);
        });
        read_until(&over, &board, ROUNDS);
    });
    assert_eq!(board.totals().requests(), ROUNDS);
}

#[test]
fn memory_of_another_layout_is_refused() {
    let (_old, file, new) = two_masters();
    assert!(Scoreboard::inherited(&file, 2).is_err());
    new.fold_other_side();
    assert!(Scoreboard::inherited(&file, 1).is_err(), "an empty side");
    let (_, other) = SharedMemory::inheritable(512).expect("a mapping");
    assert!(Scoreboard::inherited(other.expect("a file"), 1).is_err());
}

/// `cargo test --release -p oxicorn-common --lib -- --ignored --nocapture cost_of_a_request`.
#[test]
#[ignore = "a measurement"]
fn the_cost_of_a_request_is_small() {
    const REQUESTS: u32 = 100_000;
    let board = Scoreboard::new().expect("a mapping");
    board.claim(0, claimant(SlotKind::Worker));
    let rounds = (0..200).map(|_| {
        let started = std::time::Instant::now();
        for number in 0..REQUESTS {
            let stats = std::hint::black_box(&board).slot(0).thread(1);
            let method = std::hint::black_box(b"GET");
            stats.begin(
                u64::from(number) + 1,
                method,
                std::hint::black_box(b"/hello"),
                "",
            );
            stats.end();
            stats.record(ResponseFigures {
                method,
                ..std::hint::black_box(response(200, 1))
            });
            stats.count_octets(std::hint::black_box(40), std::hint::black_box(130));
        }
        started.elapsed() / REQUESTS
    });
    println!("{:?} per request", rounds.min());
}
