//! Requests that take too long, and clients that send or read nothing: neither may affect other clients.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::{Client, Load, Mode, Server, eventually};

/// A deadline that no test reaches: if the tested mechanism fails, the test times out.
const NEVER: &str = "600";

fn request(client: &mut Client, target: &str) {
    client
        .send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
        .expect("sent");
}

#[test]
fn one_stuck_call_delays_nobody_else() {
    let builder = Server::new("stuck").lab().workers(2).threads(1);
    let gate = builder.dir().join("gate");
    let server = builder.args(&["--timeout", NEVER]).start();
    let mut kept: Vec<_> = (0..8).map(|_| server.client()).collect();
    kept.iter_mut().for_each(|client| drop(client.get("/pid")));
    let mut stuck = server.client();
    request(&mut stuck, &format!("/hold?until={}", gate.display()));
    let loads =
        [Mode::KeepAlive, Mode::Fresh].map(|mode| Load::start(server.address(), 4, mode, "/pid"));
    // Connections that the stuck worker had already accepted are served too.
    for client in &mut kept {
        assert_eq!(client.get("/pid").expect("an answer").status, 200);
    }
    loads.iter().for_each(|load| load.wait_for_more(500));
    for load in loads {
        load.stop().assert_perfect();
    }
    std::fs::write(&gate, "").expect("written");
    assert_eq!(stuck.answer().expect("an answer").status, 200);
}

#[test]
fn a_thousand_silent_clients_change_nothing_for_the_others() {
    const HALF_HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nX-Unfinished";
    const HALF_BODY: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhalf";
    for half in [HALF_HEAD, HALF_BODY] {
        let server = Server::new("silent clients")
            .lab()
            .workers(2)
            .args(&["--worker-connections", "2000"])
            .args(&["--header-timeout", NEVER, "--body-timeout", NEVER])
            .start();
        let silent: Vec<_> = (0..1000)
            .map(|_| {
                let mut client = server.client();
                client.send(half).expect("sent");
                client
            })
            .collect();
        let load = Load::start(server.address(), 4, Mode::Fresh, "/pid");
        load.wait_for_more(1000);
        load.stop().assert_perfect();
        drop(silent);
    }
}

#[test]
fn slow_heads_and_bodies_are_answered_408() {
    let server = Server::new("408")
        .lab()
        .args(&["--header-timeout", "1", "--body-timeout", "1"])
        .start();
    let halves: [&[u8]; 2] = [
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf",
    ];
    for half in halves {
        let mut client = server.client();
        client.send(half).expect("sent");
        let answer = client.answer().expect("an answer");
        assert_eq!(answer.status, 408);
        assert!(answer.closes());
        assert!(client.rest().expect("the end").is_empty());
    }
}

