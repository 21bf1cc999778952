//! `refork_after`: a worker that has served for a while becomes the mold of the next ones.

use std::io::ErrorKind;

use nix::sys::signal::Signal;

use crate::harness::{Builder, Client, Load, Log, Mode, Process, Server, eventually};

fn reforking(name: &str, workers: usize) -> Builder {
    Server::new(name)
        .lab()
        .workers(workers)
        .threads(2)
        .args(&["--refork-after", "200"])
}

/// The worker that the log calls the mold, the `number`th time.
fn mold(log: &Log, number: usize) -> Process {
    let line = log.wait_for_nth("is the mold of the next workers (refork_after)", number);
    let (_, rest) = line.split_once("Worker (pid: ").expect("its pid");
    let (pid, _) = rest.split_once(')').expect("its end");
    Process(pid.parse().expect("a number"))
}

/// Waits until there are `count` workers, and all of them are forks of `mold`: they have booted after it became that.
fn wait_for_forks(server: &Server, mold: Process, count: usize) -> Vec<Process> {
    let became = format!("Worker (pid: {}) is the mold", mold.0);
    eventually("all workers are forks", || {
        let lines = server.log().lines();
        let after = lines.iter().skip_while(|line| !line.contains(&became));
        let pids: Vec<&str> = after
            .filter_map(|line| Some(line.split_once("Booting worker with pid: ")?.1))
            .collect();
        let mut children = server.children();
        children.retain(|child| *child != mold);
        let is_fork = |child: &Process| pids.contains(&&*child.0.to_string());
        (children.iter().all(is_fork) && children.len() == count).then_some(children)
    })
}

/// The descriptors of the master that belong to a mold: the pipe from it, and the socket to it.
const OF_A_MOLD: usize = 2;

/// Gives all workers something that their forks will have too.
fn fill(server: &Server, workers: usize) {
    let mut filled = Vec::new();
    while filled.len() < workers {
        let pid = server.get("/grow?mib=1").text();
        if !filled.contains(&pid) {
            filled.push(pid);
        }
    }
}

#[test]
fn a_warm_worker_becomes_the_mold_of_all_others_under_load_without_an_error() {
    for mode in [Mode::KeepAlive, Mode::Fresh] {
        let mut server = reforking("refork", 3).start();
        server.expect_descriptors(OF_A_MOLD);
        fill(&server, 3);
        let load = Load::start(server.address(), 4, mode, "/pid");
        let mold = mold(server.log(), 1);
        let workers = wait_for_forks(&server, mold, 3);
        load.wait_for_more(500);
        load.stop().assert_perfect();
        assert!(mold.is_alive() && mold.command_line().contains("mold"));
        for worker in workers {
            let is_shown = || worker.command_line().contains("worker").then_some(());
            eventually("the title of a worker", is_shown);
        }
        for _ in 0..20 {
            assert_ne!(
                server.get("/kept").text(),
                "0",
                "it has the memory of the mold"
            );
        }
        // Each has a slot, a pipe and metrics of its own.
        assert_eq!(server.get("/count?name=lab_orders_total&by=1").status, 200);
        assert_eq!(server.log().count("is the mold"), 1);
    }
}

#[test]
fn max_requests_works_beside_it_and_its_workers_are_forks_too() {
    let mut server = reforking("refork and max requests", 2)
        .args(&["--max-requests", "300", "--max-requests-jitter", "50"])
        .start();
    server.expect_descriptors(OF_A_MOLD);
    fill(&server, 2);
    let load = Load::start(server.address(), 4, Mode::KeepAlive, "/pid");
    let mold = mold(server.log(), 1);
    server.log().wait_for_nth(": max_requests", 4);
    load.stop().assert_perfect();
    assert!(mold.is_alive());
    for _ in 0..20 {
        assert_ne!(server.get("/kept").text(), "0");
    }
}

#[test]
fn a_mold_that_is_killed_costs_no_request_and_the_next_workers_come_without_it() {
    let mut server = reforking("refork, dead mold", 2).start();
    server.tolerate("");
    server.expect_descriptors(OF_A_MOLD);
    let load = Load::start(server.address(), 4, Mode::KeepAlive, "/pid");
    let first = mold(server.log(), 1);
    wait_for_forks(&server, first, 2);
    first.signal(Signal::SIGKILL);
    server
        .log()
        .wait_for(&format!("Mold (pid: {}) was killed by SIGKILL", first.0));
    load.wait_for_more(300);
    // Some of them is warm, and the next one.
    let second = mold(server.log(), 2);
    wait_for_forks(&server, second, 2);
    load.wait_for_more(100);
    load.stop().assert_perfect();
}

