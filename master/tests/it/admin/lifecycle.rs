//! Its life: beside the workers, and independent of theirs.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::{LISTENS, address, get, processes, server, the_process};
use crate::harness::{
    BootGate, Client, Load, Mode, Process, Server, eventually, eventually_within,
};
use crate::upgrade::NewMaster;

fn workers(server: &Server) -> Vec<Process> {
    let mut children = server.children();
    children.retain(|it| it.command_line().contains("oxicorn: worker"));
    children
}

#[test]
fn it_answers_while_all_workers_are_stopped() {
    let server = server("admin, stopped workers")
        .args(&["--workers", "2"])
        .start_with_unknown_workers();
    let admin = address(&server, 1);
    eventually("readiness", || {
        (get(admin, "/ready").status == 200).then_some(())
    });
    let workers = workers(&server);
    for worker in &workers {
        worker.signal(Signal::SIGSTOP);
    }
    for _ in 0..20 {
        assert_eq!(get(admin, "/healthz").status, 200);
        assert_eq!(get(admin, "/ready").status, 200);
    }
    for worker in &workers {
        worker.signal(Signal::SIGCONT);
    }
}

#[test]
fn it_answers_while_the_application_holds_all_threads() {
    let server = server("admin, stuck threads")
        .lab()
        .args(&["--workers", "2", "--threads", "2"])
        .start_with_unknown_workers();
    let admin = address(&server, 1);
    let mut stuck: Vec<_> = (0..4).map(|_| server.client()).collect();
    for client in &mut stuck {
        let head = b"GET /sleep?ms=600000 HTTP/1.1\r\nHost: a\r\n\r\n";
        client.send(head).expect("sent");
    }
    for _ in 0..20 {
        assert_eq!(get(admin, "/healthz").status, 200);
    }
    server.signal(Signal::SIGQUIT);
}

