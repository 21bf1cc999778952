//! Pid file, daemon, privileges, process titles.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Uid;

use crate::harness::{Client, Process, Server, eventually};

fn pid_in(path: &Path) -> Option<Process> {
    fs::read_to_string(path)
        .ok()?
        .trim()
        .parse()
        .ok()
        .map(Process)
}

#[test]
fn the_pid_file_names_the_master_and_goes_with_it() {
    let builder = Server::new("pid file").args(&["--pid", "server.pid"]);
    let path = builder.dir().join("server.pid");
    let mut server = builder.start();
    assert_eq!(pid_in(&path), Some(server.master()));
    server.signal(Signal::SIGTERM);
    server.wait_for_exit();
    assert!(!path.exists());
}

#[test]
fn a_stale_pid_file_is_replaced_and_a_locked_one_prevents_a_start() {
    let builder = Server::new("stale pid").args(&["--pid", "server.pid"]);
    let path = builder.dir().join("server.pid");
    // A live process without a lock on the file.
    fs::write(&path, "1\n").expect("written");
    let server = builder.start();
    assert_eq!(pid_in(&path), Some(server.master()));
    let path_text = path.display().to_string();
    let second = Server::new("second").args(&["--pid", &path_text]).run();
    assert_eq!(second.code, Some(1), "{}", second.log);
    assert!(second.log.contains("server.pid"), "{}", second.log);
    assert_eq!(pid_in(&path), Some(server.master()));
}

#[test]
fn a_daemon_serves_after_its_parent_has_returned() {
    const BOOT: Duration = Duration::from_millis(500);
    let builder = Server::new("daemon").lab().bind("unix:app.sock");
    let builder = builder.env("LAB_BOOT_MS", &BOOT.as_millis().to_string());
    let builder = builder.args(&[
        "--daemon",
        "--pid",
        "server.pid",
        "--error-logfile",
        "error.log",
    ]);
    let (pid_file, socket) = (
        builder.dir().join("server.pid"),
        builder.dir().join("app.sock"),
    );
    let log = builder.dir().join("error.log");
    let started = Instant::now();
    let mut server = builder.spawn();
    let status = server.wait_for_exit();
    assert_eq!(status.code(), Some(0), "{}", server.log().text());
    // A worker is ready when the parent returns; the socket listens long before.
    assert!(started.elapsed() >= BOOT, "{:?}", started.elapsed());
    let daemon = pid_in(&pid_file).expect("a pid file");
    let end = EndOf(daemon);
    let mut client = Client::connect_unix(&socket).expect("it listens");
    assert_eq!(client.get("/").expect("an answer").status, 200);
    assert_ne!(daemon, server.master());
    daemon.signal(Signal::SIGTERM);
    eventually("the daemon ends", || (!daemon.is_alive()).then_some(()));
    assert!(!pid_file.exists() && !socket.exists());
    let text = fs::read_to_string(log).expect("a log");
    assert!(!text.contains("[ERROR]"), "{text}");
    drop(end);
}

#[test]
fn a_daemon_that_cannot_start_exits_with_an_error() {
    let ended = Server::new("bad daemon")
        .lab()
        .env("LAB_BOOT", "error")
        .args(&["--daemon", "--error-logfile", "error.log"])
        .run();
    assert!(ended.code.is_some_and(|code| code != 0), "{ended:?}");
}

/// Kills a process outside the group of the test, however the test ends.
struct EndOf(Process);

impl Drop for EndOf {
    fn drop(&mut self) {
        for process in self.0.children().into_iter().chain([self.0]) {
            if process.is_alive() {
                process.signal(Signal::SIGKILL);
            }
        }
    }
}

