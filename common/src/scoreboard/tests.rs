//! The scoreboard as a whole: who counts, and that nothing that was counted is ever lost.

use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use super::*;

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
        method: "GET",
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
    assert_eq!(board.slots().count(), 4);
    slot.thread(0).record(response(200, 4));
    slot.thread(1).record(response(503, 20));
    slot.event_loop().record(ResponseFigures {
        method: "BREW",
        status: 431,
        times: None,
        proxy_queue: Some(Duration::from_millis(30)),
    });
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
    assert_eq!(living.sum(Timed::Duration), 24_000);
    assert_eq!(living.times(Timed::Duration)[..3], [1, 0, 1]);
    assert_eq!(living.times(Timed::Queue)[..2], [2, 0]);
    assert_eq!(living.times(Timed::ProxyQueue)[..4], [0, 0, 0, 1]);
    assert_eq!(living.latency().iter().sum::<u64>(), 2);
    assert_eq!(board.totals_of(3), living);

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
        assert_eq!(board.totals_of(index).requests(), 1);
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
    assert_eq!(restarts, [0, 0, 0, 1, 0, 0, 0, 0]);
    assert_eq!(totals.reloads(), (2, 1));
    assert_eq!(board.master().reloads().len(), 3);
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
        let mut last = 0;
        while !over.load(Ordering::Acquire) {
            let requests = board.totals().requests();
            assert!(
                (last..=ROUNDS).contains(&requests),
                "{requests} after {last}"
            );
            last = requests;
        }
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
