//! `oxicorn ctl` against real servers: what it says is true, and its exit code too.

mod reloads;
mod stacks;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::harness::{Server, TIMEOUT, eventually};
use crate::upgrade::NewMaster;

/// The outcome of one command.
#[derive(Debug)]
struct Outcome {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Outcome {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }
}

/// The command for the server whose home this is.
fn command(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args([
            "--pdeathsig",
            "KILL",
            "--",
            env!("CARGO_BIN_EXE_oxicorn"),
            "ctl",
        ])
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .current_dir("/")
        .stdin(Stdio::null());
    command
}

fn ctl_in(home: &Path, args: &[&str]) -> Outcome {
    outcome_of(command(home, args))
}

fn outcome_of(mut command: Command) -> Outcome {
    let output = command.output().expect("the binary");
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    Outcome {
        code: output.status.code(),
        out: text(&output.stdout),
        err: text(&output.stderr),
    }
}

fn ctl(server: &Server, args: &[&str]) -> Outcome {
    ctl_in(server.dir(), args)
}

#[test]
fn exit_codes_tell_what_has_happened() {
    let mut server = Server::new("codes").lab().workers(1).start();
    ctl(&server, &["status"]).expect(0);
    ctl(&server, &["--help"]).expect(0);
    assert!(
        ctl(&server, &["worker", "kill", "1"])
            .expect(1)
            .err
            .contains("Worker 1 not found")
    );
    assert!(
        ctl(&server, &["worker", "add", "x"])
            .expect(1)
            .err
            .contains("invalid literal")
    );
    for wrong in [
        &["nonsense"][..],
        &[],
        &["workers", "3"],
        &["--timeout", "0", "status"],
        &["--timeout", "1e300", "status"],
    ] {
        let outcome = ctl(&server, wrong).expect(2);
        assert!(
            outcome.out.is_empty() && !outcome.err.is_empty(),
            "{outcome:?}"
        );
    }
    let elsewhere = ctl(&server, &["--socket", "/nonexistent", "status"]).expect(3);
    assert!(
        elsewhere.err.contains("is the server running"),
        "{elsewhere:?}"
    );
    let failed = ctl(&server, &["--socket", "/nonexistent", "--json", "status"]).expect(3);
    assert_eq!(failed.json()["exit_code"], 3);
    // It does not answer.
    server.master().signal(Signal::SIGSTOP);
    let silent = ctl(&server, &["--timeout", "0.2", "status"]).expect(4);
    assert!(silent.err.contains("no answer within 0.2 s"), "{silent:?}");
    server.master().signal(Signal::SIGCONT);
    ctl(&server, &["shutdown"]).expect(0);
    server.wait_for_exit();
    ctl(&server, &["status"]).expect(3);
}

#[test]
fn status_and_top_show_what_runs() {
    let server = Server::new("status").lab().workers(2).threads(2).start();
    let gate = server.dir().join("gate");
    for _ in 0..20 {
        server.get("/pid");
    }
    let mut clients: Vec<_> = (0..4).map(|_| server.client()).collect();
    for client in &mut clients {
        let request = format!(
            "GET /hold?until={} HTTP/1.1\r\nHost: x\r\n\r\n",
            gate.display()
        );
        client.send(request.as_bytes()).expect("sent");
    }
    eventually("all threads are busy", || {
        let status = ctl(&server, &["status", "--json"]).expect(0).json();
        (status["requests"]["active"] == 4).then_some(())
    });
    let status = ctl(&server, &["status"]).expect(0).out;
    for part in [
        "lab, pid ",
        "serving for",
        "2 of 2 ready; threads: 4, 4 busy, 0 stuck",
        "GET /hold (",
    ] {
        assert!(status.contains(part), "{part} in {status}");
    }
    let top = ctl(&server, &["top", "--interval", "0.1"]).expect(0).out;
    assert!(top.contains("2/2") && top.contains("GET /hold ("), "{top}");
    for worker in server.children() {
        assert!(top.contains(&worker.0.to_string()), "{top}");
    }
    let top = ctl(&server, &["top", "--once", "--interval", "0.1", "-j"])
        .expect(0)
        .json();
    assert_eq!(top["workers"].as_array().map(Vec::len), Some(2));
    fs::write(&gate, "").expect("a file");
    for client in &mut clients {
        assert_eq!(client.answer().expect("an answer").status, 200);
    }
    let counted = ctl(&server, &["status", "-j"]).expect(0).json();
    let total = counted["requests"]["total"].as_u64().expect("a number");
    assert!(total >= 24, "{total}");
}