#[test]
fn workers_run_as_another_user_and_the_master_stays_root() {
    if !Uid::effective().is_root() {
        eprintln!("skipped: only root can become somebody else");
        return;
    }
    let builder = Server::new("privileges").lab();
    // The user must be able to enter the directory that the server runs in.
    fs::set_permissions(
        builder.dir(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .expect("root");
    // The master has groups that a worker must not keep.
    let server = builder
        .under(&["setpriv", "--groups", "0,4"])
        .args(&["--user", "nobody", "--group", "nogroup"])
        .start();
    assert_eq!(server.master().status("Groups"), "0 4");
    assert!(server.master().status("Uid").starts_with("0\t"));
    let worker = server.children()[0];
    let uid = worker.status("Uid");
    assert!(uid.split_whitespace().all(|it| it == "65534"), "{uid}");
    assert!(
        worker
            .status("Gid")
            .split_whitespace()
            .all(|it| it == "65534")
    );
    assert_eq!(worker.status("Groups"), "65534");
    assert_eq!(server.get("/").status, 200);
    // A reload works for them as well.
    server.signal(Signal::SIGHUP);
    server.wait_for_others(&[worker], 1);
}

#[test]
fn initgroups_gives_workers_the_groups_of_their_user() {
    if !Uid::effective().is_root() {
        eprintln!("skipped: only root can become somebody else");
        return;
    }
    let server = Server::new("initgroups")
        .lab()
        .under(&["setpriv", "--groups", "0,4"])
        .args(&["--user", "nobody", "--group", "nogroup", "--initgroups"])
        .start();
    // The group database has no further group for the user `nobody`.
    let groups = server.children()[0].status("Groups");
    assert!(
        groups.split_whitespace().all(|it| it == "65534"),
        "{groups}"
    );
}

/// The groups are those of a login of the user: none of root's is left.
#[test]
fn a_user_alone_comes_with_its_groups() {
    if !Uid::effective().is_root() {
        eprintln!("skipped: only root can become somebody else");
        return;
    }
    let start = |user: &str| {
        let builder = Server::new("user alone").lab();
        let builder = builder.under(&["setpriv", "--groups", "0,4"]);
        builder.args(&["--user", user]).start()
    };
    let server = start("nobody");
    let worker = server.children()[0];
    let ids = format!("{} {}", worker.status("Gid"), worker.status("Groups"));
    assert!(ids.split_whitespace().all(|it| it == "65534"), "{ids}");
    drop(server);
    // A uid that is not in the user database.
    let server = start("4711");
    assert_eq!(server.children()[0].status("Groups"), "0");
    server
        .log()
        .wait_for("user 4711 is not in the user database");
}

#[test]
fn workers_have_the_soft_limit_of_descriptors_that_there_was() {
    let builder = Server::new("descriptors").lab();
    let server = builder.under(&["prlimit", "--nofile=100:4096"]).start();
    let limit = |of: Process| {
        let limits = fs::read_to_string(format!("/proc/{}/limits", of.0)).expect("it lives");
        let line = limits
            .lines()
            .find(|line| line.starts_with("Max open files"));
        let soft = line.and_then(|line| line.split_whitespace().nth(3));
        soft.expect("a figure").to_owned()
    };
    assert_eq!(limit(server.master()), "4096");
    let worker = server.children()[0];
    assert_eq!(limit(worker), "100");
    // More clients than descriptors: idle ones are closed, and no client has to wait.
    let clients: Vec<Client> = (0..150).map(|_| server.client()).collect();
    assert_eq!(server.get("/").status, 200);
    assert_eq!(server.log().count("cannot accept"), 0);
    drop(clients);
    let mut server = server;
    server.signal(Signal::SIGUSR2);
    let new_master = eventually("a new master", || {
        let children = server.children();
        children.into_iter().find(|it| *it != worker)
    });
    let workers = eventually("its worker", || {
        Some(new_master.children()).filter(|it| !it.is_empty())
    });
    eventually("it has the limit", || {
        (limit(workers[0]) == "100").then_some(())
    });
    new_master.signal(Signal::SIGTERM);
    eventually("it ends", || (!new_master.is_alive()).then_some(()));
    server.tolerate("");
}

#[test]
fn workers_of_another_user_die_with_the_master() {
    if !Uid::effective().is_root() {
        eprintln!("skipped: only root can become somebody else");
        return;
    }
    let mut server = Server::new("orphans")
        .lab()
        .workers(2)
        .args(&["--user", "nobody"])
        .start();
    let group = server.master();
    server.signal(Signal::SIGKILL);
    server.wait_for_exit();
    server.expect_kill();
    eventually("nobody is left", || group.group().is_empty().then_some(()));
}

#[test]
fn titles_tell_master_and_workers_apart() {
    let server = Server::new("titles").args(&["--name", "shop"]).start();
    let title = server.master().command_line();
    assert!(title.contains("oxicorn: master [shop]"), "{title}");
    let title = server.children()[0].command_line();
    assert!(title.contains("oxicorn: worker [shop]"), "{title}");
}

/// As in a container: the master is process 1 and inherits all orphans.
#[test]
fn as_process_1_it_reaps_orphans_and_stops() {
    if !Uid::effective().is_root() {
        eprintln!("skipped: a namespace of processes takes root");
        return;
    }
    let mut server = Server::new("process 1")
        .lab()
        .workers(2)
        .under(&[
            "unshare",
            "--pid",
            "--fork",
            "--kill-child=KILL",
            "--mount-proc",
        ])
        .bind("unix:app.sock")
        .spawn();
    let socket = server.dir().join("app.sock");
    let ask = |target: &str| Client::connect_unix(&socket).ok()?.get(target).ok();
    eventually("it serves", || ask("/"));
    // A grandchild whose parent ends at once becomes a child of process 1.
    assert_eq!(ask("/orphan").expect("an answer").status, 200);
    let master = eventually("the master", || server.children().first().copied());
    eventually("the orphan is reaped", || {
        let zombies = master.zombies();
        (zombies == 0 && master.children().len() == 2).then_some(())
    });
    master.signal(Signal::SIGTERM);
    server.wait_for_exit();
    let text = server.log().text();
    assert!(
        !text.contains("[ERROR]") && !text.contains("[WARN"),
        "{text}"
    );
}
