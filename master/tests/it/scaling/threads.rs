//! `max_threads`: threads that wait get company, threads that compute get none, and nothing loses a request.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::refusals::refusal;
use crate::harness::{Builder, Controller, Load, Mode, Server, eventually_within};

/// On a busy machine a step may seem to be in vain, and the next try comes after 10 s, then 20, then 40.
const PATIENCE: Duration = Duration::from_secs(300);

const MOST: usize = 8;
/// Together they need every thread.
const CLIENTS: usize = MOST + 2;

fn elastic(name: &str) -> Builder {
    let most = MOST.to_string();
    let builder = Server::new(name).lab().workers(1).threads(1);
    builder.args(&["--max-threads", &most])
}

fn load(server: &Server, target: &str) -> Load {
    Load::start(server.address(), CLIENTS, Mode::KeepAlive, target)
}

/// Waits until all threads of so many workers run a request.
fn wait_for_all(server: &Server, workers: usize) {
    eventually_within(PATIENCE, "all threads work", || {
        (threads(server, "running") == workers * MOST).then_some(())
    });
}

/// How many threads of all workers are in `state`.
fn threads(server: &Server, state: &str) -> usize {
    let status = Controller::of(server).call("status").expect("told");
    let workers = status["workers"].as_array().expect("a list");
    let threads = workers
        .iter()
        .filter(|it| it["kind"] == "worker")
        .flat_map(|it| it["threads"].as_array().expect("a list"));
    threads.filter(|it| it["state"] == state).count()
}

/// Waits until one thread serves and the others are in reserve: what a thread has decided or sent, it shows a moment later.
fn wait_for_least(server: &Server) {
    eventually_within(PATIENCE, "one thread serves", || {
        let found = (threads(server, "idle"), threads(server, "reserve"));
        (found == (1, MOST - 1)).then_some(())
    });
}

#[test]
fn threads_that_wait_get_company_and_it_leaves_when_nobody_needs_it() {
    let server = elastic("max_threads").start();
    wait_for_least(&server);
    let load = load(&server, "/sleep?ms=50");
    wait_for_all(&server, 1);
    load.wait_for_more(2 * CLIENTS as u64);
    load.stop().assert_perfect();
    eventually_within(PATIENCE, "they leave", || {
        let line = "1 of 8 threads serve now (max_threads): at most ";
        (server.log().count(line) == 1).then_some(())
    });
    wait_for_least(&server);
    assert_eq!(server.get("/pid").status, 200);
}

#[test]
fn threads_that_compute_get_none() {
    let server = elastic("max_threads, computing").start();
    let load = load(&server, "/spin?ms=5");
    load.wait_for_more(400);
    load.stop().assert_perfect();
    assert_eq!(
        server.log().count("threads serve now"),
        0,
        "{}",
        server.log().text()
    );
    assert_eq!(threads(&server, "reserve"), MOST - 1);
}

#[test]
fn workers_that_share_their_requests_have_more_threads_each() {
    let server = elastic("max_threads, two workers").workers(2).start();
    let address = server.address();
    let load = Load::start(address, 2 * CLIENTS, Mode::KeepAlive, "/sleep?ms=50");
    wait_for_all(&server, 2);
    load.stop().assert_perfect();
}

/// The new worker begins with as many threads as the one whose load it gets.
#[test]
fn a_reload_keeps_the_threads_that_are_needed_and_loses_nothing() {
    let server = elastic("max_threads, reload").start();
    let load = load(&server, "/sleep?ms=50");
    wait_for_all(&server, 1);
    server.signal(Signal::SIGHUP);
    server.log().wait_for("Generation 2 serves with 1 worker");
    server.wait_for_children(1);
    wait_for_all(&server, 1);
    load.wait_for_more(CLIENTS as u64);
    load.stop().assert_perfect();
    assert_eq!(server.log().count(" 2 of 8 threads serve now"), 1);
}

