//! What each process has open: a fork copies every descriptor of the master, and a child keeps few of them.

use std::fs;

use nix::sys::signal::Signal;

use crate::harness::{Builder, Process, Server, eventually, eventually_step_by_step};
use crate::upgrade::NewMaster;

/// The descriptors that two processes of a server share: files by name, others by kind.
fn shared(one: Process, other: Process) -> Vec<String> {
    // Inherited from the process that started the tests.
    let own = Process(std::process::id().cast_signed()).open_files();
    let (one, other) = (one.open_files(), other.open_files());
    let shared = one.intersection(&other).filter(|&file| !own.contains(file));
    let names = shared.map(|file| match file.split_once(":[") {
        Some((kind, _)) => kind.to_owned(),
        None => file.rsplit('/').next().unwrap_or(file).to_owned(),
    });
    let mut names: Vec<String> = names.filter(|it| !it.starts_with("null ")).collect();
    names.sort();
    names
}

fn expect_shared(one: Process, other: Process, expected: &[&str]) {
    let titles = [one, other].map(|it| format!("{} {}", it.0, it.command_line()));
    eventually_step_by_step(&format!("{titles:?} share {expected:?}"), || {
        let found = shared(one, other);
        match found == expected {
            true => Ok(()),
            false => Err(found),
        }
    });
}

/// Compares each child with the master and with its siblings. A child has its own end of its pipe, and no end of another's.
fn expect_nothing_of_the_masters(master: Process, children: &[Process]) {
    for child in children {
        // Its title says what it is, and comes a moment after the fork.
        eventually("a title of its own", || {
            let is_copy = child.command_line().contains("oxicorn: master");
            (!is_copy).then_some(())
        });
    }
    for (index, &child) in children.iter().enumerate() {
        for &other in children[..index].iter().chain([&master]) {
            // The log, the bell, standard output and error, and the two ends of the handoff.
            let mut expected = vec![
                "access.log w",
                "eventfd",
                "pipe",
                "pipe",
                "socket",
                "socket",
            ];
            let is_runner = |it: Process| it.command_line().contains("oxicorn: runner");
            if !is_runner(child) && !is_runner(other) {
                // The listener.
                expected.push("socket");
            }
            expect_shared(child, other, &expected);
        }
    }
}

/// A server with everything that the master has for itself. Two workers and a runner.
fn server(name: &str) -> Builder {
    let builder = Server::new(name).lab().env("LAB_RUNNER", "yes");
    builder.args(&[
        "--workers",
        "2",
        "--pid",
        "server.pid",
        "--access-logfile",
        "access.log",
    ])
}

#[test]
fn children_keep_nothing_of_the_masters() {
    let server = server("descriptors").start_with_unknown_workers();
    let children = server.wait_for_children(3);
    expect_nothing_of_the_masters(server.master(), &children);
    // When a later child is forked, the master has more open.
    server.signal(Signal::SIGTTIN);
    let children = server.wait_for_children(4);
    server.log().wait_for_nth("Booting worker", 3);
    expect_nothing_of_the_masters(server.master(), &children);
}

#[test]
fn a_mold_and_its_workers_keep_nothing_of_the_masters() {
    let server = server("descriptors of a mold").arg("--preload");
    let server = server.start_with_unknown_workers();
    let children = server.wait_for_children(4);
    server.log().wait_for("serves with 2 workers");
    expect_nothing_of_the_masters(server.master(), &children);
}

/// The new master is a child too; it inherits the listener, the exit token and the memory of the metrics, and nothing else.
#[test]
fn beside_a_new_master_children_keep_nothing_of_it() {
    let mut server = server("descriptors of two").start_with_unknown_workers();
    let old = server.wait_for_children(3);
    let new_master = NewMaster::start(&server, 3);
    server.signal(Signal::SIGTTIN);
    let mut children = server.wait_for_children(5);
    children.retain(|&it| it != new_master.0);
    let theirs = new_master.0.children();
    expect_nothing_of_the_masters(server.master(), &children);
    expect_nothing_of_the_masters(new_master.0, &theirs);
    // Each opens the directories of its pid file and of its control socket itself.
    let directory = server.dir().file_name().and_then(|it| it.to_str());
    let directory = format!("{} r", directory.expect("a name"));
    let inherited = [
        ".gunicorn r",
        "access.log w",
        "eventfd",
        "memfd:oxicorn-shared (deleted) rw",
        &directory,
        "pipe",
        "pipe",
        "socket",
    ];
    expect_shared(server.master(), new_master.0, &inherited);
    let of_both = ["access.log w", "pipe", "pipe", "socket"];
    expect_shared(server.master(), theirs[0], &of_both);
    expect_shared(old[0], new_master.0, &of_both);
    server.expect_descriptors(2);
    drop(new_master);
    // It may hear of the deaths of its workers before its own.
    server.tolerate("was killed by SIGKILL");
}

/// The master has the sockets of both generations until the new one serves.
#[test]
fn a_new_generation_has_no_listener_of_the_old_one() {
    let builder = server("descriptors of a reload").no_bind();
    let (env_file, gate) = (builder.dir().join("server.env"), builder.dir().join("gate"));
    fs::write(&gate, "").expect("written");
    fs::write(&env_file, "OXICORN_BIND=127.0.0.1:0,unix:more.sock\n").expect("written");
    let server = builder
        .env("LAB_BOOT_GATE", &gate.display().to_string())
        .args(&["--env-file", "server.env"])
        .start_with_unknown_workers();
    server.wait_for_children(3);
    fs::remove_file(&gate).expect("removed");
    fs::write(&env_file, "OXICORN_BIND=127.0.0.1:0\n").expect("written");
    server.signal(Signal::SIGHUP);
    let children = server.wait_for_children(6);
    expect_nothing_of_the_masters(server.master(), &children[3..]);
    fs::write(&gate, "").expect("written");
    server.log().wait_for("Generation 2 serves");
}