#[test]
fn one_that_is_killed_is_restarted_at_its_address() {
    let mut server = server("admin, killed").start_with_unknown_workers();
    server.tolerate("Admin process (pid");
    let admin = address(&server, 1);
    let worker = workers(&server);
    for _ in 0..3 {
        let old = the_process(&server);
        get(admin, "/healthz");
        old.signal(Signal::SIGKILL);
        eventually("another one", || {
            processes(server.master()).into_iter().find(|it| *it != old)
        });
        assert_eq!(
            get(admin, "/healthz").status,
            200,
            "the backlog waits for it"
        );
    }
    assert_eq!(workers(&server), worker, "the worker has noticed nothing");
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn one_that_is_stopped_is_replaced() {
    let mut server = server("admin, stopped")
        .args(&["--timeout", "1"])
        .start_with_unknown_workers();
    server.tolerate("Admin process (pid");
    let (admin, old) = (address(&server, 1), the_process(&server));
    get(admin, "/healthz");
    old.signal(Signal::SIGSTOP);
    eventually("another one", || {
        processes(server.master()).into_iter().find(|it| *it != old)
    });
    assert_eq!(get(admin, "/healthz").status, 200);
}

#[test]
fn the_public_listener_knows_nothing_of_it() {
    let server = server("admin, public").lab().start_with_unknown_workers();
    for path in ["/metrics", "/healthz", "/ready"] {
        let answer = server.get(path);
        assert_eq!((answer.status, &*answer.text()), (200, "the lab"), "{path}");
    }
    let admin = address(&server, 1);
    assert_eq!(get(admin, "/").status, 200);
    assert_eq!(get(admin, "/nothing").status, 404);
}

#[test]
fn without_the_setting_there_is_none() {
    let server = Server::new("no admin").start();
    assert_eq!(server.log().count(LISTENS), 0);
    assert!(processes(server.master()).is_empty());
}

#[test]
fn a_reload_keeps_changes_removes_and_adds_its_address() {
    let builder = Server::new("admin, reloads").args(&["--env-file", "server.env"]);
    let env_file = builder.dir().join("server.env");
    let write = |bind: &str| fs::write(&env_file, format!("OXICORN_ADMIN_BIND={bind}\n"));
    write("127.0.0.1:0").expect("written");
    let mut server = builder.start_with_unknown_workers();
    server.expect_descriptors(1);
    let (first, old) = (address(&server, 1), the_process(&server));
    let mut kept = Client::connect(first).expect("it listens");
    let reload = |generation: u32| {
        server.signal(Signal::SIGHUP);
        server
            .log()
            .wait_for(&format!("Generation {generation} serves with 1 workers"));
    };

    reload(2);
    eventually("the new one alone", || {
        let processes = processes(server.master());
        (processes.len() == 1 && processes[0] != old).then_some(())
    });
    assert_eq!(get(first, "/healthz").status, 200);
    assert_eq!(server.log().count(LISTENS), 1, "nothing has changed");
    // The old process had this connection; it was told to end.
    assert!(kept.get("/healthz").is_err() || kept.get("/healthz").is_err());

    write("127.0.0.1:0,unix:admin.sock").expect("written");
    reload(3);
    let socket = server.dir().join("admin.sock");
    let mut client = Client::connect_unix(&socket).expect("it listens");
    assert_eq!(client.get("/healthz").expect("an answer").status, 200);
    assert_eq!(address(&server, 2), first, "port 0 keeps its port");

    fs::write(&env_file, "").expect("written");
    reload(4);
    eventually("no admin process", || {
        processes(server.master()).is_empty().then_some(())
    });
    eventually("a closed port", || Client::connect(first).err());
    eventually("no socket file", || (!socket.exists()).then_some(()));

    write("127.0.0.1:0").expect("written");
    reload(5);
    let second = address(&server, 3);
    assert_eq!(get(second, "/healthz").status, 200);

    write("127.0.0.1:1,10.0.0.1:1").expect("written");
    server.tolerate("Reload failed");
    server.signal(Signal::SIGHUP);
    server.log().wait_for("Reload failed");
    assert_eq!(get(second, "/healthz").status, 200, "everything stays");
}

#[test]
fn at_a_stop_it_says_so_to_the_end() {
    let mut server = server("admin, stop").lab().start_with_unknown_workers();
    let admin = address(&server, 1);
    eventually("readiness", || {
        (get(admin, "/ready").status == 200).then_some(())
    });
    let mut slow = server.client();
    let gate = server.dir().join("gate");
    let head = format!(
        "GET /hold?until={} HTTP/1.1\r\nHost: a\r\n\r\n",
        gate.display()
    );
    slow.send(head.as_bytes()).expect("sent");
    server.signal(Signal::SIGTERM);
    let answer = eventually("it drains", || {
        let answer = get(admin, "/ready");
        (answer.status == 503).then_some(answer)
    });
    assert!(answer.text().contains("\"ready\": false"), "{answer:?}");
    assert_eq!(get(admin, "/healthz").status, 200);
    fs::write(&gate, "").expect("written");
    assert_eq!(slow.answer().expect("the answer").status, 200);
    server.wait_for_exit();
}

#[test]
fn while_the_server_waits_for_its_balancers_it_is_not_ready() {
    let mut server = server("admin, drain_delay")
        .args(&["--drain-delay", "3600"])
        .start_with_unknown_workers();
    let admin = address(&server, 1);
    eventually("readiness", || {
        (get(admin, "/ready").status == 200).then_some(())
    });
    server.signal(Signal::SIGTERM);
    let answer = eventually("it says so", || {
        Some(get(admin, "/ready")).filter(|it| it.status == 503)
    });
    assert!(answer.text().contains("drains"), "{answer:?}");
    assert!(
        get(admin, "/status")
            .text()
            .contains("\"state\":\"draining\"")
    );
    assert_eq!(server.get("/").status, 200, "everything is served");
    server.signal(Signal::SIGTERM);
    server.wait_for_exit();
}

#[test]
fn reloads_lose_no_scrape() {
    let server = server("admin, reloads under scrapes").start_with_unknown_workers();
    let admin = address(&server, 1);
    let over = Arc::new(AtomicBool::new(false));
    let is_over = Arc::clone(&over);
    let asking = thread::spawn(move || {
        while !is_over.load(Ordering::Relaxed) {
            assert_eq!(get(admin, "/metrics").status, 200);
        }
    });
    for generation in 2..8 {
        server.signal(Signal::SIGHUP);
        let line = format!("Generation {generation} serves with 1 workers");
        server.log().wait_for(&line);
    }
    over.store(true, Ordering::Relaxed);
    asking.join().expect("every scrape is answered");
}

#[test]
fn no_ready_worker_is_a_reason() {
    let (builder, gate) = BootGate::closed_for(server("admin, boot").lab());
    let mut server = builder.spawn();
    let admin = address(&server, 1);
    let answer = get(admin, "/ready");
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("no worker is ready"), "{answer:?}");
    assert_eq!(get(admin, "/healthz").status, 200);
    gate.open();
    eventually("readiness", || {
        (get(admin, "/ready").status == 200).then_some(())
    });
    server.signal(Signal::SIGTERM);
    server.wait_for_exit();
}

#[test]
fn scrapes_beside_load_lose_no_request_of_a_client() {
    let server = server("admin, load")
        .lab()
        .args(&["--workers", "2", "--threads", "2"])
        .start_with_unknown_workers();
    let admin = address(&server, 1);
    let load = Load::start(server.address(), 8, Mode::KeepAlive, "/sleep?ms=3");
    // So many, and so long, that workers pass each other requests: the admin process must take none of them.
    let asking = thread::spawn(move || {
        (0..200)
            .all(|_| get(admin, "/metrics").status == 200 && get(admin, "/status").status == 200)
    });
    assert!(asking.join().expect("no panic"));
    load.stop().assert_perfect();
}

