//! Syslog: gunicorn's records over every way there is, and no request that waits for a daemon.

use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::harness::{Load, Mode, Receiver, Server, eventually};

/// A directory for socket files.
fn directory() -> TempDir {
    TempDir::with_prefix("oxicorn-syslog-").expect("a temporary directory")
}

fn socket_in(directory: &TempDir) -> PathBuf {
    directory.path().join("log")
}

/// Starts a server that logs to `address`, asks it, and compares what comes with its log files.
fn check(receiver: &Receiver) {
    let server = Server::new("syslog")
        .args(&["--log-syslog", "--log-syslog-to", receiver.address()])
        .args(&["--log-syslog-facility", "local0", "--access-logfile", "-"])
        .start();
    server.get("/one?two");
    let line = server.out().wait_for("/one?two");
    let record = receiver.wait_for("/one?two");
    let worker = server.children()[0].0;
    let tag = "gunicorn.native.hello";
    assert_eq!(record, format!("<134>{tag}.access: [{worker}] {line}\0"));
    let record = receiver.wait_for("Starting oxicorn");
    let master = server.master().0;
    let text = format!("<134>{tag}.error: [{master}] Starting oxicorn");
    assert!(record.starts_with(&text), "{record}");
    assert!(record.ends_with('\0'), "{record}");
    let mut client = server.client();
    client.send(b"nonsense\r\n\r\n").expect("sent");
    let record = receiver.wait_for("Invalid request");
    assert!(record.starts_with("<132>"), "a warning: {record}");
}

#[test]
fn records_reach_a_daemon_over_udp() {
    check(&Receiver::udp());
}

#[test]
fn records_reach_a_daemon_over_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    check(&Receiver::tcp(listener));
}

#[test]
fn records_reach_a_daemon_at_a_socket_file() {
    let directory = directory();
    check(&Receiver::datagrams(&socket_in(&directory)));
}

#[test]
fn records_reach_a_daemon_that_takes_connections_at_a_socket_file() {
    let directory = directory();
    check(&Receiver::streams(&socket_in(&directory)));
}

#[test]
fn the_access_log_can_be_kept_out() {
    let receiver = Receiver::udp();
    let server = Server::new("errors only")
        .args(&["--log-syslog", "--log-syslog-to", receiver.address()])
        .args(&["--disable-redirect-access-to-syslog"])
        .args(&["--log-syslog-prefix", "shop"])
        .start();
    server.get("/");
    server.signal(Signal::SIGHUP);
    receiver.wait_for("gunicorn.shop.error: ");
    receiver.wait_for("Generation 2 serves");
    let records = receiver.records();
    assert!(
        !records.iter().any(|it| it.contains(".access: ")),
        "{records:?}"
    );
}

#[test]
fn a_daemon_that_comes_late_gets_what_was_kept_for_it() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let mut server = Server::new("late daemon")
        .args(&[
            "--log-syslog",
            "--log-syslog-to",
            &format!("tcp://{address}"),
        ])
        .start();
    server.expect_descriptors(1);
    server.get("/early");
    let receiver = Receiver::tcp(TcpListener::bind(address).expect("the same address"));
    receiver.wait_for("Starting oxicorn");
    receiver.wait_for("/early");
}

#[test]
fn a_daemon_that_hangs_costs_lines_and_no_request() {
    let directory = directory();
    let path = socket_in(&directory);
    let daemon = UnixDatagram::bind(&path).expect("a socket");
    let server = Server::new("stuck daemon")
        .workers(2)
        .threads(2)
        .args(&["--log-syslog", "--log-syslog-to"])
        .arg(&format!("unix://{}", path.display()))
        .args(&["--access-logfile", "access.log"])
        .start();
    let load = Load::start_limited(server.address(), 4, Mode::KeepAlive, "/stuck", 1000);
    load.finish().assert_perfect();
    server.log().wait_for("takes no more lines");
    drop(daemon);
    std::fs::remove_file(&path).expect("the old socket");
    let receiver = Receiver::datagrams(&path);
    eventually("the end is told", || {
        server.get("/again");
        (server.log().count("takes lines again; ") > 0).then_some(())
    });
    receiver.wait_for("/again");
    assert_eq!(server.log().count("takes no more lines"), 1);
    assert_eq!(server.log().count("takes lines again"), 1);
    let lines = std::fs::read_to_string(server.dir().join("access.log")).expect("a log");
    let stuck = lines.lines().filter(|line| line.contains("/stuck")).count();
    assert_eq!(stuck, 4000, "the file has them all");
}

#[test]
fn a_host_without_an_address_is_a_bad_setting() {
    let ended = Server::new("no such host")
        .args(&[
            "--log-syslog",
            "--log-syslog-to",
            "udp://nowhere.invalid:514",
        ])
        .run();
    assert_eq!(ended.code, Some(1), "{}", ended.log);
    assert!(ended.log.contains("syslog_addr"), "{}", ended.log);
    assert!(ended.log.contains("nowhere.invalid"), "{}", ended.log);
}
