//! Where the control socket is: whatever happens to its file, to the settings or to the master.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::sys::signal::Signal;

use crate::harness::{Controller, PLACE, Server, eventually, eventually_within};
use crate::upgrade::NewMaster;

fn pid_at(path: &Path) -> Option<i64> {
    let mut control = Controller::connect(path).ok()?;
    control.call("show stats").ok()?["pid"].as_i64()
}

fn wait_for_pid(path: &Path, pid: i32) {
    // A server looks for its file every ten seconds.
    let what = format!("{pid} answers at {}", path.display());
    eventually_within(std::time::Duration::from_secs(60), &what, || {
        (pid_at(path) == Some(pid.into())).then_some(())
    });
}

#[test]
fn it_is_where_gunicorn_has_it_and_gone_at_the_end() {
    let builder = Server::new("home").workers(1);
    let runtime = builder.dir().join("run");
    fs::create_dir(&runtime).expect("a directory");
    let mut server = builder
        .env("XDG_RUNTIME_DIR", &runtime.display().to_string())
        .start();
    let path = runtime.join("gunicorn.ctl");
    let line = format!("Control socket listening at {}", path.display());
    server.log().wait_for(&line);
    let mode = path.metadata().expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(pid_at(&path), Some(server.master().0.into()));
    server.signal(Signal::SIGTERM);
    server.wait_for_exit();
    assert!(!path.exists());

    let server = Server::new("no runtime directory")
        .env("XDG_RUNTIME_DIR", "/nonexistent")
        .workers(1)
        .start();
    wait_for_pid(&server.dir().join(PLACE), server.master().0);
}

#[test]
fn the_settings_say_where_and_for_whom() {
    let builder = Server::new("settings").workers(1);
    let server = builder
        .args(&[
            "--control-socket",
            "deep/down/ctl",
            "--control-socket-mode",
            "0660",
        ])
        .start();
    let path = server.dir().join("deep/down/ctl");
    wait_for_pid(&path, server.master().0);
    let mode = path.metadata().expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o660);

    let server = Server::new("none")
        .workers(1)
        .arg("--no-control-socket")
        .start();
    assert!(!server.dir().join(PLACE).exists());
    assert_eq!(server.log().count("Control socket"), 0);
}

