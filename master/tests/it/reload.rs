//! SIGHUP: settings and application are read again, and the old generation serves until the new one does.

use std::fs;

use nix::sys::signal::Signal;

use crate::harness::{BootGate, Load, Mode, PLACE, Server, eventually};

/// How many reloads the endurance test does; `OXICORN_TEST_RELOADS` overrides.
const RELOADS: usize = 1000;

#[test]
fn a_generation_that_does_not_boot_is_given_up() {
    let builder = Server::new("bad generation").lab();
    let fuse = builder.dir().join("fuse");
    let fuse_path = fuse.display().to_string();
    let mut server = builder.workers(2).env("LAB_BOOT", &fuse_path).start();
    server.tolerate("");
    let old = server.children();
    let load = Load::start(server.address(), 2, Mode::KeepAlive, "/pid");
    fs::write(&fuse, "").expect("written");
    server.signal(Signal::SIGHUP);
    server.log().wait_for("the lab has been closed");
    load.wait_for_more(200);
    eventually("the old workers are those that are left", || {
        (server.children() == old).then_some(())
    });
    assert_eq!(server.get("/generation").number(), 1);
    fs::remove_file(&fuse).expect("removed");
    server.signal(Signal::SIGHUP);
    server.wait_for_others(&old, 2);
    load.wait_for_more(50);
    load.stop().assert_perfect();
}

#[test]
fn the_env_file_is_read_again() {
    let builder = Server::new("env file").lab();
    let file = builder.dir().join("tuning.env");
    fs::write(&file, "WORKERS=1\nTHREADS=1\n").expect("written");
    let server = builder.args(&["--env-file", "tuning.env"]).start();
    server.wait_for_children(1);
    let load = Load::start(server.address(), 2, Mode::KeepAlive, "/pid");
    fs::write(&file, "WORKERS=3\nTHREADS=2\n").expect("written");
    server.signal(Signal::SIGHUP);
    server.wait_for_children(3);
    load.wait_for_more(100);
    load.stop().assert_perfect();
}

#[test]
fn bad_settings_change_nothing() {
    let builder = Server::new("bad settings").lab();
    let file = builder.dir().join("tuning.env");
    fs::write(&file, "WORKERS=1\n").expect("written");
    let mut server = builder.args(&["--env-file", "tuning.env"]).start();
    server.tolerate("tuning.env");
    let old = server.children();
    fs::write(&file, "WORKERS=many\n").expect("written");
    server.signal(Signal::SIGHUP);
    let line = server.log().wait_for("many");
    assert!(line.contains("tuning.env:1"), "{line}");
    assert_eq!(server.get("/").status, 200);
    assert_eq!(server.children(), old);
}

#[test]
fn slow_boots_overlap_with_the_old_generation() {
    let (builder, gate) = BootGate::open_for(Server::new("slow boot").lab().workers(2));
    let server = builder.start();
    gate.close();
    let old = server.children();
    let load = Load::start(server.address(), 2, Mode::Fresh, "/generation");
    server.signal(Signal::SIGHUP);
    // A second reload while the first is under way.
    server.log().wait_for("Handling signal: hup");
    server.signal(Signal::SIGHUP);
    // No client waits for a boot, however long it takes.
    load.wait_for_more(200);
    assert!(old.iter().all(|it| server.children().contains(it)));
    gate.open();
    server.wait_for_others(&old, 2);
    eventually("the last generation serves", || {
        (server.get("/generation").number() == 3).then_some(())
    });
    load.stop().assert_perfect();
}

#[test]
fn a_thousand_reloads_leak_no_descriptor() {
    let reloads = std::env::var("OXICORN_TEST_RELOADS")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(RELOADS);
    let server = Server::new("reloads").workers(1).start();
    let mut old = server.children();
    let worker_descriptors = old[0].descriptors();
    for _ in 0..reloads {
        server.signal(Signal::SIGHUP);
        old = server.wait_for_others(&old, 1);
    }
    assert_eq!(server.get("/").status, 200);
    eventually(
        "the last worker has as many descriptors as the first",
        || (old[0].descriptors() <= worker_descriptors).then_some(()),
    );
    // The teardown compares the descriptors of the master.
}

