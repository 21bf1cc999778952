//! `ctl reload --wait` tells the truth: scripts of good and broken releases, one after the other, on one server.

use std::fs;
use std::path::Path;
use std::thread;

use crate::harness::{BootGate, Builder, Server, eventually};

use super::{Outcome, ctl, ctl_in};

/// What a release does, as a line of the env file, and why a reload to it fails. The fleeting one mostly dies right after it
/// is ready, and on a busy machine before that.
const RELEASES: [(&str, Option<&str>); 7] = [
    ("", None),
    ("OXICORN_RAW_ENV=LAB_BOOT=error", Some("the lab is closed")),
    (
        "OXICORN_RAW_ENV=LAB_BOOT=exit",
        Some("exited with code 7 before it was ready"),
    ),
    (
        "OXICORN_RAW_ENV=LAB_BOOT=abort",
        Some("crashed with SIGABRT"),
    ),
    (
        "OXICORN_RAW_ENV=LAB_BOOT=fleeting",
        Some("exited with code 7"),
    ),
    ("OXICORN_THREADS=none", Some("server.env:1")),
    (
        "OXICORN_BIND=127.0.0.1:0,unix:/nonexistent/socket",
        Some("cannot listen"),
    ),
];

fn builder(name: &str, workers: usize) -> Builder {
    let builder = Server::new(name).lab().no_bind();
    release(builder.dir(), "");
    let builder = builder.workers(workers).args(&["--env-file", "server.env"]);
    builder.args(&["--graceful-timeout", "5"])
}

fn release(dir: &Path, line: &str) {
    let text = match line.contains("OXICORN_BIND") {
        true => format!("{line}\n"),
        false => format!("{line}\nOXICORN_BIND=127.0.0.1:0\n"),
    };
    let draft = dir.join("draft");
    fs::write(&draft, text).expect("a file");
    fs::rename(draft, dir.join("server.env")).expect("renamed");
}

/// Checks the outcome of a reload from generation `before`; returns the generation that serves.
fn check(server: &Server, outcome: Outcome, before: i64, reason: Option<&str>) -> i64 {
    match reason {
        None => {
            let done = outcome.expect(0).json();
            let now = done["generation"].as_i64().expect("a generation");
            assert!(now > before);
            for _ in 0..5 {
                assert_eq!(server.get("/generation").number(), now);
            }
            now
        }
        Some(reason) => {
            let failed = outcome.expect(1);
            assert!(failed.err.contains(reason), "{reason} in {failed:?}");
            let shown = failed.json()["error"].as_str().expect("a text").to_owned();
            assert!(shown.contains(reason), "{reason} in {shown}");
            before
        }
    }
}

#[test]
fn sixty_scripts_of_good_and_broken_releases() {
    let threads = (1..=3_u64).map(|seed| {
        thread::spawn(move || {
            let mut server = builder("scripts", 2).start();
            server.tolerate("");
            let mut generation = 1;
            let mut random = seed;
            for _ in 0..20 {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(seed);
                let index = usize::try_from(random >> 33).expect("small") % RELEASES.len();
                let (line, reason) = RELEASES[index];
                release(server.dir(), line);
                let outcome = ctl(&server, &["reload", "--wait", "--json"]);
                generation = check(&server, outcome, generation, reason);
                if line.contains("fleeting") {
                    // That generation has mostly taken over, and goes on failing: the next one ends it.
                    release(server.dir(), "");
                    let outcome = ctl(&server, &["reload", "--wait", "--json"]);
                    generation = check(&server, outcome, generation, None);
                }
            }
        })
    });
    let threads: Vec<_> = threads.collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
}

#[test]
fn a_reload_during_a_reload_has_an_outcome_of_its_own() {
    for (second, reason) in [
        ("", None),
        ("OXICORN_RAW_ENV=LAB_BOOT=error", Some("the lab is closed")),
    ] {
        let (builder, gate) = BootGate::open_for(builder("two", 1));
        let mut server = builder.start();
        server.tolerate("");
        gate.close();
        let start = |server: &Server| {
            let home = server.dir().to_owned();
            thread::spawn(move || ctl_in(&home, &["reload", "--wait", "--json"]))
        };
        let one = start(&server);
        server.log().wait_for_nth("Booting worker", 2);
        let other = start(&server);
        server
            .log()
            .wait_for("A reload is under way; the next one follows");
        release(server.dir(), second);
        gate.open();
        let one = one.join().expect("no panic").expect(0).json();
        let outcome = other.join().expect("no panic");
        match reason {
            // Either of the two may have been answered by the later one.
            None => assert!(one["generation"].as_i64() >= Some(2)),
            Some(_) => assert_eq!(one["generation"], 2),
        }
        check(&server, outcome, 2, reason);
    }
}

