//! A master that is root, with workers that are not: their user must not be able to redirect what it opens.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use nix::unistd::Uid;

use crate::harness::{Builder, Client, Server, eventually};

const NOBODY: u32 = 65534;

/// A server whose workers run as the user `nobody`, and a directory that belongs to that user. `None`, with a message,
/// if the tests do not run as root.
fn scene(name: &str) -> Option<(Builder, PathBuf)> {
    if !Uid::effective().is_root() {
        eprintln!("skipped: only root can become somebody else");
        return None;
    }
    let builder = Server::new(name)
        .lab()
        .args(&["--user", "nobody", "--group", "nogroup"]);
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(builder.dir(), open).expect("root");
    let theirs = builder.dir().join("theirs");
    fs::create_dir(&theirs).expect("a directory");
    chown(&theirs, Some(NOBODY), Some(NOBODY)).expect("root");
    let precious = builder.dir().join("precious");
    fs::write(precious, PRECIOUS).expect("a file");
    Some((builder, theirs))
}

const PRECIOUS: &str = "of root's alone\n";

fn assert_untouched(directory: &Path) {
    let path = directory.join("precious");
    let text = fs::read_to_string(&path).expect("it is there");
    let status = fs::metadata(path).expect("it is there");
    assert_eq!((text.as_str(), status.uid()), (PRECIOUS, 0));
}

/// Runs a shell command as the user `nobody`, in `directory`.
fn as_nobody(directory: &Path, command: &str) -> Command {
    let mut shell = Command::new("setpriv");
    shell
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .args(["--pdeathsig", "KILL", "--", "sh", "-c", command])
        .current_dir(directory)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    shell
}

fn does(directory: &Path, command: &str) {
    let status = as_nobody(directory, command).status().expect("a shell");
    assert!(status.success(), "{command}: {status}");
}

/// A command that runs until this is dropped.
struct Meanwhile(Child);

impl Meanwhile {
    fn new(directory: &Path, command: &str) -> Self {
        let endless = format!("while :; do {command}; done");
        Self(as_nobody(directory, &endless).spawn().expect("a shell"))
    }
}

