//! Signals to the master while clients are at work: no request may be lost.

use std::collections::HashSet;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::harness::{Load, Mode, Process, Server, eventually};

const BOTH: [Mode; 2] = [Mode::KeepAlive, Mode::Fresh];

/// Load in both modes around `act`; every request must be answered.
fn under_load(server: &Server, act: impl FnOnce(&dyn Fn())) {
    let loads = BOTH.map(|mode| Load::start(server.address(), 4, mode, "/pid"));
    act(&|| loads.iter().for_each(|load| load.wait_for_more(100)));
    loads.iter().for_each(|load| load.wait_for_more(100));
    for (load, mode) in loads.into_iter().zip(BOTH) {
        let tally = load.stop();
        eprintln!("{mode:?}: {tally:?}");
        tally.assert_perfect();
    }
}

#[test]
fn hup_replaces_every_worker_and_loses_nothing() {
    let server = Server::new("hup").lab().workers(2).threads(2).start();
    let first = server.children();
    under_load(&server, |go_on| {
        let mut old = first.clone();
        for _ in 0..5 {
            server.signal(Signal::SIGHUP);
            old = server.wait_for_others(&old, 2);
            go_on();
        }
    });
    assert_eq!(server.log().count("Handling signal: hup"), 5);
    assert_eq!(server.get("/generation").number(), 6);
}

#[test]
fn ttin_and_ttou_change_the_number_of_workers_and_lose_nothing() {
    let server = Server::new("ttin").lab().workers(2).start();
    under_load(&server, |go_on| {
        for count in [3, 4] {
            server.signal(Signal::SIGTTIN);
            server.wait_for_children(count);
        }
        go_on();
        server.signal(Signal::SIGHUP);
        server.log().wait_for("Handling signal: hup");
        go_on();
        server.wait_for_children(4);
        for count in [3, 2, 1] {
            server.signal(Signal::SIGTTOU);
            server.wait_for_children(count);
            go_on();
        }
    });
    // The last worker stays.
    server.signal(Signal::SIGTTOU);
    server.log().wait_for_nth("Handling signal: ttou", 4);
    assert_eq!(server.get("/").status, 200);
    assert_eq!(server.children().len(), 1);
}

#[test]
fn term_lets_requests_end() {
    let mut server = Server::new("term").lab().workers(2).threads(4).start();
    let address = server.address();
    let mut clients: Vec<_> = (0..4).map(|_| server.client()).collect();
    for client in &mut clients {
        client
            .send(b"GET /sleep?ms=700 HTTP/1.1\r\nHost: a\r\n\r\n")
            .expect("sent");
    }
    let load = Load::start(address, 4, Mode::Fresh, "/");
    load.wait_for_more(1);
    server.signal(Signal::SIGTERM);
    for client in &mut clients {
        let answer = client.answer().expect("an answer after TERM");
        assert_eq!(answer.status, 200);
        assert!(
            answer.closes(),
            "the client learns that this was the last one"
        );
    }
    // Clients close connections that were announced as closing.
    drop(clients);
    server.wait_for_exit();
    let tally = load.stop();
    assert!(tally.failures.is_empty() && tally.refused > 0, "{tally:?}");
}

#[test]
fn term_under_load_breaks_no_request_that_was_begun() {
    let mut server = Server::new("term load").lab().workers(2).threads(2).start();
    let loads = BOTH.map(|mode| Load::start(server.address(), 4, mode, "/pid"));
    loads.iter().for_each(|load| load.wait_for_more(200));
    server.signal(Signal::SIGTERM);
    server.wait_for_exit();
    for load in loads {
        let tally = load.stop();
        assert!(tally.failures.is_empty(), "{tally:?}");
        assert_eq!(tally.retried, 0, "closed without notice: {tally:?}");
    }
}

