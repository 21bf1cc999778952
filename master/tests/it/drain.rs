//! The way out of service: what load balancers hear, and that their clients notice nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::thread;

use nix::sys::signal::Signal;

use crate::admin;
use crate::harness::{Builder, Load, Mode, Proxy, Server, eventually};
use crate::upgrade::NewMaster;

/// A server that its test ends the delay of.
fn patient(name: &str) -> Builder {
    let builder = Server::new(name).lab().workers(2).threads(2);
    builder.args(&["--health-path", "/health", "--drain-delay", "3600"])
}

#[test]
fn the_server_itself_answers_health_checks() {
    let server = Server::new("health")
        .lab()
        .args(&["--health-path", "/sleep", "--access-logfile", "-"])
        .start();
    let mut client = server.client();
    let answer = client.get("/sleep?ms=60000").expect("an answer");
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok\n"));
    assert_eq!(answer.field("Cache-Control"), Some("no-store"));
    client
        .send(b"HEAD /sleep HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("sent");
    let answer = client.answer_to("HEAD").expect("an answer");
    assert_eq!(
        (answer.status, answer.field("Content-Length")),
        (200, Some("3"))
    );
    let answer = client
        .request("POST", "/sleep", "", b"body")
        .expect("an answer");
    assert_eq!(
        (answer.status, answer.field("Allow")),
        (405, Some("GET, HEAD"))
    );
    // As HAProxy sends it.
    client.send(b"GET /sleep HTTP/1.0\r\n\r\n").expect("sent");
    assert!(client.answer().expect("an answer").closes());
    assert_eq!(server.get("/pid").status, 200);
    server.out().wait_for("GET /pid");
    assert_eq!(server.out().count("/sleep"), 0, "{}", server.out().text());
}

#[test]
fn health_checks_need_no_thread() {
    let server = Server::new("busy")
        .lab()
        .args(&["--health-path", "/health"]);
    let gate = server.dir().join("gate");
    let server = server.start();
    let mut held = server.client();
    let target = format!("/hold?until={}", gate.display());
    held.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
        .expect("sent");
    let mut queued = server.client();
    queued
        .send(b"GET /pid HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("sent");
    let mut client = server.client();
    for _ in 0..20 {
        assert_eq!(client.get("/health").expect("an answer").status, 200);
    }
    std::fs::write(gate, "").expect("written");
    assert_eq!(held.answer().expect("an answer").status, 200);
    assert_eq!(queued.answer().expect("an answer").status, 200);
}

/// The event loop answers one per turn, and others in between.
#[test]
fn any_number_of_pipelined_health_checks_is_answered() {
    const COUNT: usize = 100_000;
    let server = Server::new("pipelined")
        .lab()
        .args(&["--health-path", "/health"]);
    let server = server.start();
    let mut reader = TcpStream::connect(server.address()).expect("it listens");
    let mut writer = reader.try_clone().expect("a descriptor");
    let sender = thread::spawn(move || {
        let one = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
        let last = "GET /health HTTP/1.0\r\n\r\n";
        let all = one.repeat(COUNT - 1) + last;
        writer.write_all(all.as_bytes()).expect("sent");
    });
    let counter = thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("answers");
        text.matches("HTTP/1.1 200 OK\r\n").count()
    });
    let mut client = server.client();
    while !counter.is_finished() {
        assert_eq!(client.get("/pid").expect("an answer").status, 200);
    }
    sender.join().expect("all are sent");
    assert_eq!(counter.join().expect("all are counted"), COUNT);
}

#[test]
fn everything_is_served_while_health_checks_fail() {
    let mut server = patient("delay").start();
    let mut kept = server.client();
    assert_eq!(kept.get("/health").expect("an answer").status, 200);
    server.signal(Signal::SIGTERM);
    server.log().wait_for("Health checks fail from now on");
    let answer = kept.get("/health").expect("an answer");
    assert_eq!(answer.status, 503);
    assert!(!answer.closes(), "it may look again");
    assert_eq!(server.get("/health").status, 503);
    assert_eq!(kept.get("/pid").expect("an answer").status, 200);
    assert_eq!(server.get("/pid").status, 200);
    // A worker that dies is replaced, and a reload does not begin any more.
    let old = server.children();
    server.tolerate("was killed by SIGKILL");
    old[0].signal(Signal::SIGKILL);
    eventually("a replacement", || {
        let children = server.children();
        (children.len() == 2 && !children.contains(&old[0])).then_some(())
    });
    server.signal(Signal::SIGHUP);
    server
        .log()
        .wait_for("HUP signal ignored: the server has been told to end");
    server.signal(Signal::SIGTERM);
    server.wait_for_exit();
}

