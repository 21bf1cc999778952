//! The pid files, titles and socket files of two masters: which of them has which, and which removes it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::sys::signal::Signal;

use super::{NewMaster, read};
use crate::harness::{Client, Process, Server, eventually};

#[test]
fn each_master_has_its_pid_file_and_its_name() {
    let builder = Server::new("pid files")
        .lab()
        .workers(1)
        .args(&["--pid", "pid"]);
    let builder = builder.args(&["--name", "shop"]);
    let (old, new) = (builder.dir().join("pid"), builder.dir().join("pid.2"));
    let mut server = builder.start();
    let new_master = NewMaster::start(&server, 1);
    let pid = format!("{}\n", new_master.0.0);
    assert_eq!(read(&old), format!("{}\n", server.master().0));
    assert_eq!(read(&new), pid);
    let title = || read(Path::new(&format!("/proc/{}/cmdline", new_master.0.0)));
    assert!(
        title().starts_with("oxicorn: master [shop.2]"),
        "{}",
        title()
    );
    new_master.0.signal(Signal::SIGHUP);
    server.log().wait_for("Hang up: Master.2");
    server.log().wait_for("Generation 2 serves");
    assert_eq!(read(&new), pid, "a reload changes nothing in that");
    server.signal(Signal::SIGTERM);
    server.wait_for_exit();
    eventually("the pid file of the new master", || {
        (read(&old) == pid && !new.exists()).then_some(())
    });
    eventually("its name", || {
        title().starts_with("oxicorn: master [shop]").then_some(())
    });
    new_master.end();
    assert!(!old.exists());
}

#[test]
fn a_socket_file_is_there_until_the_last_has_ended() {
    for old_first in [true, false] {
        let builder = Server::new("socket file").lab().bind("unix:app.sock");
        let path = builder.dir().join("app.sock");
        let mut server = builder.start();
        let new_master = NewMaster::start_booting(&server);
        eventually("its worker", || {
            (!new_master.0.children().is_empty()).then_some(())
        });
        match old_first {
            true => {
                server.signal(Signal::SIGTERM);
                server.wait_for_exit();
            }
            false => new_master.end(),
        }
        let mut client = Client::connect_unix(&path).expect("it listens");
        assert_eq!(client.get("/").expect("an answer").status, 200);
        drop(client);
        match old_first {
            true => {
                server.log().wait_for("Master has been promoted.");
                new_master.end();
            }
            false => {
                server.log().wait_for("; this one serves on");
                server.signal(Signal::SIGTERM);
                server.wait_for_exit();
            }
        }
        assert!(!path.exists());
    }
}

#[test]
fn a_new_master_runs_the_program_that_is_on_the_disk_now() {
    let builder = Server::new("replaced").workers(1);
    let (program, marker) = (builder.dir().join("server"), builder.dir().join("marker"));
    fs::copy(env!("CARGO_BIN_EXE_oxicorn"), &program).expect("copied");
    let mut server = builder.program(&program).start();
    server.tolerate("The new master");
    // A program that runs cannot be written to, but be replaced.
    let next = program.with_extension("next");
    let script = format!(
        "#!/bin/sh\necho \"$@\" $OXICORN_PID > {}\nexit 7\n",
        marker.display()
    );
    fs::write(&next, script).expect("written");
    fs::set_permissions(&next, fs::Permissions::from_mode(0o755)).expect("executable");
    fs::rename(&next, &program).expect("replaced");
    let _new_master = NewMaster::start_booting(&server);
    server
        .log()
        .wait_for("exited with code 7; this one serves on");
    let pid = server.master().0;
    assert_eq!(
        read(&marker),
        format!("--bind 127.0.0.1:0 --workers 1 native:hello {pid}\n")
    );
}