#[test]
fn term_kills_what_does_not_end_in_time() {
    let mut server = Server::new("graceful timeout")
        .lab()
        .threads(2)
        .args(&["--graceful-timeout", "1"])
        .start();
    server.tolerate("");
    let mut client = server.client();
    client
        .send(b"GET /sleep?ms=60000 HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("sent");
    eventually("the request is under way", || {
        server.get("/pid");
        Some(())
    });
    let started = Instant::now();
    server.signal(Signal::SIGTERM);
    server.wait_for_exit();
    let took = started.elapsed();
    assert!(took >= Duration::from_secs(1), "{took:?}");
}

/// The only thread is held, and the request is too long to be handed to a sibling.
#[test]
fn a_request_that_gets_no_thread_before_the_end_is_answered_503() {
    let builder = Server::new("503").lab().threads(1);
    let mut server = builder.args(&["--graceful-timeout", "2"]).start();
    server.tolerate("");
    let (mut held, mut waiting) = (server.client(), server.client());
    let request = b"GET /hold?until=/never HTTP/1.1\r\nHost: a\r\n\r\n";
    held.send(request).expect("sent");
    let head = "POST /pid HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n";
    let body = "x".repeat(20_000);
    waiting
        .send((head.to_owned() + &body).as_bytes())
        .expect("sent");
    server.signal(Signal::SIGTERM);
    let answer = waiting.answer().expect("an answer");
    assert_eq!(answer.status, 503);
    assert_eq!(answer.field("Retry-After"), Some("1"));
    assert!(answer.closes());
    server.wait_for_exit();
}

#[test]
fn int_and_quit_stop_at_once() {
    for signal in [Signal::SIGINT, Signal::SIGQUIT] {
        let builder = Server::new("int").lab().workers(2);
        // A drain would last for longer than the test has timeout.
        let mut server = builder.args(&["--graceful-timeout", "600"]).start();
        server.tolerate("");
        let mut client = server.client();
        client
            .send(b"GET /sleep?ms=600000 HTTP/1.1\r\nHost: a\r\n\r\n")
            .expect("sent");
        server.get("/pid");
        server.signal(signal);
        server.wait_for_exit();
    }
}

#[test]
fn usr1_reopens_the_logs_of_every_process() {
    let builder = Server::new("usr1").lab().workers(2).threads(2);
    let access = builder.dir().join("access.log");
    let server = builder
        .args(&[
            "--access-logfile",
            "access.log",
            "--access-logformat",
            "%(p)s %(s)s",
        ])
        .start();
    let pids: HashSet<i32> = server.children().into_iter().map(|it| it.0).collect();
    under_load(&server, |go_on| {
        for turn in 1..=3 {
            fs::rename(&access, access.with_extension(turn.to_string())).expect("renamed");
            server.signal(Signal::SIGUSR1);
            eventually("all workers write to the new file", || {
                let text = fs::read_to_string(&access).unwrap_or_default();
                let writers: HashSet<i32> = text
                    .lines()
                    .filter_map(|line| line.strip_prefix('<')?.split('>').next()?.parse().ok())
                    .collect();
                (writers == pids).then_some(())
            });
            go_on();
        }
    });
    let mut lines = 0;
    for entry in fs::read_dir(server.dir()).expect("a directory").flatten() {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        for line in text.lines() {
            assert!(line.ends_with(" 200"), "a broken line: {line:?}");
            lines += 1;
        }
    }
    assert!(lines >= 800, "{lines}");
}

#[test]
fn winch_drains_the_workers_and_keeps_the_master() {
    let mut server = Server::new("winch").lab().workers(2).start();
    let mut client = server.client();
    client
        .send(b"GET /sleep?ms=300 HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("sent");
    server.get("/pid");
    server.signal(Signal::SIGWINCH);
    assert_eq!(client.answer().expect("an answer").status, 200);
    server.wait_for_children(0);
    assert!(server.master().is_alive());
    // Workers come back with the next HUP.
    server.signal(Signal::SIGHUP);
    server.wait_for_children(2);
    assert_eq!(server.get("/").status, 200);
    server.expect_code(0);
}

#[test]
fn signals_that_are_meant_for_the_master_do_nothing_to_a_worker() {
    let server = Server::new("stray signals").lab().start();
    let pid = Process(i32::try_from(server.get("/pid").number()).expect("a pid"));
    for signal in [
        Signal::SIGHUP,
        Signal::SIGWINCH,
        Signal::SIGUSR2,
        Signal::SIGTTIN,
        Signal::SIGTTOU,
        Signal::SIGUSR1,
    ] {
        pid.signal(signal);
        assert_eq!(server.get("/pid").number(), i64::from(pid.0));
    }
}

#[test]
fn a_worker_that_is_told_to_end_drains_and_is_replaced() {
    let server = Server::new("term a worker").lab().workers(2).start();
    under_load(&server, |go_on| {
        for _ in 0..3 {
            let old = server.wait_for_children(2);
            old[0].signal(Signal::SIGTERM);
            eventually("the worker is replaced", || {
                let now = server.children();
                (now.len() == 2 && !now.contains(&old[0])).then_some(())
            });
            go_on();
        }
    });
}

#[test]
fn many_signals_at_once_end_in_a_server_that_serves() {
    let server = Server::new("signal storm").lab().workers(2).start();
    let end = Instant::now() + Duration::from_secs(3);
    let load = Load::start(server.address(), 4, Mode::Fresh, "/pid");
    while Instant::now() < end {
        for signal in [
            Signal::SIGHUP,
            Signal::SIGTTIN,
            Signal::SIGUSR1,
            Signal::SIGTTOU,
            Signal::SIGHUP,
        ] {
            server.signal(signal);
            thread::yield_now();
        }
        thread::sleep(Duration::from_millis(20));
    }
    load.wait_for_more(100);
    load.stop().assert_perfect();
    let generation = server.get("/generation").number();
    eventually("one generation is left", || {
        let children = server.children().len();
        let now = server.get("/generation").number();
        (children >= 1 && now >= generation).then_some(())
    });
}

/// The way back of an upgrade, with an application that cannot be loaded for the moment.
#[test]
fn workers_come_back_after_winch_also_when_the_reload_fails() {
    let builder = Server::new("winch, bad reload").lab().workers(2);
    let closed = builder.dir().join("closed");
    let mut server = builder
        .env("LAB_BOOT", &closed.display().to_string())
        .start();
    server.tolerate("");
    server.signal(Signal::SIGWINCH);
    eventually("no worker", || server.children().is_empty().then_some(()));
    fs::write(&closed, "").expect("written");
    server.signal(Signal::SIGHUP);
    server
        .log()
        .wait_for("; the generation of before starts its workers again");
    fs::remove_file(&closed).expect("removed");
    server.wait_for_children(2);
    assert_eq!(server.get("/generation").number(), 1);
}
