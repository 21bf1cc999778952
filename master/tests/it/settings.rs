//! Settings: their sources, which of them wins, and how a bad value is refused.

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
fn a_python_config_file_needs_the_wheel() {
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
    assert_eq!(
        (ended.out.as_str(), ended.log.as_str()),
        ("oxicorn: ok", "")
    );
    let ended = hello().args(&["--check-config", "--threads", "0"]).run();
    assert_eq!(ended.code, Some(1), "{}", ended.log);
}

/// Reports everything that would fail at a start, all at once, and changes nothing.
#[test]
fn check_config_finds_what_a_start_would() {
    let service = || Server::new("check").app("native:eventstreammonitor");
    let ended = service()
        .arg("--check-config")
        .args(&["--access-logfile", "/nowhere/access.log"])
        .args(&["--error-logfile", "/", "--pid", "/nowhere/pid"])
        .args(&[
            "--bind",
            "unix:/nowhere/app.sock",
            "--bind",
            "203.0.113.7:80",
        ])
        .args(&["--certfile", "/nowhere/cert.pem"])
        .args(&["--log-config", "/nowhere/log.conf"])
        .env("DATABASE_URL", "sqlite:/nowhere/x.db")
        .env("OXICORN_WORKRES", "2")
        .run();
    assert_eq!(ended.code, Some(1), "{}", ended.log);
    for slip in [
        "accesslog: cannot write to /nowhere/access.log",
        "errorlog: cannot write to /: it is a directory",
        "pidfile: cannot write to /nowhere/pid",
        "cannot listen at unix:/nowhere/app.sock",
        "cannot listen at 203.0.113.7:80",
        "/nowhere/cert.pem",
        "database_url: cannot write to /nowhere",
        "logconfig: cannot read /nowhere/log.conf",
        "did you mean OXICORN_WORKERS?",
    ] {
        let lines = ended.log.lines().filter(|line| line.contains(slip));
        assert_eq!(lines.count(), 1, "{slip}: {}", ended.log);
    }
    assert!(!ended.out.contains("ok"), "{}", ended.out);
    for (name, value, wrong) in [
        ("DATABASE_URL", "mysql://h/d", "database_url"),
        ("DATABASE_URL", "postgres://h/d?sslmode=maybe", "sslmode"),
        ("REDIS_URL", "redis://h/no-number", "redis_url"),
    ] {
        let ended = service().arg("--check-config").env(name, value).run();
        assert_eq!(ended.code, Some(1), "{value}: {}", ended.log);
        assert!(ended.log.contains(wrong), "{value}: {}", ended.log);
    }
}

/// While the server with these settings runs.
#[test]
fn check_config_disturbs_no_server_that_runs() {
    let builder = Server::new("check beside").args(&["--pid", "pid", "--error-logfile", "-"]);
    let directory = builder.dir().display().to_string();
    let server = builder.args(&["--bind", "unix:app.sock"]).start();
    let address = server.address().to_string();
    let ended = Server::new("check")
        .no_bind()
        .args(&["--check-config", "--chdir", &directory, "--pid", "pid"])
        .args(&["--bind", &address, "--bind", "unix:app.sock"])
        .run();
    assert_eq!(
        (ended.code, ended.out.as_str()),
        (Some(0), "oxicorn: ok"),
        "{}",
        ended.log
    );
    assert_eq!(server.get("/").status, 200);
    let pid = fs::read_to_string(server.dir().join("pid")).expect("it is there");
    assert_eq!(pid.trim(), server.master().0.to_string());
    assert!(server.dir().join("app.sock").exists());
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

/// In every form of a URL, and with every error in it.
#[test]
fn no_password_is_shown() {
    let secret = "hunter2";
    let service = || Server::new("secrets").app("native:eventstreammonitor");
    let assert_silent = |ended: &Ended, what: &str| {
        for text in [&ended.out, &ended.log] {
            assert!(!text.contains(secret), "{what}: {text}");
        }
    };
    for url in [
        "postgres://me:hunter2@db/x",
        "postgres://me:a/hunter2@db/x",
        "postgres://me:a@hunter2@db/x",
        "postgres://me:a?hunter2@db/x",
        "postgres://db/x?user=me&password=hunter2&sslmode=disable",
        "host=db user=me password=hunter2",
        "host=db password = 'a hunter2' user=me",
        "mysql://me:hunter2@db/x",
    ] {
        let ended = service()
            .env("DATABASE_URL", url)
            .arg("--print-config")
            .run();
        assert!(ended.out.contains("***"), "{url}: {}", ended.out);
        assert_silent(&ended, url);
        let places = [
            service()
                .env("DATABASE_URL", url)
                .arg("--check-config")
                .run(),
            service().args(&["--bind", url]).run(),
            service().args(&["--env", "X=1", url]).run(),
            service().env("KAFKA_BROKERS", url).run(),
        ];
        for ended in places {
            assert_silent(&ended, url);
        }
    }
    for url in ["redis://:hunter2@h/0", "redis://h/0?password=hunter2"] {
        let ended = service().env("REDIS_URL", url).arg("--print-config").run();
        assert!(ended.out.contains("***"), "{url}: {}", ended.out);
        assert_silent(&ended, url);
    }
    let ended = service()
        .env("REDIS_HOST", "h")
        .env("REDIS_PASSWORD", secret)
        .args(&["--env", "API_KEY=hunter2", "--print-config"])
        .run();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert_silent(&ended, "other settings");
    // A server that cannot be reached is named without the password.
    let mut server = service()
        .env("DATABASE_URL", "postgres://me:a/hunter2@127.0.0.1:1/x")
        .spawn();
    server.tolerate("");
    let code = server.wait_for_exit().code();
    assert!(code.is_some_and(|code| code != 0));
    server.expect_code(code.unwrap_or_default());
    assert!(
        !server.log().text().contains(secret),
        "{}",
        server.log().text()
    );
    assert!(
        server.log().text().contains("%2F"),
        "{}",
        server.log().text()
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

/// Each source takes precedence over the next.
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
