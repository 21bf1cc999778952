//! A report of a scoreboard that is written by hand.

use std::time::Duration;

use super::*;
use crate::scoreboard::{
    Claimant, ConnectionStates, RequestTimes, ResponseFigures, ServerState, SlotState,
};

fn report(board: &Scoreboard) -> StatusReport {
    let handoff = Handoff::new().expect("a socket pair");
    handoff.note_sent();
    StatusReport::read(StatusContext {
        scoreboard: board,
        handoff: &handoff,
        application: "native:hello".to_owned(),
        threads_per_worker: 2,
        timeout_seconds: 30.0,
        listeners: Vec::new(),
        rate_limits: Vec::new(),
        application_metrics: Vec::new(),
    })
}

fn claim(board: &Scoreboard, index: usize, kind: SlotKind, age: u64) {
    let claimant = Claimant {
        kind,
        age,
        generation: 3,
        threads: 2,
    };
    board.claim(index, claimant);
}

#[test]
fn a_report_has_every_figure_of_workers_and_keeps_other_children_out_of_the_sums() {
    let board = Scoreboard::new().expect("a mapping");
    board.master().begin();
    board.set_server_state(ServerState::Draining);
    claim(&board, 0, SlotKind::Admin, 9);
    claim(&board, 2, SlotKind::Worker, 4);
    board.set_pid(2, std::process::id().cast_signed());
    for index in [0, 2] {
        let slot = board.slot(index);
        slot.set_state(SlotState::Ready);
        slot.set_connection_states(ConnectionStates {
            idle: 3,
            reading: 2,
            writing: 1,
            away: 4,
        });
        let number = slot
            .thread(1)
            .begin(monotonic_millis() - 2000, b"GET", b"/a", "7");
        slot.thread(1).set_stuck(number);
        slot.thread(1).record(ResponseFigures {
            method: b"POST",
            status: 500,
            times: Some(RequestTimes {
                queue: Duration::from_millis(30),
                total: Duration::from_millis(300),
            }),
            proxy_queue: None,
        });
        slot.thread(1).count_refusal(RefusalReason::MaxQueue);
    }
    let report = report(&board);
    assert_eq!(report.server.state, "draining");
    assert_eq!(report.server.pid, std::process::id().cast_signed());
    let ages: Vec<_> = report.workers.iter().map(|it| (it.age, it.kind)).collect();
    assert_eq!(ages, [(4, "worker"), (9, "admin")]);
    let worker = &report.workers[0];
    let counts = ConnectionCounts {
        idle: 3,
        reading: 2,
        queued: 3,
        running: 1,
        writing: 1,
    };
    assert_eq!(
        (worker.slot, worker.generation, worker.state),
        (2, 3, "ready")
    );
    assert_eq!((worker.requests, worker.errors), (1, 1));
    assert_eq!(worker.connections, counts);
    assert!(worker.longest_request_seconds >= 2.0 && worker.rss_bytes > 0);
    assert_eq!(worker.threads[0].state, "idle");
    assert_eq!(worker.threads[1].state, "stuck");
    let request = worker.threads[1].request.as_ref().expect("it runs");
    let text = [&request.method, &request.path, &request.request_id];
    assert_eq!(text, ["GET", "/a", "7"]);
    assert_eq!((report.requests.active, report.requests.total), (1, 1));
    let refused = [
        ("client_gone", 0),
        ("max_queue", 1),
        ("queue_timeout", 0),
        ("rate_limit", 0),
    ];
    assert_eq!(report.requests.refused, refused.into());
    let all = ConnectionCounts {
        queued: 4,
        ..counts
    };
    assert_eq!(report.connections, all, "one is on its way between workers");
    assert_eq!(report.requests.duration.buckets[6], (0.25, 0));
    assert_eq!(report.requests.duration.buckets[7], (0.5, 1));
    assert_eq!(
        (report.requests.queue.count, report.requests.queue.sum),
        (1, 0.03)
    );
    assert_eq!(report.requests.latency.buckets.len(), 1);
    assert_eq!((report.restarts.len(), report.restarts["oom"]), (10, 0));
}

#[test]
fn nonsense_of_a_child_is_still_json() {
    let board = Scoreboard::new().expect("a mapping");
    claim(&board, 0, SlotKind::Worker, 1);
    let slot = board.slot(0);
    slot.set_heartbeat(u64::MAX);
    slot.set_connection_states(ConnectionStates {
        idle: u64::MAX,
        reading: u64::MAX,
        writing: u64::MAX,
        away: u64::MAX,
    });
    slot.thread(0).begin(
        u64::MAX,
        "\u{0}\"\n".as_bytes(),
        "/\u{1f600}<script>\u{7f}".as_bytes(),
        "\\",
    );
    slot.thread(0).count_octets(u64::MAX, u64::MAX);
    slot.thread(1).count_octets(u64::MAX, u64::MAX);
    let report = report(&board);
    let text = serde_json::to_string(&report).expect("JSON");
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        value["workers"][0]["threads"][0]["request"]["method"],
        "\u{0}\"\n"
    );
    assert_eq!(value["requests"]["sent_bytes"], u64::MAX);
    assert!(text.bytes().all(|octet| octet >= b' '));
}

/// Not a limit of time: `cargo test --release -p oxicorn-common --lib -- --ignored --nocapture many_threads`.
#[test]
#[ignore = "a measurement"]
fn many_threads_are_read_soon() {
    let board = Scoreboard::new().expect("a mapping");
    for index in 0..64 {
        let claimant = Claimant {
            kind: SlotKind::Worker,
            age: index as u64,
            generation: 1,
            threads: 8,
        };
        board.claim(index, claimant);
        board.set_pid(index, std::process::id().cast_signed());
        for thread in board.slot(index).threads() {
            thread.begin(
                monotonic_millis(),
                b"GET",
                "/path".repeat(20).as_bytes(),
                "id",
            );
        }
    }
    let started = std::time::Instant::now();
    let first = report(&board);
    let cold = started.elapsed();
    let warm = (0..20).map(|_| {
        let started = std::time::Instant::now();
        drop(report(&board));
        started.elapsed()
    });
    let mut warm: Vec<_> = warm.collect();
    warm.sort();
    println!(
        "{} children: first {cold:?}, then {:?} (median of 20)",
        first.workers.len(),
        warm[10]
    );
}

#[test]
fn the_last_reload_is_the_one_that_began_last() {
    let board = Scoreboard::new().expect("a mapping");
    board.master().begin();
    // The outcome of a reload is known a second after its workers serve; by then the next one may have failed.
    board.count_reload(3, Some("no file"));
    board.count_reload(2, None);
    let last = || report(&board).reloads.history.pop().expect("a reload");
    assert_eq!((last().generation, last().failure.is_some()), (3, true));
    // One whose settings could not be read leaves its number to the next.
    board.count_reload(3, None);
    assert_eq!((last().generation, last().failure.is_some()), (3, false));
}