#[test]
fn both_masters_of_an_upgrade_answer_and_the_one_that_stays_goes_on() {
    let mut server = server("admin, upgrade").lab().start_with_unknown_workers();
    let admin = address(&server, 1);
    server.wait_for_children(2);
    let new_master = NewMaster::start(&server, 2);
    let theirs = eventually("its admin process", || processes(new_master.0).pop());
    assert_eq!(address(&server, 2), admin, "the same socket");
    for _ in 0..20 {
        assert_eq!(get(admin, "/healthz").status, 200);
    }
    server.signal(Signal::SIGTERM);
    server.wait_for_exit();
    for _ in 0..20 {
        assert_eq!(get(admin, "/healthz").status, 200);
    }
    assert!(theirs.is_alive());
    new_master.end();
}

#[test]
fn it_is_there_in_the_background() {
    let builder = Server::new("admin, daemon").bind("unix:app.sock").args(&[
        "--daemon",
        "--pid",
        "server.pid",
        "--error-logfile",
        "error.log",
        "--admin-bind",
        "unix:admin.sock",
    ]);
    let (socket, pid_file) = (
        builder.dir().join("admin.sock"),
        builder.dir().join("server.pid"),
    );
    let mut server = builder.spawn();
    assert!(server.wait_for_exit().success());
    let pid = fs::read_to_string(&pid_file).expect("a pid file");
    let daemon = Process(pid.trim().parse().expect("a pid"));
    let answer = Client::connect_unix(&socket).and_then(|mut it| it.get("/ready"));
    // Before anything can fail: it is in no process group of the test.
    daemon.signal(Signal::SIGTERM);
    eventually("the daemon ends", || (!daemon.is_alive()).then_some(()));
    assert_eq!(answer.expect("an answer").status, 200);
    assert!(!socket.exists());
}

#[test]
fn it_has_the_user_of_the_workers_and_a_secret_that_they_cannot_read() {
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("skipped: only root can become somebody else");
        return;
    }
    let builder = server("admin, user").args(&["--user", "nobody", "--group", "nogroup"]);
    let token = "0123456789abcdef";
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(builder.dir(), open).expect("root");
    let file = builder.dir().join("token");
    fs::write(&file, token).expect("written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("root");
    let server = builder
        .args(&[
            "--admin-token-file",
            "token",
            "--admin-bind",
            "unix:admin.sock",
        ])
        .start_with_unknown_workers();
    let admin = the_process(&server);
    let status = fs::read_to_string(format!("/proc/{}/status", admin.0)).expect("it lives");
    assert!(
        status.contains("\nUid:\t65534\t65534\t65534\t65534\n"),
        "{status}"
    );
    let socket = server.dir().join("admin.sock");
    assert_eq!(fs::metadata(&socket).expect("a socket").uid(), 65534);
    let mut client = Client::connect_unix(&socket).expect("it listens");
    assert_eq!(client.get("/metrics").expect("an answer").status, 401);
    let field = format!("Authorization: Bearer {token}\r\n");
    let answer = client
        .request("GET", "/metrics", &field, b"")
        .expect("an answer");
    assert_eq!(answer.status, 200);
    // The kernel does not show the memory of a process that has changed its user.
    assert!(!answer.text().contains("kind=\"pss\""));
    assert!(answer.text().contains("kind=\"rss\""));
}

/// Each round fills all places: with clients that send nothing, begin a body that never comes, or take no response.
#[test]
fn clients_that_stand_still_keep_no_place() {
    const ROUNDS: usize = 150;
    let server = server("admin, silent clients").start_with_unknown_workers();
    let admin = address(&server, 1);
    let asking = thread::spawn(move || {
        let pipelined = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100);
        for round in 0..ROUNDS {
            let connect = |_| {
                let mut client = Client::connect_narrow(admin).expect("it listens");
                let sent: &[u8] = match round % 20 {
                    0 => &pipelined,
                    odd if odd % 2 == 1 => {
                        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"
                    }
                    _ => b"",
                };
                // Fails where the server has closed the connection already.
                let _ = client.send(sent);
                client
            };
            let silent: Vec<_> = (0..80).map(connect).collect();
            assert_eq!(get(admin, "/healthz").status, 200);
            drop(silent);
        }
    });
    // A second for each round of one kind would be longer.
    eventually_within(Duration::from_secs(60), "an answer in each round", || {
        asking.is_finished().then_some(())
    });
    asking.join().expect("an answer in each round");
}
