//! What must not stop a server: stuck threads, files that change while they are sent, things that are no files, and the
//! lack of descriptors or rights.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;

use nix::sys::stat::Mode;
use nix::unistd::{Uid, mkfifo};

use super::{LARGE, ask, pattern, site, write};
use crate::harness::{Client, Load, Server, eventually};

#[test]
fn files_are_served_while_every_thread_is_stuck() {
    let server = site("static, stuck").workers(2).threads(2).start();
    let gate = server.dir().join("gate");
    let mut held: Vec<Client> = (0..6)
        .map(|_| {
            let mut client = server.client();
            let target = format!("/hold?until={}", gate.display());
            client
                .send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
                .expect("sent");
            client
        })
        .collect();
    let load = Load::start(
        server.address(),
        4,
        crate::harness::Mode::KeepAlive,
        "/static/small.txt",
    );
    load.wait_for_more(500);
    load.stop().assert_perfect();
    assert!(server.get("/static/large.bin").body == pattern(LARGE));
    let mut client = server.client();
    let several = ask(
        &mut client,
        "GET",
        "/static/large.bin",
        "Range: bytes=0-9,100000-2000000\r\n",
    );
    assert_eq!(several.status, 206);
    fs::write(&gate, "").expect("a file");
    for client in &mut held {
        assert_eq!(client.answer().expect("an answer").status, 200);
    }
}

/// Asks for a file that is longer than the sockets take, and waits until it is being sent.
fn begin(server: &Server, target: &str) -> Client {
    let mut client = Client::connect_narrow(server.address()).expect("connected");
    client
        .send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
        .expect("sent");
    client.sip(1).expect("it has begun");
    client
}

/// More than all buffers of a connection hold.
const HUGE: usize = 60_000_000;

fn with_huge(name: &str) -> Server {
    let builder = site(name);
    let file = File::create(builder.dir().join("files/huge.bin")).expect("a file");
    file.set_len(HUGE as u64).expect("room");
    builder.start()
}

#[test]
fn a_file_that_becomes_shorter_ends_its_connection() {
    let server = with_huge("static, truncated");
    let mut client = begin(&server, "/static/huge.bin");
    let path = server.dir().join("files/huge.bin");
    let file = OpenOptions::new().write(true).open(&path).expect("a file");
    file.set_len(1000).expect("shorter");
    let error = client.answer().expect_err("the rest is not there");
    assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
    server.log().wait_for("became shorter while it was sent");
    assert_eq!(server.get("/static/huge.bin").body.len(), 1000);
    assert_eq!(server.get("/static/small.txt").status, 200);
}

#[test]
fn a_file_that_is_replaced_or_deleted_is_sent_to_its_end() {
    let server = with_huge("static, replaced");
    let path = server.dir().join("files/huge.bin");
    let mut client = begin(&server, "/static/huge.bin");
    write(&server.dir().join("files"), "next", b"next");
    fs::rename(server.dir().join("files/next"), &path).expect("replaced");
    let mut other = server.client();
    assert_eq!(
        other.get("/static/huge.bin").expect("an answer").text(),
        "next"
    );
    fs::remove_file(&path).expect("deleted");
    assert_eq!(
        other.get("/static/huge.bin").expect("an answer").status,
        404
    );
    let answer = client.answer().expect("all of it");
    assert!(answer.body.len() == HUGE && answer.body.iter().all(|&octet| octet == 0));
    let worker = server.children()[0];
    eventually("the deleted file is closed", || {
        let open = worker.open_files();
        (!open.iter().any(|name| name.contains("huge.bin"))).then_some(())
    });
}

#[test]
fn a_client_that_leaves_leaves_nothing_open() {
    let server = with_huge("static, left");
    let worker = server.children()[0];
    let clients: Vec<_> = (0..10)
        .map(|_| begin(&server, "/static/huge.bin"))
        .collect();
    let is_open = || {
        worker
            .open_files()
            .iter()
            .any(|name| name.contains("huge.bin"))
    };
    assert!(is_open());
    drop(clients);
    eventually("the file is closed", || (!is_open()).then_some(()));
}