#[test]
fn both_told_to_end_at_once_leave_nothing_behind() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let builder = Server::new("both").lab().bind("unix:app.sock");
        let builder = builder.args(&["--pid", "pid"]);
        let dir = builder.dir().to_owned();
        let mut server = builder.start();
        let new_master = NewMaster::start_booting(&server);
        eventually("its worker", || {
            (!new_master.0.children().is_empty()).then_some(())
        });
        server.signal(signal);
        new_master.0.signal(signal);
        server.wait_for_exit();
        eventually("the new master ends", || {
            (!new_master.0.is_alive()).then_some(())
        });
        for name in ["app.sock", "pid", "pid.2"] {
            assert!(!dir.join(name).exists(), "{name} is left after {signal}");
        }
    }
}

/// The new master leaves the files to the old one, which learns of that end and of its last worker's at the same time.
#[test]
fn the_last_worker_and_the_new_master_may_end_at_once() {
    let builder = Server::new("at once").lab().bind("unix:app.sock");
    let builder = builder.args(&["--pid", "pid"]);
    let dir = builder.dir().to_owned();
    let mut server = builder.start();
    let worker = server.children()[0];
    let new_master = NewMaster::start_booting(&server);
    eventually("its worker", || {
        (!new_master.0.children().is_empty()).then_some(())
    });
    // A worker that is stopped keeps its master from ending.
    worker.signal(Signal::SIGSTOP);
    server.signal(Signal::SIGTERM);
    server.log().wait_for("Handling signal: term");
    server.signal(Signal::SIGSTOP);
    new_master.end();
    worker.signal(Signal::SIGKILL);
    eventually("its end", || (!worker.is_alive()).then_some(()));
    server.signal(Signal::SIGCONT);
    server.wait_for_exit();
    for name in ["app.sock", "pid", "pid.2"] {
        assert!(!dir.join(name).exists(), "{name} is left");
    }
    server.tolerate("");
}

#[test]
fn the_pid_file_is_there_from_one_master_to_the_next() {
    let builder = Server::new("pid file")
        .lab()
        .workers(1)
        .args(&["--pid", "pid"]);
    let path = builder.dir().join("pid");
    let mut server = builder.start();
    let new_master = NewMaster::start(&server, 1);
    // The new master is stopped, so it has not noticed the end of the old one.
    new_master.0.signal(Signal::SIGSTOP);
    server.signal(Signal::SIGTERM);
    server.wait_for_exit();
    assert!(path.exists());
    new_master.0.signal(Signal::SIGCONT);
    eventually("its own", || {
        (read(&path) == format!("{}\n", new_master.0.0)).then_some(())
    });
    new_master.end();
}

#[test]
fn raw_env_does_not_change_how_a_new_master_is_started() {
    let builder = Server::new("link")
        .workers(1)
        .args(&["--env", "PATH=/nowhere"]);
    let (one, two) = (builder.dir().join("one"), builder.dir().join("two"));
    let current = builder.dir().join("current");
    for release in [&one, &two] {
        fs::create_dir(release).expect("a directory");
    }
    std::os::unix::fs::symlink(&one, &current).expect("a link");
    let program = builder.dir().join("oxicorn-under-test");
    fs::copy(env!("CARGO_BIN_EXE_oxicorn"), &program).expect("copied");
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", builder.dir().display());
    // As from a shell that has changed to the link.
    let start = format!("cd {} && PWD=$PWD exec \"$@\"", current.display());
    let mut server = builder
        .under(&["sh", "-c", &start, "sh"])
        .env("PATH", &path)
        .program(Path::new("oxicorn-under-test"))
        .start();
    let place = |process: Process| fs::read_link(format!("/proc/{}/cwd", process.0)).ok();
    assert_eq!(place(server.master()), Some(one));
    fs::remove_file(&current).expect("removed");
    std::os::unix::fs::symlink(&two, &current).expect("a link");
    let old = server.children();
    server.signal(Signal::SIGHUP);
    let new = server.wait_for_others(&old, 1);
    assert_eq!(place(new[0]), Some(two.clone()));
    let new_master = NewMaster::start_booting(&server);
    server.log().wait_for_nth("Generation 1 serves", 2);
    assert_eq!(place(new_master.0), Some(two));
    server.signal(Signal::SIGTERM);
    server.wait_for_exit();
    new_master.end();
}
