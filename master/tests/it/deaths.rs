//! Processes that are killed, crash or vanish: the server recovers, or ends as a whole.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::harness::{
    BootGate, Load, Mode, Process, Server, TIMEOUT, eventually, eventually_within,
};

#[test]
fn a_killed_worker_is_back_and_its_sibling_loses_nothing() {
    let mut server = Server::new("kill -9").lab().workers(2).start();
    server.tolerate("");
    let load = Load::start(server.address(), 4, Mode::Fresh, "/pid");
    for _ in 0..5 {
        let old = server.wait_for_children(2);
        let victim = old[0];
        victim.signal(Signal::SIGKILL);
        eventually("the worker is replaced", || {
            let now = server.children();
            (now.len() == 2 && !now.contains(&victim)).then_some(())
        });
        load.wait_for_more(50);
        server.log().wait_for(&format!("pid: {}", victim.0));
    }
    let tally = load.stop();
    // The requests in the killed worker are lost: at most one per client.
    assert!(
        tally.failures.len() <= 5 * 4 && tally.refused == 0,
        "{tally:?}"
    );
}

#[test]
fn the_log_names_the_true_cause_of_death() {
    let mut server = Server::new("causes").lab().start();
    server.tolerate("");
    let _ = server.client().get("/exit?code=5");
    let line = server.log().wait_for("code");
    assert!(line.contains('5'), "{line}");
    server.wait_for_children(1);
    eventually("a worker serves again", || server.client().get("/").ok());
    let _ = server.client().get("/abort");
    server.log().wait_for("SIGABRT");
    eventually("a worker serves again", || server.client().get("/").ok());
    let pid = server.wait_for_children(1)[0];
    // Not SIGSEGV: the Rust runtime has a handler for it, which does not expect a signal from outside.
    pid.signal(Signal::SIGILL);
    server.log().wait_for("SIGILL");
    server.wait_for_children(1);
}

