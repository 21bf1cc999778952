//! Workers that are replaced because they are old or large, and children that take too long to boot.

use std::time::Instant;

use nix::sys::signal::Signal;
use nix::unistd::Uid;

use crate::harness::{BootGate, Load, Mode, Server, eventually};

/// Makes one worker larger, and returns its pid.
fn grow(server: &Server, mib: usize) -> String {
    server.get(&format!("/grow?mib={mib}")).text()
}

#[test]
fn a_worker_that_grows_is_replaced_under_load_without_an_error() {
    let server = Server::new("max worker memory")
        .lab()
        .workers(2)
        .threads(2)
        .args(&["--max-worker-memory", "24M"])
        .start();
    let load = Load::start(server.address(), 4, Mode::KeepAlive, "/pid");
    let pid = grow(&server, 40);
    let line = server
        .log()
        .wait_for(&format!("Replacing Worker (pid: {pid})"));
    assert!(
        line.contains("MiB of memory, more than max_worker_memory (24.0 MiB)"),
        "{line}"
    );
    eventually("it is gone", || {
        let children = server.children();
        let is_gone = children.iter().all(|it| it.0.to_string() != pid);
        (is_gone && children.len() == 2).then_some(())
    });
    load.wait_for_more(200);
    load.stop().assert_perfect();
    assert_eq!(server.log().count("Replacing Worker"), 1);
}

/// Such a process may not be traced by others of its user, so only it can measure itself.
#[test]
fn a_worker_that_has_changed_its_user_is_measured_too() {
    if !Uid::effective().is_root() {
        eprintln!("skipped: only root can become somebody else");
        return;
    }
    let server = Server::new("max worker memory, nobody")
        .lab()
        .args(&["--user", "nobody", "--group", "nogroup"])
        .args(&["--max-worker-memory", "24"])
        .start();
    let pid = grow(&server, 40);
    server
        .log()
        .wait_for(&format!("Replacing Worker (pid: {pid})"));
    assert_eq!(server.log().count("cannot be read"), 0);
}

#[test]
fn fresh_workers_over_the_limit_do_not_make_the_server_restart_them_for_ever() {
    let began = Instant::now();
    let server = Server::new("a limit that is too low")
        .lab()
        .workers(3)
        .args(&["--max-worker-memory", "1M"])
        .start();
    let load = Load::start(server.address(), 4, Mode::Fresh, "/pid");
    server
        .log()
        .wait_for("if fresh workers need that much, raise the limit");
    server.log().wait_for("Replacing Worker");
    load.wait_for_more(3000);
    // Two of the first three have to wait, and so has the new one.
    let replaced = server.log().count("Replacing Worker");
    let minutes = began.elapsed().as_secs() / 60;
    assert!(
        replaced as u64 <= 1 + minutes,
        "{replaced} in {minutes} minutes"
    );
    assert_eq!(server.log().count("if fresh workers need that much"), 1);
    load.stop().assert_perfect();
}

#[test]
fn the_largest_worker_goes_when_all_processes_are_too_large_together() {
    let server = Server::new("max total memory")
        .lab()
        .workers(3)
        .args(&["--max-total-memory", "60M"])
        .start();
    let load = Load::start(server.address(), 2, Mode::KeepAlive, "/pid");
    grow(&server, 8);
    let pid = grow(&server, 80);
    let line = server
        .log()
        .wait_for("more than max_total_memory (60.0 MiB)");
    assert!(
        line.contains(&format!("the largest is Worker (pid: {pid})")),
        "{line}"
    );
    server
        .log()
        .wait_for(&format!("Replacing Worker (pid: {pid}): max_total_memory"));
    eventually("it is gone", || {
        let children = server.children();
        let is_gone = children.iter().all(|it| it.0.to_string() != pid);
        (is_gone && children.len() == 3).then_some(())
    });
    load.wait_for_more(100);
    load.stop().assert_perfect();
}

#[test]
fn workers_are_replaced_at_their_age_without_an_error() {
    for mode in [Mode::KeepAlive, Mode::Fresh] {
        let mut server = Server::new("worker max age")
            .lab()
            .workers(2)
            .threads(2)
            .args(&["--worker-max-age", "0.5"])
            .start();
        // Workers come and go until the end: one that boots, and one that is not reaped yet.
        server.expect_descriptors(2);
        let load = Load::start(server.address(), 4, mode, "/pid");
        let line = server.log().wait_for_nth("Replacing Worker", 6);
        assert!(line.contains("worker_max_age (0.5 s)"), "{line}");
        load.wait_for_more(100);
        load.stop().assert_perfect();
    }
}

#[test]
fn a_worker_that_is_not_ready_in_its_time_to_boot_is_killed_and_another_one_tried() {
    let builder = Server::new("boot timeout").lab();
    let (builder, gate) = BootGate::open_for(builder);
    // Without a timeout of requests, and so without heartbeats.
    let mut server = builder
        .args(&["--timeout", "0", "--boot-timeout", "3"])
        .start();
    server.tolerate("boot_timeout");
    let old = server.children();
    gate.close();
    let load = Load::start(server.address(), 2, Mode::KeepAlive, "/pid");
    server.signal(Signal::SIGTTIN);
    server
        .log()
        .wait_for_nth("was killed: it did not get ready in time (boot_timeout)", 2);
    load.wait_for_more(100);
    assert!(server.children().contains(&old[0]), "it serves on");
    // The next one does not have to wait for anything.
    gate.open();
    eventually("two workers", || {
        let answers: Vec<String> = (0..40).map(|_| server.get("/pid").text()).collect();
        answers.iter().any(|it| *it != answers[0]).then_some(())
    });
    load.stop().assert_perfect();
}
