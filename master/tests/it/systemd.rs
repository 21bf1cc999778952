//! What systemd hears (sd_notify(3)), over a real socket in its place.

use std::collections::BTreeMap;
use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::time::{ClockId, clock_gettime};

use crate::harness::{Builder, Server, TIMEOUT};
use crate::upgrade::NewMaster;

/// The socket of NOTIFY_SOCKET, in the abstract namespace, as systemd uses for containers.
struct Systemd {
    socket: UnixDatagram,
    name: String,
}

/// The assignments of one message.
type Notice = BTreeMap<String, String>;

impl Systemd {
    fn new(test: &str) -> Self {
        let name = format!("oxicorn-test-{}-{test}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let socket = UnixDatagram::bind_addr(&address).expect("a socket");
        socket.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
        Self { socket, name }
    }

    fn run(&self, builder: Builder) -> Builder {
        builder.env("NOTIFY_SOCKET", &format!("@{}", self.name))
    }

    /// As [`Systemd::run`], with `WatchdogSec=`, meant for the process `pid` of a shell.
    fn watch(&self, builder: Builder, interval: Duration, pid: &str) -> Builder {
        let start = format!("export WATCHDOG_PID={pid}; exec \"$@\"");
        let micros = interval.as_micros().to_string();
        self.run(builder)
            .under(&["sh", "-c", &start, "sh"])
            .env("WATCHDOG_USEC", &micros)
    }

    fn hear(&self) -> Notice {
        let mut text = [0; 1000];
        let length = self.socket.recv(&mut text).expect("a message");
        let text = String::from_utf8_lossy(&text[..length]);
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }

    /// The next message with `key`.
    fn hear_of(&self, key: &str) -> Notice {
        loop {
            let notice = self.hear();
            if notice.contains_key(key) {
                return notice;
            }
        }
    }

    /// Waits for a status that contains `part`.
    fn hear_status(&self, part: &str) {
        while !self.hear_of("STATUS")["STATUS"].contains(part) {}
    }

    /// Forgets what has come so far.
    fn forget(&self) {
        self.socket.set_nonblocking(true).expect("a socket");
        while self.socket.recv(&mut [0; 1000]).is_ok() {}
        self.socket.set_nonblocking(false).expect("a socket");
    }
}

fn monotonic_micros() -> u128 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("a clock");
    Duration::from(now).as_micros()
}

#[test]
fn systemd_hears_who_the_main_process_is() {
    let systemd = Systemd::new("main");
    let mut server = systemd.run(Server::new("systemd").lab()).start();
    let pid = |notice: &Notice| notice["MAINPID"].parse::<i32>().expect("a pid");
    let ready = systemd.hear_of("READY");
    assert_eq!(pid(&ready), server.master().0);
    assert_eq!(ready["STATUS"], "Generation 1: 1 of 1 workers ready");
    let new_master = NewMaster::start(&server, 1);
    server.signal(Signal::SIGTERM);
    let handed_over = systemd.hear_of("MAINPID");
    assert_eq!(pid(&handed_over), new_master.0.0);
    // From now on systemd hears nothing from the old one, and nothing yet from the new one.
    let micros: u64 = handed_over["EXTEND_TIMEOUT_USEC"]
        .parse()
        .expect("a number");
    assert!(micros > 30_000_000, "graceful_timeout and more");
    server.wait_for_exit();
    let ready = systemd.hear_of("READY");
    assert_eq!(pid(&ready), new_master.0.0);
    assert_eq!(ready["STATUS"], "Generation 1: 1 of 1 workers ready");
    new_master.end();
    systemd.hear_of("STOPPING");
}