#[test]
fn no_process_outlives_the_master() {
    let mut server = Server::new("kill master")
        .lab()
        .workers(3)
        .threads(2)
        .start();
    server.tolerate("");
    let load = Load::start(server.address(), 2, Mode::KeepAlive, "/pid");
    let mut stuck = server.client();
    stuck
        .send(b"GET /sleep?ms=60000 HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("sent");
    load.wait_for_more(10);
    let group = server.master();
    server.signal(Signal::SIGKILL);
    server.wait_for_exit();
    eventually("the group is empty", || {
        group.group().is_empty().then_some(())
    });
    load.stop();
    assert!(server.log().ends_within(TIMEOUT));
    server.expect_kill();
}

#[test]
fn a_worker_that_dies_while_it_boots_ends_the_start_with_3() {
    for boot in ["exit", "abort"] {
        let ended = Server::new("boot")
            .lab()
            .workers(2)
            .env("LAB_BOOT", boot)
            .run();
        assert_eq!(ended.code, Some(3), "{}", ended.log);
    }
}

#[test]
fn threads_that_cannot_be_made_end_the_start_with_3() {
    // The address space has no room for two stacks of 64 TiB.
    let stack = format!("--stack={}:", 1_u64 << 46);
    for (threads, what) in [(1, "the thread that watches"), (3, "request thread 1 of 3")] {
        let ended = Server::new("no threads")
            .under(&["prlimit", &stack])
            .threads(threads)
            .run();
        assert_eq!(ended.code, Some(3), "{}", ended.log);
        let line = format!("Worker failed to boot: cannot start {what}");
        assert!(ended.log.contains(&line), "{}", ended.log);
        assert!(ended.log.contains("RLIMIT_STACK"), "{}", ended.log);
    }
}

#[test]
fn stacks_without_a_limit_are_of_the_usual_size() {
    let server = Server::new("unlimited stacks")
        .under(&["prlimit", "--stack=unlimited:"])
        .threads(4)
        .start();
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn an_application_that_does_not_load_ends_the_start_with_4() {
    let ended = Server::new("load")
        .lab()
        .workers(2)
        .env("LAB_BOOT", "error")
        .run();
    assert_eq!(ended.code, Some(4), "{}", ended.log);
    assert!(ended.log.contains("the lab is closed"), "{}", ended.log);
}

#[test]
fn an_unknown_application_ends_the_start_with_4_and_a_list() {
    let ended = Server::new("unknown").app("native:nothing").run();
    assert_eq!(ended.code, Some(4), "{}", ended.log);
    assert!(
        ended.log.contains("native:nothing") && ended.log.contains("hello"),
        "{}",
        ended.log
    );
    let ended = Server::new("wsgi").app("wsgi:application").run();
    assert_eq!(ended.code, Some(4), "{}", ended.log);
}

#[test]
fn a_stopped_event_loop_is_killed_and_replaced() {
    let mut server = Server::new("heartbeat")
        .lab()
        .workers(2)
        .args(&["--timeout", "2"])
        .start();
    server.tolerate("");
    let frozen = server.children()[0];
    frozen.signal(Signal::SIGSTOP);
    eventually_within(
        Duration::from_secs(30),
        "the frozen worker is replaced",
        || {
            let now = server.children();
            (now.len() == 2 && !now.contains(&frozen)).then_some(())
        },
    );
    assert_eq!(server.get("/").status, 200);
}

/// Faulty code in one worker writes to the shared memory.
#[test]
fn a_false_heartbeat_of_a_sibling_kills_none() {
    let server = Server::new("false heartbeats")
        .lab()
        .workers(3)
        .args(&["--timeout", "2"])
        .start();
    let before = server.children();
    // For long enough that the master sees it, even on a slow machine.
    assert_eq!(
        server.get("/scribble?what=heartbeat&ms=60000").text(),
        "begun"
    );
    let doubts = "though the scoreboard says that its event loop stands still";
    server.log().wait_for_nth(doubts, 2);
    assert_eq!(server.children(), before);
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn a_false_heartbeat_does_not_save_a_stuck_sibling() {
    let mut server = Server::new("heartbeats of the future")
        .lab()
        .workers(3)
        .args(&["--timeout", "2"])
        .start();
    server.tolerate("");
    let liar = server.get("/pid").text();
    let mut client = server.client();
    while client.get("/pid").expect("an answer").text() != liar {
        client = server.client();
    }
    client
        .get("/scribble?what=future&ms=60000")
        .expect("an answer");
    let children = server.children();
    let frozen = children.iter().find(|it| it.0.to_string() != liar);
    let frozen = *frozen.expect("three workers");
    frozen.signal(Signal::SIGSTOP);
    eventually_within(Duration::from_secs(30), "it is replaced", || {
        (!server.children().contains(&frozen)).then_some(())
    });
}

#[test]
fn a_false_drain_state_of_siblings_is_ignored() {
    let server = Server::new("false states").lab().workers(3).start();
    let before = server.children();
    server.get("/scribble?what=draining&ms=60000");
    // The master looks at least once per second.
    for _ in 0..3 {
        server.signal(Signal::SIGUSR1);
    }
    server.log().wait_for("Handling signal: usr1");
    let load = Load::start(server.address(), 2, Mode::Fresh, "/sleep?ms=10");
    load.wait_for_more(400);
    load.stop().assert_perfect();
    assert_eq!(server.children(), before);
    assert_eq!(server.log().count("drains without being told"), 0);
}

#[test]
fn a_worker_that_writes_to_the_slots_of_its_siblings_crashes() {
    let mut server = Server::new("scribble").lab().workers(3).start();
    server.tolerate("crashed with SIG");
    let before = server.children();
    let _ = server.client().get("/scribble?what=plain&ms=60000");
    server.log().wait_for("crashed with SIGSEGV");
    let now = eventually("it is replaced", || {
        Some(server.children()).filter(|now| now.len() == 3 && *now != before)
    });
    let left = before.iter().filter(|it| now.contains(it)).count();
    assert_eq!(left, 2, "{before:?} {now:?}");
}

#[test]
fn rubbish_on_the_handoff_socket_costs_nobody() {
    let server = Server::new("rubbish").lab().workers(2).start();
    let before = server.children();
    let descriptors = |of: &[Process]| of.iter().map(|it| it.descriptors()).sum::<usize>();
    let open = descriptors(&before);
    for _ in 0..20 {
        let sent: usize = server.get("/rubbish").text().parse().expect("a number");
        assert!(sent > 0);
        assert_eq!(server.get("/").status, 200);
    }
    server.log().wait_for_nth("what no worker sends", 20);
    // Connections still move: a draining worker hands its own over.
    let load = Load::start(server.address(), 4, Mode::KeepAlive, "/pid");
    load.wait_for_more(100);
    server.signal(Signal::SIGHUP);
    let after = server.wait_for_others(&before, 2);
    load.wait_for_more(100);
    load.stop().assert_perfect();
    let idle = || (descriptors(&after) <= open + 4).then_some(());
    eventually("no descriptor stays open", idle);
}

#[test]
fn max_requests_replaces_workers_without_an_error() {
    for mode in [Mode::KeepAlive, Mode::Fresh] {
        let server = Server::new("max requests")
            .lab()
            .workers(2)
            .threads(2)
            .args(&["--max-requests", "10", "--max-requests-jitter", "3"])
            .start();
        let load = Load::start(server.address(), 4, mode, "/pid");
        // A start may take long. Requests go on meanwhile.
        for number in 1..=20 {
            server.log().wait_for_nth("Booting worker with pid", number);
        }
        load.wait_for_more(1000);
        load.stop().assert_perfect();
        server.wait_for_children(2);
    }
}

#[test]
fn requests_do_not_wait_for_the_boot_of_a_replacement() {
    let (builder, gate) = BootGate::open_for(Server::new("max requests, slow boot").lab());
    let server = builder.args(&["--max-requests", "10"]).start();
    gate.close();
    let load = Load::start(server.address(), 2, Mode::Fresh, "/pid");
    // The replacement boots while the gate is closed, and all clients are served meanwhile.
    server.log().wait_for_nth("Booting worker with pid", 2);
    load.wait_for_more(200);
    assert_eq!(server.log().count("Booting worker with pid"), 2);
    gate.open();
    server.log().wait_for_nth("Booting worker with pid", 3);
    load.stop().assert_perfect();
}

#[test]
fn a_burst_of_deaths_does_not_spin() {
    let builder = Server::new("late failure").lab();
    let fuse = builder.dir().join("fuse");
    let fuse_path = fuse.display().to_string();
    let mut server = builder.workers(2).env("LAB_BOOT", &fuse_path).start();
    server.tolerate("");
    std::fs::write(&fuse, "").expect("written");
    let booted = 2;
    server.log().wait_for_nth("Booting worker", booted);
    let victim = server.children()[0];
    let started = Instant::now();
    victim.signal(Signal::SIGKILL);
    server.log().wait_for_nth("Booting worker", booted + 4);
    // Three pauses between four attempts: 0.1, 0.2 and 0.4 s.
    let took = started.elapsed();
    assert!(took > Duration::from_millis(650), "{took:?}");
    // The other worker serves on while the first cannot come back.
    assert_eq!(server.get("/").status, 200);
    std::fs::remove_file(&fuse).expect("removed");
    server.wait_for_children(2);
}