impl Drop for Meanwhile {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_start_follows_no_link_of_the_workers() {
    for (setting, name) in [
        ("--error-logfile", "log"),
        ("--access-logfile", "log"),
        ("--pid", "pid"),
        ("--error-logfile", "up/log"),
        ("--pid", "up/pid"),
        ("--bind", "unix:theirs/up/app.sock"),
    ] {
        let Some((builder, theirs)) = scene("links") else {
            return;
        };
        let place = match setting {
            "--bind" => name.to_owned(),
            _ => format!("theirs/{name}"),
        };
        does(
            &theirs,
            "ln -s ../precious log; ln -s ../precious pid; ln -s .. up",
        );
        let directory = builder.dir().to_owned();
        let server = builder.args(&[setting, &place]);
        let mut server = server.spawn();
        server.tolerate("");
        let status = server.wait_for_exit();
        assert_eq!(status.code(), Some(1), "{setting} {place}");
        server.expect_code(1);
        let line = server
            .log()
            .wait_for("is a link made by the user of the workers");
        assert!(line.contains("theirs/"), "{line}");
        assert_untouched(&directory);
        let made = ["log", "pid", "app.sock"].map(|it| directory.join(it).exists());
        assert_eq!(made, [false; 3], "{setting} {place}");
    }
}

#[test]
fn links_of_root_are_followed() {
    let Some((builder, theirs)) = scene("links of root") else {
        return;
    };
    let directory = builder.dir().to_owned();
    std::os::unix::fs::symlink("theirs/real.log", directory.join("log")).expect("a link");
    let server = builder
        .args(&["--error-logfile", "log", "--access-logfile", "/dev/stdout"])
        .bind("unix:app.sock")
        .spawn();
    let ask = || {
        Client::connect_unix(&directory.join("app.sock"))
            .ok()?
            .get("/")
            .ok()
    };
    eventually("it serves", ask);
    server.out().wait_for("GET / HTTP/1.1");
    let log = fs::metadata(theirs.join("real.log")).expect("the log");
    assert_eq!(
        log.uid(),
        NOBODY,
        "a file that the master has made is the workers'"
    );
}

#[test]
fn a_rotation_follows_no_link_of_the_workers() {
    let Some((builder, theirs)) = scene("rotation") else {
        return;
    };
    fs::write(theirs.join("kept.log"), "").expect("a log of root's");
    let mut server = builder
        .args(&["--access-logfile", "theirs/log", "--error-logfile", "-"])
        .start();
    does(&theirs, "mv log old && ln -s ../precious log");
    server.tolerate("cannot open the log file");
    server.signal(Signal::SIGUSR1);
    server.log().wait_for("theirs/log is a link made by");
    assert_eq!(server.get("/pid?after").status, 200);
    eventually("the old file stays in use", || {
        let text = fs::read_to_string(theirs.join("old")).ok()?;
        text.contains("/pid?after").then_some(())
    });
    assert_untouched(server.dir());
    does(&theirs, "rm log");
    server.signal(Signal::SIGUSR1);
    let log = eventually("a new file", || fs::metadata(theirs.join("log")).ok());
    eventually("it is the workers'", || {
        (fs::metadata(theirs.join("log")).ok()?.uid() == NOBODY).then_some(())
    });
    assert!(log.is_file());
}

#[test]
fn a_file_that_was_there_is_not_given_away() {
    let Some((builder, theirs)) = scene("kept") else {
        return;
    };
    let kept = theirs.join("kept.log");
    fs::write(&kept, "").expect("a log of root's");
    fs::hard_link(&kept, theirs.join("pid")).expect("a name");
    let mut server = builder
        .args(&["--access-logfile", "theirs/kept.log", "--pid", "theirs/new"])
        .spawn();
    server.tolerate("");
    assert_eq!(server.wait_for_exit().code(), Some(1));
    server.expect_code(1);
    server.log().wait_for("other names too");
    fs::remove_file(theirs.join("pid")).expect("root");
    assert_eq!(fs::metadata(&kept).expect("the log").uid(), 0);
}

#[test]
fn nobody_but_root_can_hold_the_pid_file() {
    let Some((builder, theirs)) = scene("pid file") else {
        return;
    };
    let directory = builder.dir().to_owned();
    // A file of root that they can read, one that they can write, and one of their own, all locked.
    fs::write(directory.join("stale"), "1\n").expect("a file");
    does(&theirs, "touch own");
    let locks = "flock -s ../stale flock own sleep 60";
    let holder = Meanwhile(as_nobody(&theirs, locks).spawn().expect("flock"));
    for place in ["stale", "theirs/own"] {
        eventually("it is locked", || {
            let file = fs::File::open(directory.join(place)).ok()?;
            file.try_lock().is_err().then_some(())
        });
    }
    for place in ["stale", "theirs/own"] {
        let server = Server::new("pid file").lab();
        let path = directory.join(place).display().to_string();
        let server = server.args(&["--user", "nobody", "--pid", &path]).start();
        let text = fs::read_to_string(&path).expect("the pid");
        assert_eq!(text.trim(), server.master().0.to_string());
        let status = fs::metadata(&path).expect("it is there");
        assert_eq!((status.uid(), status.mode() & 0o777), (0, 0o644));
        let second = Server::new("second").args(&["--pid", &path]).run();
        assert_eq!(second.code, Some(1), "{}", second.log);
        assert!(second.log.contains("already running"), "{}", second.log);
    }
    drop(holder);
}

/// The workers' user exchanges a file between the master's check and its use.
#[test]
fn a_race_for_a_name_changes_nothing_of_roots() {
    let Some((builder, theirs)) = scene("race") else {
        return;
    };
    let directory = builder.dir().to_owned();
    let swap = |name: &str| {
        format!("ln -sf ../precious {name}.l; mv -fT {name}.l {name}; rm -f {name}; touch {name}")
    };
    let racers = ["log", "pid", "app.sock"].map(|name| Meanwhile::new(&theirs, &swap(name)));
    for round in 0..8 {
        let mut server = Server::new("race")
            .lab()
            .args(&["--user", "nobody", "--group", "nogroup"])
            .args(&[
                "--access-logfile",
                &theirs.join("log").display().to_string(),
            ])
            .args(&["--pid", &theirs.join("pid").display().to_string()])
            .bind(&format!("unix:{}", theirs.join("app.sock").display()))
            .spawn();
        server.tolerate("");
        let serves = eventually("it serves or ends", || {
            let ended = server
                .log()
                .ends_within(std::time::Duration::from_millis(1));
            let serves = server.log().count("Generation 1 serves") > 0;
            (ended || serves).then_some(serves)
        });
        if serves {
            for _ in 0..3 {
                server.signal(Signal::SIGUSR1);
            }
            server.log().wait_for_nth("Handling signal: usr1", 1);
            server.signal(Signal::SIGTERM);
        } else {
            server.expect_code(1);
        }
        server.wait_for_exit();
        assert_untouched(&directory);
        assert!(!directory.join("app.sock").exists(), "round {round}");
    }
    drop(racers);
}