#[test]
fn the_admin_process_says_that_the_server_drains() {
    let builder = patient("admin, drain").args(&["--admin-bind", "127.0.0.1:0"]);
    let mut server = builder.start_with_unknown_workers();
    let place = admin::address(&server, 1);
    let state = || {
        let status: serde_json::Value =
            serde_json::from_slice(&admin::get(place, "/status").body).expect("JSON");
        status["server"]["state"].as_str().map(str::to_owned)
    };
    assert_eq!(admin::get(place, "/ready").status, 200);
    assert_eq!(state().as_deref(), Some("serving"));
    server.signal(Signal::SIGTERM);
    eventually("it is not ready", || {
        (admin::get(place, "/ready").status == 503).then_some(())
    });
    assert_eq!(state().as_deref(), Some("draining"));
    assert_eq!(admin::get(place, "/healthz").status, 200);
    assert_eq!(server.get("/pid").status, 200);
    server.signal(Signal::SIGTERM);
    server.wait_for_exit();
}

/// The sockets are served all the time: a check that fails would take the new master out of service too.
#[test]
fn an_upgrade_has_no_delay_and_fails_no_health_check() {
    let mut server = patient("drain, upgrade").start();
    let modes = [Mode::KeepAlive, Mode::Fresh];
    let checks = modes.map(|mode| Load::start(server.address(), 2, mode, "/health"));
    let new_master = NewMaster::start(&server, 2);
    server.signal(Signal::SIGTERM);
    server.wait_for_exit();
    server.log().wait_for("Master has been promoted.");
    checks.iter().for_each(|load| load.wait_for_more(100));
    for load in checks {
        load.stop().assert_perfect();
    }
    assert_eq!(server.log().count("Health checks fail"), 0);
    // Now it is alone, and waits.
    new_master.0.signal(Signal::SIGTERM);
    server.log().wait_for("Health checks fail from now on");
    new_master.end();
}

#[test]
fn the_delay_ends_by_itself() {
    let mut server = Server::new("short delay")
        .lab()
        .args(&["--drain-delay", "0.5"])
        .start();
    let load = Load::start(server.address(), 2, Mode::KeepAlive, "/pid");
    server.signal(Signal::SIGTERM);
    server.log().wait_for("Health checks fail from now on");
    server.wait_for_exit();
    let tally = load.stop();
    assert!(tally.failures.is_empty(), "{tally:?}");
}

/// HAProxy's word for the state of a server.
fn state_of(proxy: &Proxy, server: &str) -> Option<String> {
    let mut socket = UnixStream::connect(proxy.dir().join("admin")).ok()?;
    socket.write_all(b"show stat\n").ok()?;
    let mut text = String::new();
    socket.read_to_string(&mut text).ok()?;
    let prefix = format!("b,{server},");
    let line = text.lines().find(|line| line.starts_with(&prefix))?;
    line.split(',').nth(17).map(str::to_owned)
}

#[test]
fn clients_of_a_balancer_notice_nothing_when_one_of_two_servers_ends() {
    let mut servers = [patient("one").start(), patient("two").start()];
    let [one, two] = servers.each_ref().map(Server::address);
    // A client sees each request that fails: nobody repeats one.
    let proxy = Proxy::haproxy(&format!(
        " retries 0\nglobal\n stats socket DIR/admin\n\
         frontend f\n mode http\n bind 127.0.0.1:PORT\n default_backend b\n\
         backend b\n mode http\n option httpchk GET /health\n http-check expect status 200\n \
         default-server check inter 200ms fall 1 rise 1\n server one {one}\n server two {two}\n"
    ));
    let await_state = |server: &str, wanted: &str| {
        eventually(&format!("{server} is {wanted}"), || {
            state_of(&proxy, server).filter(|state| state == wanted)
        });
    };
    for server in ["one", "two"] {
        await_state(server, "UP");
    }
    let modes = [Mode::KeepAlive, Mode::Fresh];
    let loads = modes.map(|mode| Load::start(proxy.address, 4, mode, "/sleep?ms=2"));
    let go_on = || loads.iter().for_each(|load| load.wait_for_more(200));
    go_on();
    let [one, two] = &mut servers;
    one.signal(Signal::SIGTERM);
    await_state("one", "DOWN");
    go_on();
    one.signal(Signal::SIGTERM);
    one.wait_for_exit();
    go_on();
    for load in loads {
        load.stop().assert_perfect();
    }
    drop(proxy);
    two.signal(Signal::SIGINT);
    two.wait_for_exit();
}
