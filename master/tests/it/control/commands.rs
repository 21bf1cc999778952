//! What the commands do, and that their answers are true.

use std::fs;

use nix::sys::signal::Signal;

use crate::harness::{BootGate, Controller, Server, eventually};

fn pids(control: &mut Controller) -> Vec<i64> {
    let data = control.call("show workers").expect("an answer");
    let workers = data["workers"].as_array().expect("a list").iter();
    workers
        .map(|it| it["pid"].as_i64().expect("a pid"))
        .collect()
}

#[test]
fn the_number_of_workers_is_set_in_all_ways() {
    let server = Server::new("workers").workers(2).start();
    let mut control = Controller::of(&server);
    let mut change = |command: &str| {
        let data = control.call(command).expect("obeyed");
        let total = data["total"].as_u64().expect("a number");
        let total = usize::try_from(total).expect("a number");
        server.wait_for_children(total);
        (data, total)
    };
    assert_eq!(change("worker add").1, 3);
    let (data, total) = change("worker add 2");
    assert_eq!((total, data["added"].as_u64()), (5, Some(2)));
    let (data, total) = change("worker remove 3");
    assert_eq!((total, data["removed"].as_u64()), (2, Some(3)));
    let (data, total) = change("worker remove 99");
    assert_eq!((total, data["removed"].as_u64()), (1, Some(1)), "one stays");
    assert_eq!(change("worker set 4").1, 4);
    assert_eq!(change("worker set 2").1, 2);
    assert_eq!(change("worker set 2").1, 2);
}

/// The setting `workers` may be 250 at most, with the runners: then the next generation has room beside this one.
#[test]
fn more_workers_than_there_may_be_are_refused() {
    let server = Server::new("too many").workers(2).start();
    let mut control = Controller::of(&server);
    for command in [
        "worker set 10000",
        "worker add 249",
        "worker add 18446744073709551615",
    ] {
        let refused = control.call(command).expect_err("refused");
        assert!(refused.contains("may have 1 to 250"), "{refused}");
    }
    assert_eq!(
        control.call("show stats").expect("told")["workers_target"],
        2
    );
    assert_eq!(server.children().len(), 2);
}

/// Many are forked over several turns of the master's loop. Those that are taken back before are never forked.
#[test]
fn many_workers_come_and_may_be_taken_back_at_once() {
    let mut server = Server::new("many").workers(1).start();
    let mut control = Controller::of(&server);
    control.call("worker add 40").expect("obeyed");
    server.wait_for_children(41);
    for _ in 0..3 {
        control.call("worker add 100").expect("obeyed");
        control.call("worker set 1").expect("obeyed");
    }
    server.wait_for_children(1);
    control.call("worker add 30").expect("obeyed");
    // The end finds some that have no process yet.
    server.signal(Signal::SIGTERM);
    server.wait_for_exit();
}

#[test]
fn a_killed_worker_is_replaced_before_it_ends() {
    let server = Server::new("kill").lab().workers(1).start();
    let mut control = Controller::of(&server);
    let old = pids(&mut control)[0];
    let data = control.call(&format!("worker kill {old}")).expect("obeyed");
    assert_eq!(data["killed"], old);
    eventually("another one", || {
        let now = pids(&mut control);
        (now.len() == 1 && now[0] != old).then_some(())
    });
    let data = control.call("worker kill 1").expect("an answer");
    assert_eq!(data["success"], false);
    let stats = control.call("show stats").expect("an answer");
    assert_eq!(stats["workers_spawned"], 2);
    assert_eq!(stats["workers_killed"], 1);
}

#[test]
fn a_reload_is_answered_at_once_or_at_its_end() {
    let builder = Server::new("reload").lab().workers(2);
    let closed = builder.dir().join("closed");
    let mut server = builder
        .env("LAB_BOOT", &closed.display().to_string())
        .start();
    server.tolerate("the lab has been closed");
    server.tolerate("could not load the application");
    server.tolerate("Reload given up");
    let mut control = Controller::of(&server);
    let data = control.call("reload").expect("obeyed");
    assert_eq!(data["status"], "reloading");
    let data = control.call("reload --wait").expect("reloaded");
    assert_eq!(
        (&data["status"], &data["generation"]),
        (&"reloaded".into(), &3.into())
    );
    assert_eq!(server.get("/generation").text(), "3");
    fs::write(&closed, "").expect("a file");
    let reason = control.call("reload --wait").expect_err("it does not load");
    assert!(reason.contains("the lab has been closed"), "{reason}");
    assert_eq!(server.get("/generation").text(), "3");
    assert_eq!(control.call("show stats").expect("an answer")["reloads"], 3);
}