#[test]
fn systemd_hears_how_a_reload_ends() {
    let systemd = Systemd::new("reload");
    let builder = Server::new("systemd reload").lab().workers(2);
    let (gate, env_file) = (
        builder.dir().join("broken"),
        builder.dir().join("server.env"),
    );
    fs::write(&env_file, "").expect("written");
    let builder = builder.args(&["--env-file", "server.env"]);
    let builder = builder.env("LAB_BOOT", &gate.display().to_string());
    let mut server = systemd.run(builder).start();
    systemd.hear_status("Generation 1: 2 of 2 workers ready");
    let reload = || {
        let before = monotonic_micros();
        server.signal(Signal::SIGHUP);
        let at = systemd.hear_of("RELOADING")["MONOTONIC_USEC"].clone();
        let at: u128 = at.parse().expect("a number");
        // systemd waits for ever for a reload that seems to be older than its request.
        assert!(at >= before && at <= monotonic_micros());
        systemd.hear_of("READY")["STATUS"].clone()
    };
    let status = reload();
    assert!(status.starts_with("Generation 2: "), "{status}");
    systemd.hear_status("Generation 2: 2 of 2 workers ready");
    // Settings that cannot be read, and an application that cannot be loaded.
    fs::write(&env_file, "OXICORN_THREADS=none\n").expect("written");
    let status = reload();
    assert!(
        status.starts_with("Generation 2: 2 of 2 workers ready; the last reload failed: ")
            && status.contains("THREADS"),
        "{status}"
    );
    fs::write(&env_file, "").expect("written");
    fs::write(&gate, "").expect("written");
    let status = reload();
    assert!(
        status.contains("; the last reload failed: the application could not be loaded: ")
            && status.contains("the lab has been closed"),
        "{status}"
    );
    fs::remove_file(&gate).expect("removed");
    let status = reload();
    assert!(status.starts_with("Generation 4: "), "{status}");
    assert!(!status.contains("failed"), "{status}");
    server.tolerate("");
}

#[test]
fn systemd_gives_the_drain_the_time_that_it_takes() {
    let systemd = Systemd::new("drain");
    let builder = Server::new("systemd drain").lab();
    let builder = builder.args(&["--drain-delay", "900", "--graceful-timeout", "100"]);
    let mut server = systemd.run(builder).start();
    systemd.hear_status("Generation 1: 1 of 1");
    let seconds = |notice: &Notice| {
        let micros: u64 = notice["EXTEND_TIMEOUT_USEC"].parse().expect("a number");
        micros / 1_000_000
    };
    server.signal(Signal::SIGTERM);
    let stopping = systemd.hear_of("STOPPING");
    assert_eq!(seconds(&stopping), 1010);
    assert_eq!(
        stopping["STATUS"],
        "Draining (drain_delay); generation 1: 1 of 1 workers ready"
    );
    server.signal(Signal::SIGTERM);
    let stopping = systemd.hear_of("STOPPING");
    assert_eq!(seconds(&stopping), 110);
    assert_eq!(stopping["STATUS"], "Stopping; children left: 1");
    server.wait_for_exit();
}

#[test]
fn the_watchdog_hears_from_a_master_whose_loop_turns() {
    const INTERVAL: Duration = Duration::from_millis(200);
    let systemd = Systemd::new("watchdog");
    let builder = systemd.watch(Server::new("watchdog").lab(), INTERVAL, "$$");
    let mut server = builder.start();
    for _ in 0..5 {
        systemd.hear_of("WATCHDOG");
    }
    let master = server.master();
    master.signal(Signal::SIGSTOP);
    while !master.status("State").starts_with('T') {}
    systemd.forget();
    sleep(3 * INTERVAL);
    systemd.socket.set_nonblocking(true).expect("a socket");
    let heard = systemd.socket.recv(&mut [0; 10]);
    assert!(heard.is_err(), "it does not turn");
    systemd.socket.set_nonblocking(false).expect("a socket");
    master.signal(Signal::SIGCONT);
    systemd.hear_of("WATCHDOG");
    // A new master follows.
    let new_master = NewMaster::start(&server, 1);
    server.signal(Signal::SIGTERM);
    server.wait_for_exit();
    while systemd.hear_of("READY")["MAINPID"] != new_master.0.0.to_string() {}
    for _ in 0..3 {
        systemd.hear_of("WATCHDOG");
    }
    new_master.end();
}

#[test]
fn a_watchdog_of_another_process_hears_nothing() {
    let systemd = Systemd::new("foreign");
    let builder = Server::new("foreign watchdog").lab();
    let builder = systemd.watch(builder, Duration::from_millis(2), "1");
    let mut server = builder.start();
    assert_eq!(server.get("/env?name=WATCHDOG_USEC").text(), "");
    assert_eq!(server.get("/env?name=WATCHDOG_PID").text(), "");
    server.signal(Signal::SIGTERM);
    server.wait_for_exit();
    loop {
        let notice = systemd.hear();
        assert!(!notice.contains_key("WATCHDOG"));
        if notice.contains_key("STOPPING") {
            break;
        }
    }
}