#[test]
fn the_number_of_workers_is_shown_and_set() {
    let server = Server::new("workers").workers(2).start();
    for (change, count) in [("+2", 4), ("-1", 3), ("=1", 1), ("-1", 1), ("+0", 1)] {
        let done = ctl(&server, &["workers", change, "--json"])
            .expect(0)
            .json();
        assert_eq!(done["total"], count, "{change}");
        server.wait_for_children(count);
    }
    let shown = ctl(&server, &["workers"]).expect(0).out;
    assert_eq!(shown, "1 workers, 1 wanted\n");
    let refused = ctl(&server, &["workers", "=0"]).expect(1);
    assert!(refused.err.contains("one worker at least"), "{refused:?}");
}

#[test]
fn the_socket_is_found_as_the_server_finds_it() {
    let builder = Server::new("found").workers(1);
    let dir = builder.dir().to_owned();
    let env_file = dir.join("server.env");
    fs::write(&env_file, "OXICORN_CONTROL_SOCKET=here.ctl\n").expect("a file");
    let server = builder.args(&["--env-file", "server.env"]).start();
    let pid = |outcome: Outcome| outcome.expect(0).json()["server"]["pid"].as_i64();
    let own = Some(i64::from(server.master().0));
    let status = ["status", "--json"];
    ctl(&server, &status).expect(3);
    let socket = dir.join("here.ctl").display().to_string();
    assert_eq!(
        pid(ctl(&server, &["--socket", &socket, "status", "-j"])),
        own
    );
    for variable in ["OXICORN_CONTROL_SOCKET", "GUNICORN_CONTROL_SOCKET"] {
        let mut command = command(&dir, &status);
        command.env(variable, "here.ctl").current_dir(&dir);
        assert_eq!(pid(outcome_of(command)), own, "{variable}");
    }
    let mut command = command(&dir, &["--env-file", "server.env", "status", "-j"]);
    command.current_dir(&dir);
    assert_eq!(pid(outcome_of(command)), own);
    // Settings that cannot be read are in the way only if they were named.
    fs::write(&env_file, "OXICORN_THREADS=none\n").expect("a file");
    let mut command = self::command(&dir, &["--env-file", "server.env", "status"]);
    command.current_dir(&dir);
    assert!(outcome_of(command).expect(2).err.contains("THREADS"));
    let mut command = self::command(&dir, &["status"]);
    command.env("OXICORN_THREADS", "none");
    assert!(
        outcome_of(command)
            .expect(3)
            .err
            .contains("settings here cannot be read")
    );
}

#[test]
fn settings_are_shown_by_name_and_without_secrets() {
    let server = Server::new("config")
        .workers(2)
        .env("OXICORN_RAW_ENV", "DB=postgres://me:secret@host/db")
        .start();
    let all = ctl(&server, &["config"]).expect(0).out;
    assert!(
        all.contains("\nworkers ") && !all.contains("secret"),
        "{all}"
    );
    // Whoever wants to keep it should know that it is not there.
    let mut full = command(server.dir(), &["config", "--json"]);
    let place = fs::OpenOptions::new().write(true).open("/dev/full");
    full.stdout(place.expect("a device"));
    let mut lost = full.spawn().expect("the binary");
    assert_eq!(lost.wait().expect("it ends").code(), Some(1));
    let some = ctl(&server, &["config", "workers", "bind", "-j"])
        .expect(0)
        .json();
    assert_eq!(
        some,
        serde_json::json!({"workers": 2, "bind": ["127.0.0.1:0"]})
    );
    assert!(
        ctl(&server, &["config", "wokers"])
            .expect(1)
            .err
            .contains("no setting wokers")
    );
}

#[test]
fn a_drain_ends_with_the_server() {
    let mut server = Server::new("drain").lab().workers(2).start();
    let drained = ctl(&server, &["drain"]).expect(0);
    // There may be other servers, and other masters of this one, so it says which one that was.
    let pid = server.master().0;
    let ended = format!("the server (pid {pid}, generation 1) has ended with exit code 0\n");
    assert_eq!(drained.out, ended);
    let named = format!("the server with pid {pid}, at ");
    assert!(drained.err.starts_with(&named), "{drained:?}");
    assert!(drained.err.contains("has ended"), "{drained:?}");
    server.wait_for_exit();
    // One that is killed meanwhile has not drained.
    let mut server = Server::new("killed").lab().workers(1).start();
    let gate = server.dir().join("gate");
    let mut client = server.client();
    let request = format!(
        "GET /hold?until={} HTTP/1.1\r\nHost: x\r\n\r\n",
        gate.display()
    );
    client.send(request.as_bytes()).expect("sent");
    let home = server.dir().to_owned();
    let drain = std::thread::spawn(move || ctl_in(&home, &["drain"]));
    server.log().wait_for("Worker draining");
    server.expect_kill();
    server.signal(Signal::SIGKILL);
    server.wait_for_exit();
    let outcome = drain.join().expect("no panic").expect(3);
    assert!(outcome.err.contains("has ended or hung up"), "{outcome:?}");
    fs::write(&gate, "").expect("a file");
}