#[test]
fn a_term_during_a_reload_is_a_failure() {
    let (builder, gate) = BootGate::open_for(builder("term", 1));
    let mut server = builder.start();
    server.tolerate("");
    gate.close();
    let home = server.dir().to_owned();
    let reload = thread::spawn(move || ctl_in(&home, &["reload", "--wait", "--json"]));
    server.log().wait_for_nth("Booting worker", 2);
    server.signal(nix::sys::signal::Signal::SIGTERM);
    let failed = reload.join().expect("no panic").expect(1);
    assert!(
        failed.err.contains("The server is shutting down"),
        "{failed:?}"
    );
    gate.open();
    server.wait_for_exit();
    ctl(&server, &["reload", "--wait"]).expect(3);
}

/// The old workers serve meanwhile, and progress is shown.
#[test]
fn a_boot_that_takes_too_long_is_a_failure() {
    let (builder, gate) = BootGate::open_for(builder("slow", 1));
    let mut server = builder.args(&["--timeout", "1"]).start();
    server.tolerate("");
    gate.close();
    let failed = ctl(&server, &["reload", "--wait"]).expect(1);
    assert!(failed.err.contains("it did not get ready"), "{failed:?}");
    assert_eq!(server.get("/generation").number(), 1);
    gate.open();
}

#[test]
fn a_wait_may_have_a_limit() {
    let (builder, gate) = BootGate::open_for(builder("limit", 1));
    let server = builder.start();
    gate.close();
    let late = ctl(&server, &["--timeout", "0.3", "reload", "--wait"]).expect(4);
    assert!(late.err.contains("no answer within 0.3 s"), "{late:?}");
    gate.open();
    server.log().wait_for("Generation 2 serves");
    eventually("the next is answered", || {
        (ctl(&server, &["reload", "--wait"]).code == Some(0)).then_some(())
    });
}

/// The server ends because it cannot boot, and that is what they are told.
#[test]
fn a_server_that_cannot_boot_tells_those_who_wait() {
    let (builder, gate) = BootGate::closed_for(builder("cannot boot", 1));
    let mut server = builder.env("LAB_BOOT", "error").spawn();
    server.tolerate("");
    server.log().wait_for("Booting worker");
    let home = server.dir().to_owned();
    let reload = thread::spawn(move || ctl_in(&home, &["reload", "--wait", "--json"]));
    server.log().wait_for("Handling control command");
    gate.open();
    let failed = reload.join().expect("no panic").expect(1).json();
    let error = failed["error"].as_str().expect("a text");
    assert!(
        error.starts_with("The server is shutting down: ") && error.contains("the lab is closed"),
        "{error}"
    );
    server.expect_code(4);
    server.wait_for_exit();
}

/// The one who has asked for the upgrade may have lost the connection.
#[test]
fn an_upgrade_can_be_waited_for_by_another_one() {
    let (builder, gate) = BootGate::open_for(builder("upgrade", 1));
    let mut server = builder.start();
    server.tolerate("");
    gate.close();
    ctl(&server, &["upgrade"]).expect(0);
    let home = server.dir().to_owned();
    let upgrade = thread::spawn(move || ctl_in(&home, &["upgrade", "--wait", "--json"]));
    server
        .log()
        .wait_for("Handling control command: upgrade --wait");
    gate.open();
    let done = upgrade.join().expect("no panic").expect(0).json();
    let pid = i32::try_from(done["pid"].as_i64().expect("a pid")).expect("a pid");
    let new_master = crate::upgrade::NewMaster(crate::harness::Process(pid));
    assert!(new_master.0.is_alive());
    // Now it serves, and there is nothing to wait for.
    ctl(&server, &["upgrade", "--wait"]).expect(1);
}
