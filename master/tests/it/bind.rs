//! Where the server listens: TCP, IPv6, Unix sockets, inherited descriptors, several at once.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::Signal;

use crate::harness::{Client, Server, eventually};

fn get_unix(path: &Path) -> Option<u16> {
    let mut client = Client::connect_unix(path).ok()?;
    client.get("/").ok().map(|answer| answer.status)
}

#[test]
fn a_unix_socket_serves_and_is_removed_at_the_end() {
    let builder = Server::new("unix").bind("unix:app.sock").workers(2);
    let path = builder.dir().join("app.sock");
    let mut server = builder.start();
    server.log().wait_for("Listening at: unix:");
    assert_eq!(get_unix(&path), Some(200));
    server.signal(Signal::SIGTERM);
    server.wait_for_exit();
    assert!(!path.exists(), "the socket is left");
}

#[test]
fn the_umask_decides_who_may_connect() {
    let builder = Server::new("umask")
        .bind("unix:app.sock")
        .args(&["--umask", "0o077"]);
    let path = builder.dir().join("app.sock");
    let _server = builder.start();
    eventually("it serves", || get_unix(&path));
    let mode = fs::metadata(&path).expect("a socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "{mode:o}");
}

#[test]
fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
    let builder = Server::new("stale").bind("unix:app.sock");
    let path = builder.dir().join("app.sock");
    drop(UnixListener::bind(&path).expect("a socket"));
    assert!(fs::metadata(&path).expect("left").file_type().is_socket());
    let server = builder.start();
    assert_eq!(get_unix(&path), Some(200));
    let bind = format!("unix:{}", path.display());
    let second = Server::new("second").bind(&bind).run();
    assert_eq!(second.code, Some(1), "{}", second.log);
    assert_eq!(get_unix(&path), Some(200));
    drop(server);
}

#[test]
fn reuse_port_shares_an_address() {
    let first = Server::new("first").args(&["--reuse-port"]).start();
    let bind = first.address().to_string();
    let shared = Server::new("shared").bind(&bind).args(&["--reuse-port"]);
    let second = shared.start();
    assert_eq!(second.address(), first.address());
    let alone = Server::new("alone").bind(&bind).run();
    assert_eq!(alone.code, Some(1), "{}", alone.log);
}

#[test]
fn ipv6_serves() {
    if TcpListener::bind("[::1]:0").is_err() {
        eprintln!("skipped: this machine has no IPv6");
        return;
    }
    let server = Server::new("ipv6").bind("[::1]:0").start();
    assert!(server.address().is_ipv6());
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn an_inherited_descriptor_serves() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    fcntl(&listener, FcntlArg::F_SETFD(FdFlag::empty())).expect("inheritable");
    let address = listener.local_addr().expect("an address");
    let bind = format!("fd://{}", listener.as_raw_fd());
    let server = Server::new("fd").bind(&bind).start();
    drop(listener);
    eventually("it serves", || Client::connect(address).ok()?.get("/").ok());
    server.log().wait_for(&address.to_string());
}

#[test]
fn several_addresses_serve_at_once() {
    let builder =
        Server::new("several").args(&["--bind", "unix:app.sock", "--bind", "127.0.0.2:0"]);
    let path = builder.dir().join("app.sock");
    let server = builder.workers(2).start();
    let lines = server.log().wait_for("Listening at: ");
    let addresses: Vec<SocketAddr> = lines
        .split("http://")
        .skip(1)
        .filter_map(|rest| rest.split([',', ' ']).next()?.parse().ok())
        .collect();
    assert_eq!(addresses.len(), 2, "{lines}");
    for address in addresses {
        let mut client = Client::connect(address).expect("a connection");
        assert_eq!(client.get("/").expect("an answer").status, 200);
    }
    assert_eq!(get_unix(&path), Some(200));
}

#[test]
fn an_address_in_use_is_one_line_and_exit_code_1() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = listener.local_addr().expect("an address").to_string();
    let ended = Server::new("in use").bind(&address).run();
    assert_eq!(ended.code, Some(1), "{}", ended.log);
    assert!(
        ended.log.contains(&address.replace(':', "', ")) || ended.log.contains(&address),
        "{}",
        ended.log
    );
    assert!(!ended.log.contains("Booting worker"), "{}", ended.log);
}

#[test]
fn hup_moves_to_another_address() {
    let builder = Server::new("move").no_bind();
    let file = builder.dir().join("tuning.env");
    fs::write(&file, "OXICORN_BIND=unix:first.sock\n").expect("written");
    let (first, second) = (
        builder.dir().join("first.sock"),
        builder.dir().join("second.sock"),
    );
    let server = builder.args(&["--env-file", "tuning.env"]).start();
    eventually("the first serves", || get_unix(&first));
    fs::write(&file, "OXICORN_BIND=unix:second.sock\n").expect("written");
    server.signal(Signal::SIGHUP);
    eventually("the second serves", || get_unix(&second));
    eventually("the first is gone", || (!first.exists()).then_some(()));
}
