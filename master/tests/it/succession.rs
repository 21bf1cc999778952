//! SIGUSR2: two masters on the same sockets, and whichever ends loses nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::harness::{Client, Load, Mode, Process, Server, eventually};

const BOTH: [Mode; 2] = [Mode::KeepAlive, Mode::Fresh];

/// A master that was started by another. Whatever the test does, it does not outlive it.
struct Successor(Process);

impl Successor {
    /// Sends SIGUSR2, and waits until the new master has `workers`.
    fn of(server: &Server, workers: usize) -> Self {
        let successor = Self::begun_by(server);
        let count = || Some(successor.0.children().len() == workers);
        eventually("the workers of the new master", || count().filter(|&it| it));
        eventually("an answer of theirs", || {
            successor.answers(server).then_some(())
        });
        successor
    }

    fn begun_by(server: &Server) -> Self {
        const LINE: &str = "The new master (pid: ";
        let before = server.log().count(" starts on the sockets of this one");
        server.signal(Signal::SIGUSR2);
        let nth = before + 1;
        server
            .log()
            .wait_for_nth(" starts on the sockets of this one", nth);
        let text = server.log().text();
        let mut starts = text.lines().filter(|line| line.contains(" starts on the"));
        let line = starts.nth(before).expect("the line");
        let pid = line
            .split(LINE)
            .nth(1)
            .and_then(|rest| rest.split(')').next());
        Self(Process(
            pid.and_then(|pid| pid.parse().ok()).expect("a pid"),
        ))
    }

    /// Whether one of its workers has the next request.
    fn answers(&self, server: &Server) -> bool {
        let pid = server.get("/pid").number();
        let workers = self.0.children();
        workers.iter().any(|worker| i64::from(worker.0) == pid)
    }

