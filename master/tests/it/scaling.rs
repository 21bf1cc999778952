//! Automatic scaling: the load moves the number of workers, operators move its floor, and nothing loses a request.

mod memory;
mod refusals;
mod threads;

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::harness::{
    BootGate, Builder, Controller, Load, Mode, Process, Server, TIMEOUT, eventually,
    eventually_within,
};
use crate::upgrade::NewMaster;

/// The server waits for a minute before it does with fewer workers.
const DOWN_TIMEOUT: Duration = Duration::from_secs(300);
/// Clients that keep twice as many threads busy as there may be.
const CLIENTS: usize = 8;
const MOST: usize = 4;

/// A lab with one thread per worker, and from one worker to [`MOST`].
fn elastic(name: &str) -> Builder {
    let most = MOST.to_string();
    Server::new(name)
        .lab()
        .workers(1)
        .args(&["--max-workers", &most])
}

fn load(server: &Server) -> Load {
    let address = server.address();
    Load::start(address, CLIENTS, Mode::KeepAlive, "/sleep?ms=300")
}

/// Waits until the server has scaled up, all workers that it wants serve, and no other is left.
fn wait_for_most(server: &Server) -> Vec<Process> {
    server.log().wait_for(&format!(" to {MOST} workers: "));
    let mut control = Controller::of(server);
    eventually("all workers serve", || {
        let status = control.call("status").expect("told");
        let workers = status["workers"].as_array().expect("a list");
        let ready = workers.iter().filter(|it| it["state"] == "ready").count();
        (ready == MOST && workers.len() == MOST).then_some(())
    });
    server.wait_for_children(MOST)
}

#[test]
fn a_step_of_the_load_raises_the_workers_loses_nothing_and_they_fall_again() {
    let server = elastic("scaling").start();
    let load = load(&server);
    wait_for_most(&server);
    load.wait_for_more(4 * CLIENTS as u64);
    load.stop().assert_perfect();
    let least = "they fall again";
    eventually_within(DOWN_TIMEOUT, least, || {
        (server.children().len() == 1).then_some(())
    });
    let log = server.log();
    let last = "Scaling down from 2 to 1 workers: at most 0.0 of 2 threads were needed in 60 s";
    assert!(log.count(last) == 1, "{}", log.text());
    let status = Controller::of(&server).call("status").expect("told");
    let scaling = &status["server"]["scaling"];
    let bounds = [&scaling["floor"], &scaling["most"]].map(serde_json::Value::as_u64);
    assert_eq!(bounds, [Some(1), Some(MOST as u64)]);
    let last = &scaling["last"];
    assert_eq!(
        (last["direction"].as_str(), last["cause"].as_str()),
        (Some("down"), Some("idle"))
    );
    let count = |cause: &str| {
        let counts = status["scalings"].as_array().expect("a list");
        let found = counts.iter().find(|it| it["cause"] == cause);
        found.and_then(|it| it["count"].as_u64()).expect("a count")
    };
    assert_eq!(count("idle"), MOST as u64 - 1);
    assert!(count("queue") >= 1 && count("memory") == 0);
}

/// The new workers are killed while they boot; they are replaced, and nobody notices.
#[test]
fn workers_that_are_killed_while_they_scale_are_replaced() {
    let (builder, gate) = BootGate::open_for(elastic("scaling-kill"));
    let mut server = builder.start();
    server.tolerate("was killed by SIGKILL");
    let first = server.children();
    gate.close();
    let load = load(&server);
    server.log().wait_for("Scaling up from 1 to");
    let victim = eventually("a worker that boots", || {
        let mut children = server.children().into_iter();
        children.find(|it| !first.contains(it))
    });
    victim.signal(Signal::SIGKILL);
    server.log().wait_for("before it was ready");
    gate.open();
    wait_for_most(&server);
    load.wait_for_more(2 * CLIENTS as u64);
    load.stop().assert_perfect();
}

#[test]
fn a_reload_keeps_the_number_and_one_amid_scaling_loses_nothing() {
    let (builder, gate) = BootGate::open_for(elastic("scaling-reload"));
    let server = builder.start();
    gate.close();
    let load = load(&server);
    // The next workers cannot boot, and meanwhile the settings are read again.
    server.log().wait_for("Scaling up from 1 to ");
    server.signal(Signal::SIGHUP);
    server.log().wait_for("Hang up: Master");
    gate.open();
    server.log().wait_for("Generation 2 serves with ");
    let before = wait_for_most(&server);
    server.signal(Signal::SIGHUP);
    let line = format!("Generation 3 serves with {MOST} workers");
    server.log().wait_for(&line);
    server.wait_for_others(&before, MOST);
    load.wait_for_more(2 * CLIENTS as u64);
    load.stop().assert_perfect();
}

#[test]
fn signals_and_clients_of_the_control_socket_move_the_floor() {
    let server = elastic("scaling-floor").start();
    server.signal(Signal::SIGTTIN);
    server.wait_for_children(2);
    server.signal(Signal::SIGHUP);
    server.log().wait_for("Generation 2 serves with 2 workers");
    let mut control = Controller::of(&server);
    let answer = control.call("worker add 2").expect("told");
    assert_eq!(
        (answer["previous"].as_u64(), answer["total"].as_u64()),
        (Some(2), Some(4))
    );
    server.wait_for_children(MOST);
    server.signal(Signal::SIGTTIN);
    let text = "Signal ttin has no effect: 4 workers are the most (max_workers)";
    server.log().wait_for(text);
    let error = control.call("worker add 1").expect_err("too many");
    assert!(error.contains("1 to 4"), "{error}");
    let answer = control.call("worker remove 3").expect("told");
    assert_eq!(answer["total"].as_u64(), Some(1));
    server.wait_for_children(1);
}

/// The new master begins with as many workers as the load needs. The one that SIGWINCH has emptied stays empty.
#[test]
fn an_upgrade_keeps_the_number_and_loses_nothing() {
    let mut server = elastic("scaling-upgrade").start();
    let load = load(&server);
    wait_for_most(&server);
    let before = server.log().count("Scaling up from");
    let new_master = NewMaster::start_booting(&server);
    server.log().wait_for(") serves");
    assert_eq!(new_master.0.children().len(), MOST);
    server.signal(Signal::SIGWINCH);
    load.wait_for_more(2 * CLIENTS as u64);
    assert_eq!(server.log().count("Scaling up from"), before);
    server.signal(Signal::SIGTERM);
    server.wait_for_exit_within(TIMEOUT);
    load.wait_for_more(2 * CLIENTS as u64);
    load.stop().assert_perfect();
    new_master.end();
}