#[test]
fn a_mold_that_stands_still_delays_new_workers_and_nothing_else() {
    let mut server = reforking("refork, stopped mold", 2).start();
    server.expect_descriptors(OF_A_MOLD);
    let load = Load::start(server.address(), 4, Mode::KeepAlive, "/pid");
    let mold = mold(server.log(), 1);
    wait_for_forks(&server, mold, 2);
    mold.signal(Signal::SIGSTOP);
    server.signal(Signal::SIGTTIN);
    server.log().wait_for("Handling signal: ttin");
    load.wait_for_more(300);
    mold.signal(Signal::SIGCONT);
    eventually("three workers and the mold", || {
        (server.children().len() == 4).then_some(())
    });
    load.stop().assert_perfect();
    server.expect_descriptors(OF_A_MOLD);
}

#[test]
fn a_reload_loads_new_code_and_makes_a_new_mold() {
    let mut server = reforking("refork and reload", 2).start();
    server.expect_descriptors(OF_A_MOLD);
    fill(&server, 2);
    let load = Load::start(server.address(), 4, Mode::KeepAlive, "/pid");
    let first = mold(server.log(), 1);
    wait_for_forks(&server, first, 2);
    let before = server.children();
    load.stop().assert_perfect();
    server.signal(Signal::SIGHUP);
    server.wait_for_others(&before, 2);
    assert_eq!(server.get("/kept").text(), "0", "it was loaded again");
    let load = Load::start(server.address(), 4, Mode::KeepAlive, "/pid");
    let second = mold(server.log(), 2);
    wait_for_forks(&server, second, 2);
    load.stop().assert_perfect();
}

#[test]
fn threads_and_connections_of_the_application_forbid_it_and_the_log_says_which() {
    for (thing, reason) in [
        (
            "thread",
            "it has threads that a fork would not have (poller)",
        ),
        (
            "connection",
            "it has open connections that workers cannot share (to 127.0.0.1:",
        ),
    ] {
        let server = reforking("no refork", 1).start();
        let port = server.address().port();
        server.get(&format!("/keep?{thing}={port}"));
        let load = Load::start(server.address(), 2, Mode::KeepAlive, "/pid");
        let line = server
            .log()
            .wait_for("cannot become the mold of the next workers");
        assert!(line.contains(reason), "{line}");
        // It is not tried again: the next one is warm long before.
        load.wait_for_more(1000);
        load.stop().assert_perfect();
        assert_eq!(server.log().count("Replacing Worker"), 1);
        server.wait_for_children(1);
    }
}

#[test]
fn requests_that_do_not_end_cost_the_mold_and_not_the_server() {
    let builder = reforking("refork, long request", 1).args(&["--graceful-timeout", "1"]);
    let gate = builder.dir().join("gate");
    let mut server = builder.start();
    server.tolerate("");
    let mut held = server.client();
    let target = format!(
        "GET /hold?until={} HTTP/1.1\r\nHost: test\r\n\r\n",
        gate.display()
    );
    held.send(target.as_bytes()).expect("sent");
    let load = Load::start(server.address(), 2, Mode::KeepAlive, "/pid");
    server
        .log()
        .wait_for("Workers go on to load the application themselves");
    load.wait_for_more(200);
    load.stop().assert_perfect();
    assert_eq!(server.log().count("is the mold"), 0);
}

#[test]
fn an_application_that_cannot_be_forked_is_named_at_the_start() {
    let server = Server::new("no refork at all")
        .example("own_settings")
        .args(&["--refork-after", "10"])
        .start();
    let line = server.log().wait_for("refork_after has no effect");
    assert!(
        line.contains("cannot be forked once it has served"),
        "{line}"
    );
    let load = Load::start(server.address(), 2, Mode::KeepAlive, "/");
    load.wait_for_more(200);
    load.stop().assert_perfect();
    assert_eq!(server.log().count("Replacing Worker"), 0);
}

#[test]
fn a_worker_that_ends_leaves_no_socket_open_for_clients() {
    let builder = reforking("refork, closed sockets", 1);
    let gate = builder.dir().join("gate");
    let mut server = builder.start();
    let mut held = server.client();
    let target = format!("/hold?until={}", gate.display());
    let head = format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n");
    held.send(head.as_bytes()).expect("sent");
    server.signal(Signal::SIGTERM);
    server.log().wait_for("Worker draining");
    eventually("a client is refused", || {
        let refused = Client::connect(server.address()).err()?;
        (refused.kind() == ErrorKind::ConnectionRefused).then_some(())
    });
    std::fs::write(gate, "").expect("written");
    assert_eq!(held.answer().expect("an answer").status, 200);
    server.wait_for_exit();
}

#[test]
fn nothing_outlives_the_master() {
    let mut server = reforking("refork, dead master", 2).start();
    let load = Load::start(server.address(), 2, Mode::KeepAlive, "/pid");
    let mold = mold(server.log(), 1);
    let workers = wait_for_forks(&server, mold, 2);
    drop(load.stop());
    server.expect_kill();
    server.master().signal(Signal::SIGKILL);
    server.wait_for_exit();
    eventually("the end of all", || {
        let gone = workers.iter().all(|it| !it.is_alive());
        (gone && !mold.is_alive()).then_some(())
    });
}