    fn end(&self) {
        self.0.signal(Signal::SIGTERM);
        eventually("the new master ends", || (!self.0.is_alive()).then_some(()));
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        for process in self.0.children().into_iter().chain([self.0]) {
            if process.is_alive() {
                process.signal(Signal::SIGKILL);
            }
        }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn an_upgrade_under_load_loses_nothing() {
    let mut server = Server::new("upgrade").lab().workers(2).threads(2).start();
    let loads = BOTH.map(|mode| Load::start(server.address(), 4, mode, "/pid"));
    let successor = Successor::of(&server, 2);
    loads.iter().for_each(|load| load.wait_for_more(200));
    server.signal(Signal::SIGTERM);
    server.wait_for_exit();
    server.log().wait_for("Master has been promoted.");
    loads.iter().for_each(|load| load.wait_for_more(200));
    for load in loads {
        load.stop().assert_perfect();
    }
    successor.end();
    assert!(Client::connect(server.address()).is_err());
}

#[test]
fn a_roll_back_loses_nothing() {
    let server = Server::new("roll back").lab().workers(2).threads(2).start();
    let loads = BOTH.map(|mode| Load::start(server.address(), 4, mode, "/pid"));
    let successor = Successor::of(&server, 2);
    server.signal(Signal::SIGWINCH);
    eventually("the old workers are gone", || {
        (server.children() == [successor.0]).then_some(())
    });
    loads.iter().for_each(|load| load.wait_for_more(200));
    server.signal(Signal::SIGHUP);
    server.wait_for_children(3);
    loads.iter().for_each(|load| load.wait_for_more(200));
    successor.end();
    server
        .log()
        .wait_for("exited with code 0; this one serves on");
    loads.iter().for_each(|load| load.wait_for_more(200));
    for load in loads {
        load.stop().assert_perfect();
    }
    assert_eq!(server.log().count("has been promoted"), 0);
}

#[test]
fn the_successor_of_a_master_that_was_killed_takes_its_place() {
    let builder = Server::new("killed")
        .lab()
        .workers(1)
        .args(&["--pid", "pid"]);
    let path = builder.dir().join("pid");
    let mut server = builder.start();
    let successor = Successor::of(&server, 1);
    server.expect_kill();
    server.signal(Signal::SIGKILL);
    server.wait_for_exit();
    server.log().wait_for("Master has been promoted.");
    eventually("its pid file", || {
        (read(&path) == format!("{}\n", successor.0.0)).then_some(())
    });
    assert_eq!(server.get("/").status, 200);
    // It is a master like any other.
    successor.0.signal(Signal::SIGUSR2);
    server
        .log()
        .wait_for_nth(" starts on the sockets of this one", 2);
    let heirs = eventually("a third", || {
        let children = successor.0.children();
        let third = children.iter().find(|child| !child.children().is_empty());
        third.copied()
    });
    let third = Successor(heirs);
    successor.end();
    server.log().wait_for_nth("Master has been promoted.", 2);
    assert_eq!(server.get("/").status, 200);
    third.end();
}

#[test]
fn a_successor_that_cannot_boot_changes_nothing() {
    let builder = Server::new("bad upgrade").lab().workers(2);
    let (env_file, pid_file) = (builder.dir().join("server.env"), builder.dir().join("pid"));
    fs::write(&env_file, "").expect("written");
    let mut server = builder
        .args(&["--env-file", "server.env", "--pid", "pid"])
        .start();
    let workers = server.children();
    server.tolerate("");
    for (text, reason) in [
        (
            "OXICORN_THREADS=none\n",
            "exited with code 1; this one serves on: ",
        ),
        (
            "OXICORN_RAW_ENV=LAB_BOOT=error\n",
            "exited with code 4; this one serves on: Application lab failed to load: the lab is closed",
        ),
    ] {
        fs::write(&env_file, text).expect("written");
        let failing = Successor::begun_by(&server);
        let line = format!("The new master (pid: {}) {reason}", failing.0.0);
        server.log().wait_for(&line);
        assert_eq!(server.get("/").status, 200);
        assert_eq!(server.children(), workers);
    }
    assert_eq!(server.log().count("; this one serves on"), 2);
    assert_eq!(read(&pid_file), format!("{}\n", server.master().0));
    assert!(!pid_file.with_extension("2").exists());
    fs::write(&env_file, "").expect("written");
    Successor::of(&server, 2).end();
}

#[test]
fn each_has_its_pid_file_and_its_name() {
    let builder = Server::new("pid files")
        .lab()
        .workers(1)
        .args(&["--pid", "pid"]);
    let builder = builder.args(&["--name", "shop"]);
    let (old, new) = (builder.dir().join("pid"), builder.dir().join("pid.2"));
    let mut server = builder.start();
    let successor = Successor::of(&server, 1);
    let pid = format!("{}\n", successor.0.0);
    assert_eq!(read(&old), format!("{}\n", server.master().0));
    assert_eq!(read(&new), pid);
    let title = || read(Path::new(&format!("/proc/{}/cmdline", successor.0.0)));
    assert!(
        title().starts_with("oxicorn: master [shop.2]"),
        "{}",
        title()
    );
    successor.0.signal(Signal::SIGHUP);
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
    successor.end();
    assert!(!old.exists());
}

#[test]
fn a_socket_file_is_there_until_the_last_has_ended() {
    for old_first in [true, false] {
        let builder = Server::new("socket file").lab().bind("unix:app.sock");
        let path = builder.dir().join("app.sock");
        let mut server = builder.start();
        let successor = Successor::begun_by(&server);
        eventually("its worker", || {
            (!successor.0.children().is_empty()).then_some(())
        });
        match old_first {
            true => {
                server.signal(Signal::SIGTERM);
                server.wait_for_exit();
            }
            false => successor.end(),
        }
        let mut client = Client::connect_unix(&path).expect("it listens");
        assert_eq!(client.get("/").expect("an answer").status, 200);
        drop(client);
        match old_first {
            true => {
                server.log().wait_for("Master has been promoted.");
                successor.end();
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
fn a_second_signal_is_refused_by_both() {
    let server = Server::new("refused").lab().workers(1).start();
    let successor = Successor::of(&server, 1);
    server.signal(Signal::SIGUSR2);
    server.log().wait_for(&format!(
        "USR2 signal ignored: the new master (pid: {})",
        successor.0.0
    ));
    successor.0.signal(Signal::SIGUSR2);
    server.log().wait_for(&format!(
        "the old master (pid: {}) is still there",
        server.master().0
    ));
    successor.end();
    server.log().wait_for("; this one serves on");
}

#[test]
fn the_program_is_the_one_that_is_on_the_disk_by_now() {
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
    let _successor = Successor::begun_by(&server);
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
fn a_reload_of_the_successor_keeps_its_socket_and_binds_what_is_new() {
    let builder = Server::new("reload of the successor").lab().no_bind();
    let env_file = builder.dir().join("server.env");
    let extra = builder.dir().join("extra.sock");
    fs::write(&env_file, "OXICORN_BIND=127.0.0.1:0\n").expect("written");
    let mut server = builder
        .workers(1)
        .args(&["--env-file", "server.env"])
        .start();
    let successor = Successor::of(&server, 1);
    server.signal(Signal::SIGTERM);
    server.wait_for_exit();
    server.log().wait_for("Master has been promoted.");
    let both = "OXICORN_BIND=127.0.0.1:0,unix:extra.sock\n";
    fs::write(&env_file, both).expect("written");
    successor.0.signal(Signal::SIGHUP);
    server.log().wait_for("Generation 2 serves");
    assert_eq!(server.get("/").status, 200);
    let mut client = Client::connect_unix(&extra).expect("it listens");
    assert_eq!(client.get("/").expect("an answer").status, 200);
    drop(client);
    successor.end();
    assert!(!extra.exists());
}

#[test]
fn both_told_to_end_at_once_leave_nothing_behind() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let builder = Server::new("both").lab().bind("unix:app.sock");
        let builder = builder.args(&["--pid", "pid"]);
        let dir = builder.dir().to_owned();
        let mut server = builder.start();
        let successor = Successor::begun_by(&server);
        eventually("its worker", || {
            (!successor.0.children().is_empty()).then_some(())
        });
        server.signal(signal);
        successor.0.signal(signal);
        server.wait_for_exit();
        eventually("the new master ends", || {
            (!successor.0.is_alive()).then_some(())
        });
        for name in ["app.sock", "pid", "pid.2"] {
            assert!(!dir.join(name).exists(), "{name} is left after {signal}");
        }
    }
}

#[test]
fn the_pid_file_is_there_from_one_master_to_the_next() {
    let builder = Server::new("pid file")
        .lab()
        .workers(1)
        .args(&["--pid", "pid"]);
    let path = builder.dir().join("pid");
    let mut server = builder.start();
    let successor = Successor::of(&server, 1);
    // Long after the old master has ended the new one has not noticed: it stands still.
    successor.0.signal(Signal::SIGSTOP);
    server.signal(Signal::SIGTERM);
    server.wait_for_exit();
    assert!(path.exists());
    successor.0.signal(Signal::SIGCONT);
    eventually("its own", || {
        (read(&path) == format!("{}\n", successor.0.0)).then_some(())
    });
    successor.end();
}

#[test]
fn it_is_started_as_the_first_was_whatever_raw_env_says() {
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
    // As from a shell that has gone to the link.
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
    server.signal(Signal::SIGHUP);
    server.log().wait_for("Generation 2 serves");
    assert_eq!(place(server.children()[0]), Some(two.clone()));
    let successor = Successor::begun_by(&server);
    server.log().wait_for_nth("Generation 1 serves", 2);
    assert_eq!(place(successor.0), Some(two));
    server.signal(Signal::SIGTERM);
    server.wait_for_exit();
    successor.end();
}

#[test]
fn an_address_that_is_new_is_bound_by_the_successor() {
    let builder = Server::new("new address").lab().no_bind();
    let (env_file, extra) = (
        builder.dir().join("server.env"),
        builder.dir().join("extra.sock"),
    );
    fs::write(&env_file, "OXICORN_BIND=127.0.0.1:0\n").expect("written");
    let builder = builder
        .workers(1)
        .args(&["--env-file", "server.env", "--reuse-port"]);
    let mut server = builder.start();
    fs::write(&env_file, "OXICORN_BIND=127.0.0.1:0,unix:extra.sock\n").expect("written");
    let successor = Successor::of(&server, 1);
    let mut client = Client::connect_unix(&extra).expect("it listens");
    assert_eq!(client.get("/").expect("an answer").status, 200);
    drop(client);
    server.signal(Signal::SIGTERM);
    server.wait_for_exit();
    assert_eq!(server.get("/").status, 200);
    successor.end();
    assert!(!extra.exists());
}

#[test]
fn a_daemon_is_succeeded_by_its_own_child() {
    let builder = Server::new("daemon").lab().bind("unix:app.sock").args(&[
        "--daemon",
        "--pid",
        "pid",
        "--error-logfile",
        "error.log",
    ]);
    let (old, new) = (builder.dir().join("pid"), builder.dir().join("pid.2"));
    let mut server = builder.spawn();
    server.wait_for_exit();
    let daemon = Successor(Process(read(&old).trim().parse().expect("a pid")));
    daemon.0.signal(Signal::SIGUSR2);
    let pid = eventually("a pid file", || read(&new).trim().parse().ok());
    let successor = Successor(Process(pid));
    assert!(daemon.0.children().contains(&successor.0));
    eventually("its worker", || {
        (!successor.0.children().is_empty()).then_some(())
    });
    daemon.end();
    eventually("the pid file", || {
        (read(&old) == format!("{pid}\n")).then_some(())
    });
    successor.end();
    assert!(!old.exists());
}

#[test]
fn systemd_hears_who_the_main_process_is() {
    let builder = Server::new("systemd").lab().workers(1);
    let place = builder.dir().join("notify");
    let socket = UnixDatagram::bind(&place).expect("a socket");
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a patience");
    let hear = || {
        let mut text = [0; 200];
        let length = socket.recv(&mut text).expect("a datagram");
        String::from_utf8_lossy(&text[..length]).into_owned()
    };
    let mut server = builder
        .env("NOTIFY_SOCKET", &place.display().to_string())
        .start();
    assert_eq!(hear(), format!("READY=1\nMAINPID={}\n", server.master().0));
    let successor = Successor::of(&server, 1);
    server.signal(Signal::SIGTERM);
    assert_eq!(hear(), format!("MAINPID={}\n", successor.0.0));
    server.wait_for_exit();
    assert_eq!(hear(), format!("READY=1\nMAINPID={}\n", successor.0.0));
    successor.end();
    assert_eq!(hear(), "STOPPING=1\n");
}