#[test]
fn a_place_that_cannot_be_had_is_no_error() {
    let server = Server::new("no place")
        .workers(1)
        .env("HOME", "/proc/nothing")
        .args(&["--log-level", "debug"])
        .start();
    let line = server
        .log()
        .wait_for("No control socket at /proc/nothing/.gunicorn/gunicorn.ctl");
    assert!(line.contains("[DEBUG]"), "{line}");
    assert_eq!(server.get("/").status, 200);

    let server = Server::new("named")
        .workers(1)
        .args(&["--control-socket", "/proc/x/ctl"])
        .start();
    let line = server.log().wait_for("No control socket at /proc/x/ctl");
    assert!(
        line.contains("[WARNING]") && line.contains("control_socket names"),
        "{line}"
    );
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn what_is_in_its_place_is_named() {
    let builder = Server::new("in its place").workers(1);
    std::os::unix::fs::symlink("nowhere", builder.dir().join("link")).expect("a link");
    let server = builder.args(&["--control-socket", "link"]).start();
    server
        .log()
        .wait_for("such as a link that leads nowhere. control_socket names");
    assert_eq!(server.log().count("another server"), 0);

    let server = Server::new("its own bind")
        .workers(1)
        .bind("unix:app.sock")
        .args(&["--control-socket", "app.sock"])
        .start();
    server.log().wait_for("app.sock: bind has that path");
    assert_eq!(server.log().count("another server"), 0);
}

#[test]
fn a_second_server_waits_for_the_place_of_the_first() {
    let mut first = Server::new("first").workers(1).start();
    let path = first.dir().join(PLACE);
    let shared = first.dir().display().to_string();
    let mut second = Server::new("second")
        .workers(1)
        .env("HOME", &shared)
        .start();
    // Whoever uses the default place controls the first one: that is worth a line without being asked.
    let line = second.log().wait_for("is another server's");
    assert!(
        line.contains("[WARNING]") && line.contains("control_socket names another place"),
        "{line}"
    );
    assert_eq!(pid_at(&path), Some(first.master().0.into()));
    // The socket and its directory.
    second.expect_descriptors(2);
    first.signal(Signal::SIGTERM);
    first.wait_for_exit();
    wait_for_pid(&path, second.master().0);
}

#[test]
fn what_a_killed_server_leaves_is_taken_over() {
    let mut first = Server::new("killed").workers(1).start();
    let path = first.dir().join(PLACE);
    first.expect_kill();
    first.signal(Signal::SIGKILL);
    first.wait_for_exit();
    assert!(path.exists(), "nobody could remove it");
    let shared = first.dir().display().to_string();
    let second = Server::new("heir").workers(1).env("HOME", &shared).start();
    assert_eq!(pid_at(&path), Some(second.master().0.into()));
}

#[test]
fn a_file_that_somebody_removes_comes_back() {
    let server = Server::new("removed").workers(1).start();
    let path = server.dir().join(PLACE);
    fs::remove_dir_all(path.parent().expect("a directory")).expect("removed");
    wait_for_pid(&path, server.master().0);
    server.log().wait_for("gunicorn.ctl is gone");
}

#[test]
fn a_reload_moves_it_and_its_client_gets_the_answer() {
    let builder = Server::new("moved").lab();
    let file = builder.dir().join("server.env");
    fs::write(&file, "").expect("a file");
    let server = builder
        .workers(1)
        .args(&["--env-file", "server.env"])
        .start();
    let (old, new) = (server.dir().join(PLACE), server.dir().join("other/place"));
    let mut client = Controller::of(&server);
    fs::write(&file, "OXICORN_CONTROL_SOCKET=other/place\n").expect("a file");
    client.call_with("reload", &["--wait"]).expect("reloaded");
    assert!(!old.exists());
    assert_eq!(pid_at(&new), Some(server.master().0.into()));
    fs::write(&file, "OXICORN_CONTROL_SOCKET_DISABLE=yes\n").expect("a file");
    client.call_with("reload", &["--wait"]).expect("reloaded");
    assert!(!new.exists());
    fs::write(&file, "").expect("a file");
    client.call_with("reload", &["--wait"]).expect("reloaded");
    wait_for_pid(&old, server.master().0);
}

#[test]
fn a_new_master_has_its_own_and_takes_the_place_of_the_old_one() {
    let mut server = Server::new("upgrade").lab().workers(1).start();
    let path = server.dir().join(PLACE);
    let beside = server.dir().join(format!("{PLACE}.2"));
    let new_master = NewMaster::start(&server, 1);
    wait_for_pid(&beside, new_master.0.0);
    assert_eq!(pid_at(&path), Some(server.master().0.into()));
    // Back: the old one keeps its place.
    Controller::connect(&beside)
        .expect("it listens")
        .call("shutdown")
        .expect("obeyed");
    server
        .log()
        .wait_for("exited with code 0; this one serves on");
    assert!(!beside.exists());
    assert_eq!(pid_at(&path), Some(server.master().0.into()));
    // Forward.
    let mut control = Controller::of(&server);
    let answer = control.call_with("upgrade", &["--wait"]).expect("upgraded");
    let pid = i32::try_from(answer["pid"].as_i64().expect("a pid")).expect("a pid");
    let new_master = NewMaster(crate::harness::Process(pid));
    assert_eq!(pid_at(&beside), Some(pid.into()));
    let again = control.call("upgrade").expect_err("there is one");
    assert!(again.contains("is there already"), "{again}");
    control.call("shutdown").expect("obeyed");
    server.wait_for_exit();
    wait_for_pid(&path, pid);
    assert!(!beside.exists());
    let mut control = Controller::connect(&path).expect("it listens");
    control.call("shutdown").expect("obeyed");
    eventually("the new master ends", || {
        (!new_master.0.is_alive()).then_some(())
    });
    assert!(!path.exists());
}

/// It could not remove them itself.
#[test]
fn the_files_of_a_killed_new_master_are_removed() {
    let builder = Server::new("killed new master").lab().workers(1);
    let mut server = builder.args(&["--pid", "pid"]).start();
    let beside = [
        server.dir().join(format!("{PLACE}.2")),
        server.dir().join("pid.2"),
    ];
    let new_master = NewMaster::start(&server, 1);
    wait_for_pid(&beside[0], new_master.0.0);
    assert!(beside[1].exists());
    server.tolerate("was killed by SIGKILL");
    new_master.0.signal(Signal::SIGKILL);
    for path in beside {
        let what = format!("{} is removed", path.display());
        eventually(&what, || (!path.exists()).then_some(()));
    }
    assert!(server.dir().join("pid").exists());
    assert_eq!(
        pid_at(&server.dir().join(PLACE)),
        Some(server.master().0.into())
    );
}

#[test]
fn a_daemon_has_it_when_the_command_returns() {
    let mut server = Server::new("daemon")
        .workers(1)
        .bind("unix:app.sock")
        .args(&["--daemon", "--pid", "pid", "--error-logfile", "log"])
        .spawn();
    server.wait_for_exit();
    let path = server.dir().join(PLACE);
    let pid = fs::read_to_string(server.dir().join("pid")).expect("a pid file");
    assert_eq!(
        pid_at(&path).map(|it| it.to_string()).as_deref(),
        Some(pid.trim())
    );
    let mut control = Controller::connect(&path).expect("it listens");
    let ended = control.call("drain").expect("an answer at the end");
    assert_eq!(ended["status"], "ended");
}

/// The master is root and its workers are not: they cannot use it, and cannot have it made elsewhere.
#[test]
fn the_workers_user_has_no_part_in_it() {
    use std::os::unix::fs::{MetadataExt, chown, symlink};
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("skipped: only root can become somebody else");
        return;
    }
    let builder = Server::new("another user").lab().workers(1);
    let user = ["--user", "nobody", "--group", "nogroup"];
    let server = builder.args(&user).start();
    let path = server.dir().join(PLACE);
    wait_for_pid(&path, server.master().0);
    assert_eq!(path.metadata().expect("a file").uid(), 0);

    let builder = Server::new("their link").lab().workers(1);
    fs::set_permissions(builder.dir(), fs::Permissions::from_mode(0o755)).expect("root");
    let theirs = builder.dir().join("theirs");
    fs::create_dir(&theirs).expect("a directory");
    let target = builder.dir().join("target");
    symlink(&target, theirs.join("ctl")).expect("a link");
    for path in [&theirs, &theirs.join("ctl")] {
        std::os::unix::fs::lchown(path, Some(65534), Some(65534)).expect("root");
    }
    chown(&theirs, Some(65534), Some(65534)).expect("root");
    let server = builder
        .args(&user)
        .args(&["--control-socket", "theirs/ctl"])
        .start();
    server
        .log()
        .wait_for("is a link made by the user of the workers");
    assert!(!target.exists());
    assert_eq!(server.get("/").status, 200);
}