#[test]
fn a_worker_that_is_killed_is_replaced_by_one_that_begins_anew() {
    let mut server = elastic("max_threads, killed").start();
    server.tolerate("was killed by SIGKILL");
    let load = load(&server, "/sleep?ms=50");
    server
        .log()
        .wait_for(" of 8 threads serve now (max_threads)");
    let [worker] = server.wait_for_children(1)[..] else {
        panic!("one worker");
    };
    worker.signal(Signal::SIGKILL);
    server.wait_for_others(&[worker], 1);
    wait_for_all(&server, 1);
    load.stop();
}

#[test]
fn threads_that_wait_for_each_other_do_not_become_many() {
    let server = elastic("max_threads, a lock")
        .args(&["--max-threads", "64"])
        .start();
    let load = load(&server, "/turn?ms=10");
    let vain = "threads serve now (max_threads): more have not served more requests";
    eventually_within(PATIENCE, "they go back", || {
        (server.log().count(vain) >= 2).then_some(())
    });
    load.stop().assert_perfect();
    assert!(threads(&server, "reserve") > 32, "{}", server.log().text());
}

#[test]
fn threads_that_were_in_vain_leave_while_requests_wait() {
    let server = elastic("max_threads, leaves").start();
    let load = load(&server, "/turn?ms=10");
    let vain = "threads serve now (max_threads): more have not served more requests";
    eventually_within(PATIENCE, "they are in reserve", || {
        let in_vain = server.log().count(vain) >= 1;
        (in_vain && threads(&server, "reserve") >= MOST - 3).then_some(())
    });
    load.stop().assert_perfect();
}

/// Those in reserve take over while the application holds the others for ever; then the worker is replaced as always.
#[test]
fn a_thread_that_is_stuck_leaves_the_clients_to_the_others() {
    let mut server = elastic("max_threads, stuck")
        .args(&["--timeout", "10", "--graceful-timeout", "1"])
        .start();
    server.tolerate("");
    let mut stuck = server.client();
    let request = b"GET /hold?until=/nowhere HTTP/1.1\r\nHost: x\r\n\r\n";
    stuck.send(request).expect("room in the socket");
    eventually_within(PATIENCE, "it is held", || {
        (threads(&server, "running") == 1).then_some(())
    });
    // Without another thread it would wait for as long.
    assert_eq!(server.get("/pid").status, 200);
    server
        .log()
        .wait_for("2 of 8 threads serve now (max_threads)");
    assert_eq!(stuck.answer().expect("an answer").status, 504);
}

#[test]
fn a_worker_ends_with_threads_in_reserve_and_at_work() {
    for signal in [Signal::SIGTERM, Signal::SIGQUIT] {
        let mut server = elastic("max_threads, end").start();
        let load = load(&server, "/sleep?ms=20");
        server
            .log()
            .wait_for("4 of 8 threads serve now (max_threads)");
        load.wait_for_more(1);
        server.signal(signal);
        assert_eq!(server.wait_for_exit().code(), Some(0));
        load.stop();
    }
}

#[test]
fn fewer_than_threads_is_refused() {
    let log = refusal(&["--threads", "4", "--max-threads", "2"], &[]);
    let expected =
        r#"flag --max-threads: invalid value "2": expected threads, which is 4, or more; or 0"#;
    assert!(log.contains(expected), "{log}");
    let log = refusal(&["--max-threads", "257"], &[]);
    assert!(
        log.contains(r#"flag --max-threads: invalid value "257""#),
        "{log}"
    );
}

/// The same number is one that does not change.
#[test]
fn as_many_as_threads_is_a_fixed_number() {
    let server = Server::new("max_threads, fixed").lab().threads(2);
    let server = server.args(&["--max-threads", "2"]).start();
    eventually_within(PATIENCE, "both threads", || {
        (threads(&server, "idle") == 2).then_some(())
    });
    let status: Value = Controller::of(&server).call("status").expect("told");
    assert_eq!(status["server"]["threads_per_worker"], 2);
}
