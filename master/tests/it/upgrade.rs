//! SIGUSR2: two masters on the same sockets. Whichever ends, no request is lost.

mod files;

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;

use crate::harness::{Client, Load, Mode, Process, Server, eventually};

const BOTH: [Mode; 2] = [Mode::KeepAlive, Mode::Fresh];

/// A master that was started by another. It ends with the test, however that ends.
pub(crate) struct NewMaster(pub(crate) Process);

impl NewMaster {
    /// Sends SIGUSR2, and waits until the new master has `workers`.
    pub(crate) fn start(server: &Server, workers: usize) -> Self {
        let new_master = Self::start_booting(server);
        let count = || Some(new_master.0.children().len() == workers);
        eventually("the workers of the new master", || count().filter(|&it| it));
        eventually("an answer of theirs", || {
            new_master.answers(server).then_some(())
        });
        new_master
    }

    pub(crate) fn start_booting(server: &Server) -> Self {
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

    pub(crate) fn end(&self) {
        self.0.signal(Signal::SIGTERM);
        eventually("the new master ends", || (!self.0.is_alive()).then_some(()));
    }
}

impl Drop for NewMaster {
    fn drop(&mut self) {
        let children = self.0.children();
        // The master first: it would report the deaths of the others.
        for process in [self.0].into_iter().chain(children) {
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
    let new_master = NewMaster::start(&server, 2);
    loads.iter().for_each(|load| load.wait_for_more(200));
    server.signal(Signal::SIGTERM);
    server.wait_for_exit();
    server.log().wait_for("Master has been promoted.");
    loads.iter().for_each(|load| load.wait_for_more(200));
    for load in loads {
        load.stop().assert_perfect();
    }
    new_master.end();
    assert!(Client::connect(server.address()).is_err());
}

#[test]
fn a_roll_back_loses_nothing() {
    let server = Server::new("roll back").lab().workers(2).threads(2).start();
    let loads = BOTH.map(|mode| Load::start(server.address(), 4, mode, "/pid"));
    let new_master = NewMaster::start(&server, 2);
    server.signal(Signal::SIGWINCH);
    eventually("the old workers are gone", || {
        (server.children() == [new_master.0]).then_some(())
    });
    loads.iter().for_each(|load| load.wait_for_more(200));
    server.signal(Signal::SIGHUP);
    server.wait_for_children(3);
    loads.iter().for_each(|load| load.wait_for_more(200));
    new_master.end();
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
fn a_new_master_takes_the_place_of_one_that_was_killed() {
    let builder = Server::new("killed")
        .lab()
        .workers(1)
        .args(&["--pid", "pid"]);
    let path = builder.dir().join("pid");
    let mut server = builder.start();
    let new_master = NewMaster::start(&server, 1);
    server.expect_kill();
    server.signal(Signal::SIGKILL);
    server.wait_for_exit();
    server.log().wait_for("Master has been promoted.");
    eventually("its pid file", || {
        (read(&path) == format!("{}\n", new_master.0.0)).then_some(())
    });
    assert_eq!(server.get("/").status, 200);
    // It is a master like any other.
    new_master.0.signal(Signal::SIGUSR2);
    server
        .log()
        .wait_for_nth(" starts on the sockets of this one", 2);
    let heirs = eventually("a third", || {
        let children = new_master.0.children();
        let third = children.iter().find(|child| !child.children().is_empty());
        third.copied()
    });
    let third = NewMaster(heirs);
    new_master.end();
    server.log().wait_for_nth("Master has been promoted.", 2);
    assert_eq!(server.get("/").status, 200);
    third.end();
}

#[test]
fn a_new_master_that_cannot_boot_changes_nothing() {
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
        let failing = NewMaster::start_booting(&server);
        let line = format!("The new master (pid: {}) {reason}", failing.0.0);
        server.log().wait_for(&line);
        assert_eq!(server.get("/").status, 200);
        assert_eq!(server.children(), workers);
    }
    assert_eq!(server.log().count("; this one serves on"), 2);
    assert_eq!(read(&pid_file), format!("{}\n", server.master().0));
    assert!(!pid_file.with_extension("2").exists());
    fs::write(&env_file, "").expect("written");
    NewMaster::start(&server, 2).end();
}

#[test]
fn a_second_signal_is_refused_by_both() {
    let server = Server::new("refused").lab().workers(1).start();
    let new_master = NewMaster::start(&server, 1);
    server.signal(Signal::SIGUSR2);
    server.log().wait_for(&format!(
        "USR2 signal ignored: the new master (pid: {})",
        new_master.0.0
    ));
    new_master.0.signal(Signal::SIGUSR2);
    server.log().wait_for(&format!(
        "the old master (pid: {}) is still there",
        server.master().0
    ));
    new_master.end();
    server.log().wait_for("; this one serves on");
}

#[test]
fn a_reload_of_the_new_master_keeps_its_socket_and_binds_what_is_new() {
    let builder = Server::new("reload of the new_master").lab().no_bind();
    let env_file = builder.dir().join("server.env");
    let extra = builder.dir().join("extra.sock");
    fs::write(&env_file, "OXICORN_BIND=127.0.0.1:0\n").expect("written");
    let mut server = builder
        .workers(1)
        .args(&["--env-file", "server.env"])
        .start();
    let new_master = NewMaster::start(&server, 1);
    server.signal(Signal::SIGTERM);
    server.wait_for_exit();
    server.log().wait_for("Master has been promoted.");
    let both = "OXICORN_BIND=127.0.0.1:0,unix:extra.sock\n";
    fs::write(&env_file, both).expect("written");
    new_master.0.signal(Signal::SIGHUP);
    server.log().wait_for("Generation 2 serves");
    assert_eq!(server.get("/").status, 200);
    let mut client = Client::connect_unix(&extra).expect("it listens");
    assert_eq!(client.get("/").expect("an answer").status, 200);
    drop(client);
    new_master.end();
    assert!(!extra.exists());
}

#[test]
fn an_address_that_is_new_is_bound_by_the_new_master() {
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
    let new_master = NewMaster::start(&server, 1);
    let mut client = Client::connect_unix(&extra).expect("it listens");
    assert_eq!(client.get("/").expect("an answer").status, 200);
    drop(client);
    server.signal(Signal::SIGTERM);
    server.wait_for_exit();
    assert_eq!(server.get("/").status, 200);
    new_master.end();
    assert!(!extra.exists());
}

#[test]
fn a_daemon_can_be_upgraded() {
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
    let daemon = NewMaster(Process(read(&old).trim().parse().expect("a pid")));
    daemon.0.signal(Signal::SIGUSR2);
    let pid = eventually("a pid file", || read(&new).trim().parse().ok());
    let new_master = NewMaster(Process(pid));
    assert!(daemon.0.children().contains(&new_master.0));
    eventually("its worker", || {
        (!new_master.0.children().is_empty()).then_some(())
    });
    daemon.end();
    eventually("the pid file", || {
        (read(&old) == format!("{pid}\n")).then_some(())
    });
    new_master.end();
    assert!(!old.exists());
}
