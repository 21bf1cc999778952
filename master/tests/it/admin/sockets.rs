//! Its sockets, and what it does not share with the workers.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{LISTENS, address, get, processes, server, the_process};
use crate::harness::{Client, Server, eventually};

/// Executes its arguments with a listening socket, as systemd does (sd_listen_fds(3)).
const ACTIVATE: &str = "
import os, socket, sys
listener = socket.create_server(('127.0.0.1', 0))
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')
os.execvp(sys.argv[1], sys.argv[1:])
";

#[test]
fn an_address_of_bind_is_refused() {
    for (bind, admin) in [
        ("127.0.0.1:18173", "localhost:18173"),
        ("unix:app.sock", "unix:app.sock"),
    ] {
        let ended = Server::new("admin, same")
            .bind(bind)
            .args(&["--admin-bind", admin])
            .run();
        assert_eq!(ended.code, Some(1));
        let log = ended.log;
        assert!(
            log.contains("flag --admin-bind") && log.contains("bind does not have"),
            "{log}"
        );
    }
}

/// Only at the start is it known what a descriptor is bound to.
#[test]
fn a_descriptor_that_others_reach_needs_a_token_too() {
    let open = ACTIVATE
        .replace("127.0.0.1", "0.0.0.0")
        .replace("LISTEN_FDS", "OTHER");
    let builder = || {
        let builder = Server::new("admin, descriptor").under(&["python3", "-c", &open]);
        builder.args(&["--admin-bind", "unix:admin.sock,fd://3"])
    };
    let refused = builder();
    let file = refused.dir().join("admin.sock");
    let ended = refused.run();
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.log.contains("admin_bind: other hosts reach 0.0.0.0:"),
        "{}",
        ended.log
    );
    assert!(!file.exists());
    let server = builder()
        .env("OXICORN_ADMIN_TOKEN", "0123456789abcdef")
        .start_with_unknown_workers();
    server.log().wait_for("unix:admin.sock,http://0.0.0.0:");
}

#[test]
fn an_address_in_use_stops_the_start_and_leaves_no_socket_file() {
    let other = Server::new("admin, other").start();
    let taken = other.address().to_string();
    let builder = Server::new("admin, in use").bind("unix:app.sock");
    let file = builder.dir().join("app.sock");
    let ended = builder
        .args(&["--check-config", "--admin-bind", "unix:none/a.sock"])
        .run();
    assert_eq!(ended.code, Some(1));
    assert!(
        ended
            .log
            .contains("admin_bind: cannot listen at unix:none/a.sock"),
        "{}",
        ended.log
    );
    let ended = Server::new("admin, in use")
        .bind("unix:app.sock")
        .args(&["--admin-bind", &taken])
        .run();
    assert_eq!(ended.code, Some(1));
    let reason = format!("admin_bind: cannot listen at {taken}");
    assert!(ended.log.contains(&reason), "{}", ended.log);
    assert!(!file.exists());
}

#[test]
fn a_unix_socket_has_the_permissions_of_umask_and_goes_with_the_server() {
    let mut server = Server::new("admin, unix")
        .args(&["--admin-bind", "unix:admin.sock", "--umask", "0o077"])
        .start_with_unknown_workers();
    server.log().wait_for(&format!("{LISTENS}unix:admin.sock"));
    let file = server.dir().join("admin.sock");
    let mode = fs::metadata(&file)
        .expect("a socket file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
    let mut client = Client::connect_unix(&file).expect("it listens");
    assert_eq!(client.get("/healthz").expect("an answer").status, 200);
    server.signal(nix::sys::signal::Signal::SIGTERM);
    server.wait_for_exit();
    assert!(!file.exists());
}

/// The socket that listens at a port, as `/proc/PID/fd` names it (proc_pid_net(5)).
fn listening_at(port: u16) -> String {
    let table = fs::read_to_string("/proc/net/tcp").expect("procfs");
    let port = format!(":{port:04X}");
    let mut rows = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| row[1].ends_with(&port) && row[3] == "0A");
    format!("socket:[{}] rw", row.expect("it listens")[9])
}

#[test]
fn no_worker_and_no_mold_has_its_socket() {
    for preload in [false, true] {
        let mut builder = server("admin, descriptors").lab();
        if preload {
            builder = builder.arg("--preload");
        }
        let server = builder.start_with_unknown_workers();
        let (address, admin) = (address(&server, 1), the_process(&server));
        get(address, "/healthz");
        let socket = listening_at(address.port());
        assert!(admin.open_files().contains(&socket));
        for other in server.children().into_iter().filter(|it| *it != admin) {
            let title = other.command_line();
            eventually(&format!("{title} has it not"), || {
                (!other.open_files().contains(&socket)).then_some(())
            });
        }
    }
}

#[test]
fn it_is_there_with_the_public_sockets_of_systemd() {
    let server = server("admin, activation")
        .no_bind()
        .under(&["python3", "-c", ACTIVATE])
        .start_with_unknown_workers();
    let admin = address(&server, 1);
    assert_ne!(admin, server.address());
    assert_eq!(get(admin, "/healthz").status, 200);
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn questions_are_not_in_the_access_log() {
    let server = server("admin, access log")
        .args(&["--access-logfile", "-"])
        .start_with_unknown_workers();
    let admin = address(&server, 1);
    get(admin, "/healthz");
    server.get("/marker");
    server.out().wait_for("/marker");
    assert_eq!(server.out().count("/healthz"), 0);
    assert_eq!(processes(server.master()).len(), 1);
}