#[test]
fn what_is_no_file_is_refused_at_once() {
    let builder = site("static, no files").threads(1);
    let files = builder.dir().join("files");
    mkfifo(&files.join("fifo"), Mode::S_IRWXU).expect("a FIFO");
    for (name, target) in [
        ("terminal", "/dev/tty"),
        ("null", "/dev/null"),
        ("passwd", "/etc/passwd"),
        ("up", ".."),
        ("self", "self"),
        ("process", "/proc/self/root"),
    ] {
        std::os::unix::fs::symlink(target, files.join(name)).expect("a link");
    }
    let _socket = std::os::unix::net::UnixListener::bind(files.join("socket")).expect("a socket");
    let server = builder.start();
    for name in [
        "fifo",
        "terminal",
        "null",
        "passwd",
        "up/outside.txt",
        "up",
        "self",
        "process/etc/passwd",
        "socket",
    ] {
        assert_eq!(server.get(&format!("/static/{name}")).status, 404, "{name}");
    }
    let long = format!("/static/{}", "a".repeat(300));
    assert_eq!(server.get(&long).status, 404);
    assert_eq!(server.get("/pid").status, 200);
}

/// These paths take no body: nothing of it is asked for, read into memory or written to a disk.
#[test]
fn a_body_is_not_waited_for() {
    let server = site("static, bodies")
        .args(&["--health-path", "/health"])
        .start();
    for (request, status) in [
        ("POST /static/small.txt", 405),
        ("PUT /static/none", 405),
        ("GET /static/small.txt", 200),
        ("GET /static/none", 404),
        ("POST /health", 405),
    ] {
        for framing in [
            "Content-Length: 200000000\r\nExpect: 100-continue",
            "Content-Length: 200000000",
            "Transfer-Encoding: chunked",
        ] {
            let mut client = server.client();
            let head = format!("{request} HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n");
            client.send(head.as_bytes()).expect("sent");
            let answer = client.any_answer_to("POST").expect("an answer");
            assert_eq!(answer.status, status, "{request} {framing}");
            assert!(answer.closes(), "{request} {framing}");
            client.finish().expect("the end");
            assert!(client.rest().expect("the end").is_empty());
        }
    }
    // A short one that has come is skipped.
    let mut client = server.client();
    for _ in 0..2 {
        let answer = client
            .request("POST", "/static/small.txt", "", b"abc")
            .expect("an answer");
        assert!(answer.status == 405 && !answer.closes());
    }
    let echo = client.request("POST", "/echo", "", &pattern(LARGE));
    assert!(echo.expect("an answer").body == pattern(LARGE));
}

#[test]
fn without_descriptors_a_client_is_told_to_come_again() {
    let mut server = site("static, descriptors")
        .threads(2)
        .under(&["prlimit", "--nofile=200:200"])
        .start();
    server.tolerate("Too many open files");
    server.tolerate("descriptors");
    let mut client = server.client();
    assert_eq!(
        client.get("/static/small.txt").expect("an answer").status,
        200
    );
    let mut hoarder = server.client();
    assert!(
        hoarder
            .get("/hoard?files=1000")
            .expect("an answer")
            .number()
            > 50
    );
    let answer = client.get("/static/small.txt").expect("an answer");
    assert_eq!(
        (answer.status, answer.field("Retry-After")),
        (503, Some("1"))
    );
    assert!(!answer.closes());
    server.log().wait_for("Too many open files");
    assert_eq!(hoarder.get("/pid").expect("an answer").status, 200);
}

#[test]
fn a_file_that_the_worker_may_not_read_is_forbidden() {
    if !Uid::effective().is_root() {
        eprintln!("skipped: only root can start a worker with fewer rights");
        return;
    }
    let builder = site("static, rights");
    let files = builder.dir().join("files");
    write(&files, "secret.txt", b"secret");
    write(&files, "closed/index.html", b"index");
    // Whatever the umask is.
    for (name, mode) in [
        ("..", 0o755),
        (".", 0o755),
        ("small.txt", 0o644),
        ("secret.txt", 0o600),
        // One that may be searched and not read.
        ("closed", 0o711),
        ("closed/index.html", 0o644),
    ] {
        fs::set_permissions(files.join(name), fs::Permissions::from_mode(mode)).expect("root");
    }
    let server = builder.args(&["--user", "nobody"]).start();
    assert_eq!(server.get("/static/closed/").text(), "index");
    let redirect = server.get("/static/closed");
    assert_eq!(
        (redirect.status, redirect.field("Location")),
        (301, Some("./closed/"))
    );
    assert_eq!(server.get("/static/secret.txt").status, 403);
    server.log().wait_for("/static/secret.txt: ");
    assert_eq!(server.get("/static/small.txt").status, 200);
}
