//! Settings from outside: where they come from, which wins, and how a bad one is refused.

use std::fs;

use crate::harness::{Builder, Ended, Server};

/// One line that names the source and the value; nothing was bound.
fn assert_refused(ended: &Ended, parts: &[&str]) {
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(ended.log.trim().lines().count(), 1, "{}", ended.log);
    for part in parts {
        assert!(
            ended.log.contains(part),
            "{part:?} is not in {:?}",
            ended.log
        );
    }
    assert!(!ended.log.contains("Listening"), "{}", ended.log);
}

fn hello() -> Builder {
    Server::new("settings").workers(1)
}

#[test]
fn a_bad_value_is_refused_by_the_name_of_its_source() {
    assert_refused(
        &Server::new("flag").args(&["--workers", "many"]).run(),
        &["--workers", "many"],
    );
    assert_refused(
        &Server::new("variable").env("THREADS", "-1").run(),
        &["THREADS", "-1"],
    );
    assert_refused(
        &Server::new("cmd args")
            .env("GUNICORN_CMD_ARGS", "--timeout soon")
            .run(),
        &["GUNICORN_CMD_ARGS", "soon"],
    );
    let builder = Server::new("env file");
    fs::write(builder.dir().join("x.env"), "# tuning\nWORKERS=few\n").expect("written");
    assert_refused(
        &builder.args(&["--env-file", "x.env"]).run(),
        &["x.env:2", "few"],
    );
}

#[test]
fn a_python_config_file_takes_the_wheel() {
    let config = |builder: Builder| {
        fs::write(builder.dir().join("gunicorn.conf.py"), "workers = 3\n").expect("written");
        builder
    };
    assert_refused(
        &config(hello()).args(&["-c", "gunicorn.conf.py"]).run(),
        &["gunicorn.conf.py", "the wheel", "--env-file"],
    );
    assert_refused(&hello().args(&["-c", "x.py"]).run(), &["--config", "x.py"]);
    let server = config(hello()).start();
    server.wait_for_children(1);
    server.log().wait_for("gunicorn.conf.py is ignored");
}

#[test]
fn what_is_not_served_is_refused_and_what_has_no_effect_is_explained() {
    assert_refused(
        &hello().args(&["-k", "gevent"]).run(),
        &["--worker-class", "gevent", "threads"],
    );
    assert_refused(
        &hello().args(&["--dirty-workers", "2"]).run(),
        &["--dirty-workers", "task queue"],
    );
    let server = hello().args(&["--worker-tmp-dir", "/dev/shm"]).start();
    server.log().wait_for("worker_tmp_dir has no effect");
}

#[test]
fn an_unknown_flag_is_refused() {
    assert_refused(&hello().arg("--wrokers").run(), &["--wrokers"]);
}

#[test]
fn no_application_is_refused_with_the_usage() {
    let ended = Server::new("no application").no_app().run();
    assert_eq!(ended.code, Some(1), "{}", ended.log);
    assert!(ended.log.contains("native:"), "{}", ended.log);
}

#[test]
fn impossible_places_are_refused() {
    assert_eq!(
        hello().args(&["--chdir", "/nowhere/at/all"]).run().code,
        Some(1)
    );
    assert_eq!(
        hello().args(&["--user", "no-such-user"]).run().code,
        Some(1)
    );
    assert_eq!(Server::new("bind").bind("300.0.0.1:x").run().code, Some(1));
    assert_eq!(
        hello()
            .args(&["--error-logfile", "/nowhere/at/all.log"])
            .run()
            .code,
        Some(1)
    );
}

#[test]
fn check_config_binds_nothing() {
    let ended = hello().arg("--check-config").run();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(!ended.log.contains("Listening"), "{}", ended.log);
    let ended = hello().args(&["--check-config", "--threads", "0"]).run();
    assert_eq!(ended.code, Some(1), "{}", ended.log);
}

#[test]
fn print_config_shows_each_value_and_its_source() {
    let ended = hello().arg("--print-config").env("THREADS", "3").run();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    let line = |name: &str| {
        let mut lines = ended.out.lines();
        lines
            .find(|line| line.starts_with(name))
            .unwrap_or_default()
    };
    assert!(line("workers").contains('1'), "{}", ended.out);
    assert!(
        line("threads").contains('3') && line("threads").contains("THREADS"),
        "{}",
        ended.out
    );
}

#[test]
fn help_and_version_go_to_standard_output() {
    let ended = Server::new("help").arg("--help").run();
    assert_eq!(ended.code, Some(0));
    assert!(
        ended.out.contains("--workers") && ended.out.contains("native:"),
        "{}",
        ended.out
    );
    let ended = Server::new("version").arg("--version").run();
    assert_eq!(ended.code, Some(0));
    assert!(
        ended.out.contains(env!("CARGO_PKG_VERSION")),
        "{}",
        ended.out
    );
}

/// Each source beats the one that follows.
#[test]
fn precedence_is_as_documented() {
    let count = |builder: Builder, expected: usize| {
        let server = builder.start_with_unknown_workers();
        server.wait_for_children(expected);
    };
    let base = || {
        let builder = Server::new("precedence");
        fs::write(builder.dir().join("x.env"), "WORKERS=6\n").expect("written");
        builder.env("WEB_CONCURRENCY", "7")
    };
    count(base(), 7);
    count(base().args(&["--env-file", "x.env"]), 6);
    count(base().args(&["--env-file", "x.env"]).env("WORKERS", "5"), 5);
    count(base().env("WORKERS", "5").env("GUNICORN_WORKERS", "4"), 4);
    count(
        base()
            .env("GUNICORN_WORKERS", "4")
            .env("OXICORN_WORKERS", "3"),
        3,
    );
    count(
        base()
            .env("OXICORN_WORKERS", "3")
            .env("GUNICORN_CMD_ARGS", "-w 2"),
        2,
    );
    count(
        base()
            .env("GUNICORN_CMD_ARGS", "-w 2")
            .env("OXICORN_CMD_ARGS", "--workers 1"),
        1,
    );
    count(
        base()
            .env("OXICORN_CMD_ARGS", "--workers 1")
            .args(&["-w", "2"]),
        2,
    );
    // An empty variable counts as unset.
    count(base().env("WORKERS", ""), 7);
}

#[test]
fn the_applications_environment_is_set_and_so_is_its_directory() {
    let builder = Server::new("raw env")
        .lab()
        .args(&["--env", "COLOUR=green", "-e", "SIZE=9"]);
    let directory = builder.dir().join("home");
    fs::create_dir(&directory).expect("a directory");
    let server = builder.args(&["--chdir", "home"]).start();
    assert_eq!(server.get("/env?name=COLOUR").text(), "green");
    assert_eq!(server.get("/env?name=SIZE").text(), "9");
    assert!(server.get("/cwd").text().ends_with("/home"));
}