#[test]
fn an_upgrade_is_waited_for() {
    let builder = Server::new("upgrade").lab().workers(1);
    let env_file = builder.dir().join("server.env");
    fs::write(&env_file, "").expect("a file");
    let mut server = builder.args(&["--env-file", "server.env"]).start();
    server.tolerate("");
    fs::write(&env_file, "OXICORN_RAW_ENV=LAB_BOOT=error\n").expect("a file");
    let failed = ctl(&server, &["upgrade", "--wait"]).expect(1);
    assert!(failed.err.contains("the lab is closed"), "{failed:?}");
    fs::write(&env_file, "").expect("a file");
    let done = ctl(&server, &["upgrade", "--wait", "-j"]).expect(0).json();
    let pid = i32::try_from(done["pid"].as_i64().expect("a pid")).expect("a pid");
    let new_master = NewMaster(crate::harness::Process(pid));
    assert!(new_master.0.is_alive());
    ctl(&server, &["upgrade"]).expect(1);
    ctl(&server, &["shutdown"]).expect(0);
    server.wait_for_exit();
    eventually("the new one is controlled", || {
        let status = ctl(&server, &["status", "-j"]);
        (status.code == Some(0) && status.json()["server"]["pid"] == pid).then_some(())
    });
    // With the same socket as before: the answers say that this is another master.
    let socket = server.dir().join(crate::harness::PLACE);
    let socket = socket.to_str().expect("a path");
    let drained = ctl(&server, &["--socket", socket, "drain"]).expect(0);
    let ended = format!("the server (pid {pid}, generation 1) has ended with exit code 0\n");
    assert_eq!(drained.out, ended);
    let named = format!("the server with pid {pid}, at ");
    assert!(drained.err.starts_with(&named), "{drained:?}");
}

/// It must not pile up commands that wait for ever.
#[test]
fn a_limit_holds_where_a_server_accepts_nobody() {
    let server = Server::new("accepts nobody").workers(1).start();
    server.master().signal(Signal::SIGSTOP);
    let path = server.dir().join(crate::harness::PLACE);
    let address = socket2::SockAddr::unix(&path).expect("an address");
    let mut waiting = Vec::new();
    let full = loop {
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None);
        let socket = socket.expect("a socket");
        socket.set_nonblocking(true).expect("a socket");
        match socket.connect(&address) {
            Ok(()) => waiting.push(socket),
            Err(error) => break error,
        }
    };
    assert_eq!(full.kind(), std::io::ErrorKind::WouldBlock);
    let home = server.dir().to_owned();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || tell.send(ctl_in(&home, &["--timeout", "0.2", "status"])));
    let silent = told.recv_timeout(TIMEOUT);
    server.master().signal(Signal::SIGCONT);
    let silent = silent.expect("it ends while nobody is accepted").expect(4);
    assert!(silent.err.contains("no answer within 0.2 s"), "{silent:?}");
}

/// With a terminal, it is drawn again and again until a key ends it, also while the server does not answer.
#[test]
fn top_leaves_the_terminal_as_it_was() {
    let server = Server::new("top").workers(1).start();
    for is_silent in [false, true] {
        leave_top(&server, is_silent);
    }
}

fn leave_top(server: &Server, is_silent: bool) {
    let binary = env!("CARGO_BIN_EXE_oxicorn");
    // script(1) is a terminal. A command that gives up because there is no answer fails.
    let inner =
        format!("stty -g > before; {binary} ctl top --interval 0.05 || exit 9; stty -g > after");
    let mut child = Command::new("script")
        .args(["-qec", &inner, "/dev/null"])
        .current_dir(server.dir())
        .env("HOME", server.dir())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script(1)");
    let screen = crate::harness::Log::of(child.stdout.take().expect("a pipe"));
    screen.wait_for_nth("REQUESTS", 3);
    if is_silent {
        server.master().signal(Signal::SIGSTOP);
        // It waits for an answer before it is to draw again.
        let drawn = || screen.count("REQUESTS");
        let mut before = drawn();
        eventually("it draws no more", || {
            std::thread::sleep(std::time::Duration::from_millis(300));
            (drawn() == std::mem::replace(&mut before, drawn())).then_some(())
        });
    }
    let mut keys = child.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut keys, b"q").expect("sent");
    let ended = child.wait().expect("it ends");
    server.master().signal(Signal::SIGCONT);
    assert!(ended.success(), "{ended}");
    let read = |name: &str| fs::read_to_string(server.dir().join(name)).expect("a file");
    assert_eq!(read("before"), read("after"));
    assert!(screen.ends_within(TIMEOUT));
    let text = screen.text();
    assert!(
        text.contains("\x1b[?1049h") && text.contains("\x1b[?1049l"),
        "{text:?}"
    );
}