#[test]
fn a_changed_file_is_a_reload_by_either_engine() {
    for engine in ["poll", "inotify"] {
        let builder = Server::new(engine)
            .lab()
            .workers(2)
            .args(&["--reload", "--reload-engine", engine])
            .args(&["--reload-extra-file", "watched/*.txt"]);
        let (closed, watched) = (builder.dir().join("closed"), builder.dir().join("watched"));
        let mut server = {
            fs::create_dir(&watched).expect("a directory");
            fs::write(watched.join("one.txt"), "1").expect("a file");
            builder
                .env("LAB_BOOT", &closed.display().to_string())
                .start()
        };
        server.tolerate("the lab has been closed");
        server.tolerate("could not load the application");
        server.tolerate("before it was ready");
        server.tolerate("Reload given up");
        let old = server.children();
        fs::write(watched.join("one.txt"), "12").expect("a file");
        server.log().wait_for("watched/one.txt has changed");
        server.wait_for_others(&old, 2);
        server.log().wait_for("Generation 2 serves");
        assert_eq!(server.log().count("Reloading because"), 1, "one for all");

        fs::write(&closed, "").expect("a file");
        fs::write(watched.join("one.txt"), "123").expect("a file");
        server.log().wait_for("Reload given up");
        assert_eq!(server.get("/generation").text(), "2", "it serves on");

        fs::remove_file(&closed).expect("removed");
        fs::write(watched.join("new.txt"), "a").expect("a file");
        fs::write(watched.join("one.txt"), "1234").expect("a file");
        server.log().wait_for("Generation 4 serves");
        eventually("nothing old serves", || {
            (server.get("/generation").text() == "4").then_some(())
        });
        assert_eq!(server.log().count("Reloading because"), 3);
    }
}

#[test]
fn without_reload_no_file_is_watched() {
    let watchers = |flags: &[&str]| {
        let builder = Server::new("watchers").args(flags);
        fs::write(builder.dir().join("watched.txt"), "").expect("a file");
        let server = builder.start();
        let tasks = format!("/proc/{}/task", server.children()[0].0);
        let threads = fs::read_dir(tasks).expect("a worker").flatten();
        let names = threads.filter_map(|it| fs::read_to_string(it.path().join("comm")).ok());
        names.filter(|name| name == "reload\n").count()
    };
    let file = ["--reload-extra-file", "watched.txt"];
    assert_eq!(watchers(&file), 0);
    assert_eq!(watchers(&["--reload", file[0], file[1]]), 1);
}

/// The environment, the pid file and the control socket belong to the master, and so to the generation that serves.
#[test]
fn a_reload_that_is_given_up_leaves_nothing_in_the_master() {
    let builder = Server::new("given up").lab().workers(1);
    let dir = builder.dir().to_owned();
    let file = dir.join("server.env");
    fs::write(&file, "OXICORN_PIDFILE=first.pid\n").expect("written");
    let mut server = builder.args(&["--env-file", "server.env"]).start();
    server.tolerate("");
    let text = "OXICORN_RAW_ENV=LAB_BOOT=error\nOXICORN_PIDFILE=second.pid\n\
        OXICORN_CONTROL_SOCKET=second.ctl\nOXICORN_PROC_NAME=second\n";
    fs::write(&file, text).expect("written");
    server.signal(Signal::SIGHUP);
    server.log().wait_for("Reload given up");
    eventually("the first pid file is back", || {
        (dir.join("first.pid").exists() && !dir.join("second.pid").exists()).then_some(())
    });
    eventually("title and control socket are, too", || {
        let is_back = !server.master().command_line().contains("second");
        let socket = !dir.join("second.ctl").exists() && dir.join(PLACE).exists();
        (is_back && socket).then_some(())
    });
    let old = server.children();
    old[0].signal(Signal::SIGKILL);
    server.wait_for_others(&old, 1);
    assert_eq!(server.get("/env?name=LAB_BOOT").text(), "");
}