#[test]
fn a_slow_head_has_one_deadline_as_a_whole() {
    let server = Server::new("drip")
        .lab()
        .args(&["--header-timeout", "1"])
        .start();
    let mut client = server.client();
    client
        .send(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        .expect("sent");
    eventually("the server gives up", || {
        client.send(b"x").is_err().then_some(())
    });
}

#[test]
fn an_idle_connection_is_closed_after_keepalive() {
    let server = Server::new("keepalive")
        .lab()
        .args(&["--keep-alive", "1"])
        .start();
    let mut client = server.client();
    let asked = Instant::now();
    client.get("/").expect("an answer");
    assert!(client.rest().expect("the end").is_empty());
    let took = asked.elapsed();
    assert!(took >= Duration::from_secs(1), "{took:?}");
}

#[test]
fn keepalive_counts_from_the_end_of_a_long_request() {
    let server = Server::new("keepalive after a long request")
        .lab()
        .args(&["--keep-alive", "1"])
        .start();
    let mut client = server.client();
    client.get("/").expect("an answer");
    // The deadline of the first answer passes before the second comes.
    let asked = Instant::now();
    client.get("/sleep?ms=2500").expect("an answer");
    assert!(client.rest().expect("the end").is_empty());
    let took = asked.elapsed();
    assert!(took >= Duration::from_millis(3500), "{took:?}");
}

#[test]
fn keepalive_zero_closes_after_each_answer() {
    let server = Server::new("no keepalive")
        .lab()
        .args(&["--keep-alive", "0"])
        .start();
    let answer = server.get("/");
    assert!(answer.closes());
}

#[test]
fn a_request_over_its_time_is_answered_504_and_the_worker_is_replaced() {
    let mut server = Server::new("504")
        .lab()
        .threads(2)
        // Naming the stack takes time on a busy machine, and the drain waits for it.
        .args(&["--timeout", "2", "--graceful-timeout", "30"])
        .start();
    server.tolerate("");
    let old = server.children();
    let mut client = server.client();
    let started = Instant::now();
    request(&mut client, "/sleep?ms=60000");
    let answer = client.answer().expect("an answer");
    assert_eq!(answer.status, 504);
    let took = started.elapsed();
    assert!(took >= Duration::from_secs(2), "{took:?}");
    let line = server.log().wait_for("timed out");
    assert!(line.contains("GET /sleep"), "{line}");
    // The stack names the place.
    server.log().wait_for("sleep");
    server.wait_for_others(&old, 1);
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn the_other_threads_of_a_worker_that_is_replaced_finish() {
    let builder = Server::new("504 beside").lab().threads(2);
    let gate = builder.dir().join("gate");
    let mut server = builder.args(&["--timeout", "6"]).start();
    server.tolerate("");
    let (mut stuck, mut slow) = (server.client(), server.client());
    request(&mut stuck, "/sleep?ms=60000");
    server.get("/pid");
    // The other one has a later deadline, by the time that its thread may need to notice that it can continue.
    std::thread::sleep(Duration::from_secs(4));
    request(&mut slow, &format!("/hold?until={}", gate.display()));
    assert_eq!(stuck.answer().expect("an answer").status, 504);
    std::fs::write(&gate, "").expect("written");
    assert_eq!(slow.answer().expect("an answer").status, 200);
}

#[test]
fn a_slow_reader_holds_no_thread() {
    let server = Server::new("slow reader")
        .lab()
        .workers(1)
        .threads(1)
        .args(&["--write-timeout", NEVER])
        .start();
    let readers: Vec<_> = (0..20)
        .map(|_| {
            let mut client = server.client();
            request(&mut client, "/big?bytes=20000000");
            client
        })
        .collect();
    assert_eq!(server.get("/pid").status, 200);
    for mut reader in readers.into_iter().take(3) {
        assert_eq!(reader.answer().expect("an answer").body.len(), 20_000_000);
    }
}

#[test]
fn a_slow_reader_of_a_stream_holds_no_thread() {
    let server = Server::new("slow stream")
        .lab()
        .workers(1)
        .threads(1)
        .args(&["--write-timeout", NEVER])
        .start();
    let mut reader = server.client();
    request(&mut reader, "/stream?pieces=200&bytes=100000");
    assert_eq!(server.get("/pid").status, 200);
    assert_eq!(reader.answer().expect("an answer").body.len(), 20_000_000);
}

#[test]
fn a_client_that_reads_nothing_is_disconnected() {
    let server = Server::new("write timeout")
        .lab()
        .args(&["--write-timeout", "1"])
        .start();
    let worker = server.children()[0];
    let before = worker.descriptors();
    let mut client = server.client();
    request(&mut client, "/big?bytes=50000000");
    eventually("the connection is there", || {
        (worker.descriptors() > before).then_some(())
    });
    eventually("the connection is gone", || {
        (worker.descriptors() <= before).then_some(())
    });
    assert!(client.answer().is_err());
}

#[test]
fn connections_that_come_and_go_without_a_word_leave_nothing() {
    let server = Server::new("port scan").lab().start();
    let worker = server.children()[0];
    let before = worker.descriptors();
    for _ in 0..500 {
        drop(TcpStream::connect(server.address()).expect("a connection"));
    }
    assert_eq!(server.get("/").status, 200);
    eventually("all are closed", || {
        (worker.descriptors() <= before).then_some(())
    });
}

#[test]
fn a_full_worker_closes_idle_connections_for_new_ones() {
    let server = Server::new("full")
        .lab()
        .args(&["--worker-connections", "50"])
        .start();
    let idle: Vec<_> = (0..200)
        .map(|_| {
            let mut client = server.client();
            client.get("/pid").expect("an answer");
            client
        })
        .collect();
    assert_eq!(server.get("/pid").status, 200);
    let worker = server.children()[0];
    assert!(worker.descriptors() < 100, "{}", worker.descriptors());
    drop(idle);
}