#[test]
fn progress_comes_in_frames_of_its_own_if_it_is_wanted() {
    let server = Server::new("progress").lab().workers(2).start();
    let mut control = Controller::of(&server);
    control
        .ask("reload", &["--wait", "--progress"])
        .expect("asked");
    let mut texts = Vec::new();
    let answer = loop {
        let frame = control.frame().expect("a frame");
        assert_eq!(frame["id"], "reload");
        if frame["status"] != "progress" {
            break frame;
        }
        texts.push(frame["data"]["text"].as_str().expect("a text").to_owned());
    };
    assert_eq!(answer["status"], "ok");
    let has = |part: &str| texts.iter().any(|text| text.contains(part));
    assert!(
        has("is ready") && has("Generation 2 serves with 2 workers"),
        "{texts:?}"
    );
}

#[test]
fn an_end_ends_the_wait_for_a_reload() {
    let (builder, gate) = BootGate::open_for(Server::new("end").lab().workers(1));
    let mut server = builder.start();
    gate.close();
    let mut waiting = Controller::of(&server);
    waiting.ask("reload", &["--wait"]).expect("asked");
    server
        .log()
        .wait_for("Handling control command: reload --wait");
    let mut control = Controller::of(&server);
    let data = control.call("shutdown quick").expect("obeyed");
    assert_eq!(
        (&data["status"], &data["mode"]),
        (&"shutting_down".into(), &"quick".into())
    );
    let frame = waiting.frame().expect("an answer");
    assert_eq!(frame["error"], "The server is shutting down");
    gate.open();
    server.wait_for_exit();
}

/// As after a client that was lost: the delay is there so that balancers stop sending clients.
#[test]
fn a_drain_that_is_asked_for_again_ends_no_delay() {
    let builder = Server::new("drain again").lab().workers(1);
    let mut server = builder.args(&["--drain-delay", "3600"]).start();
    let mut asked = [(); 2].map(|()| {
        let mut client = Controller::of(&server);
        client.ask("drain", &[]).expect("asked");
        server.log().wait_for("Health checks fail from now on");
        client
    });
    Controller::of(&server).call("shutdown").expect("an answer");
    assert_eq!(server.log().count("Handling signal: term"), 0);
    assert_eq!(server.get("/pid").status, 200);
    assert_eq!(server.log().count("Worker draining"), 0);
    server.signal(nix::sys::signal::Signal::SIGTERM);
    for client in &mut asked {
        client.frame().expect("an answer at the end");
    }
    server.wait_for_exit();
}

#[test]
fn a_drain_reports_the_end() {
    let mut server = Server::new("drain").lab().workers(1).start();
    let gate = server.dir().join("gate");
    let mut client = server.client();
    let request = format!(
        "GET /hold?until={} HTTP/1.1\r\nHost: x\r\n\r\n",
        gate.display()
    );
    client.send(request.as_bytes()).expect("sent");
    let mut draining = Controller::of(&server);
    draining.ask("drain", &[]).expect("asked");
    server.log().wait_for("Worker draining");
    // It is still controlled.
    let mut control = Controller::of(&server);
    let refused = control.call("reload").expect_err("too late");
    assert_eq!(refused, "The server is shutting down");
    fs::write(&gate, "").expect("a file");
    assert_eq!(client.answer().expect("an answer").status, 200);
    let frame = draining.frame().expect("an answer");
    assert_eq!(
        frame["data"],
        serde_json::json!({"status": "ended", "code": 0, "pid": server.master().0, "generation": 1})
    );
    server.wait_for_exit();
}

#[test]
fn logs_are_opened_again() {
    let server = Server::new("reopen")
        .lab()
        .workers(1)
        .args(&["--access-logfile", "a.log"])
        .start();
    let (log, moved) = (server.dir().join("a.log"), server.dir().join("a.log.1"));
    fs::rename(&log, &moved).expect("renamed");
    Controller::of(&server).call("reopen").expect("obeyed");
    eventually("a new file", || log.exists().then_some(()));
}

#[test]
fn an_upgrade_that_fails_says_why() {
    let builder = Server::new("bad upgrade").lab().workers(1);
    let env_file = builder.dir().join("server.env");
    fs::write(&env_file, "").expect("a file");
    let mut server = builder.args(&["--env-file", "server.env"]).start();
    server.tolerate("");
    fs::write(&env_file, "OXICORN_THREADS=none\n").expect("a file");
    let mut control = Controller::of(&server);
    let reason = control.call("upgrade --wait").expect_err("it cannot start");
    assert!(
        reason.contains("Upgrade failed") && reason.contains("THREADS"),
        "{reason}"
    );
    assert_eq!(server.get("/").status, 200);
}
