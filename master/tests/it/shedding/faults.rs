//! Faults and overload at the same time: clients that leave, threads that are stuck, workers that stop, die or are replaced.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::{
    Held, NEVER, ask, assert_refused, lab, number, queued, refused, status, wait_until_busy,
    wait_until_served,
};
use crate::harness::{Client, Server, eventually};

#[test]
fn a_request_whose_client_has_left_is_not_run() {
    for workers in [1, 2] {
        let builder = lab("left").workers(workers).args(&LEFT);
        who_has_left_is_not_served(&builder.start(), workers, Server::client, |client| {
            drop(client);
        });
    }
}

pub(crate) const LEFT: [&str; 2] = ["--queue-timeout", NEVER];

/// The server has so many threads in all, and an access log on its output.
pub(crate) fn who_has_left_is_not_served(
    server: &Server,
    threads: usize,
    connect: impl Fn(&Server) -> Client,
    leave: impl FnOnce(Client),
) {
    let held = Held::by(server, (0..threads).map(|_| connect(server)).collect());
    let (mut leaves, mut stays) = (connect(server), connect(server));
    ask(&mut leaves, "/pid?leaves");
    wait_until_busy(server, threads as u64, 1);
    ask(&mut stays, "/pid?stays");
    wait_until_busy(server, threads as u64, 2);
    // Who shuts down its side sooner has sent all, and waits.
    thread::sleep(Duration::from_millis(1500));
    leave(leaves);
    held.release();
    assert_eq!(stays.answer().expect("an answer").status, 200);
    eventually("it is counted", || {
        (refused(&status(server), "client_gone") == 1).then_some(())
    });
    eventually("it is in the access log", || {
        (server.out().count("/pid?leaves HTTP/1.1\" 503 ") == 1).then_some(())
    });
    assert_eq!(server.out().count("/pid?leaves HTTP/1.1\" 200 "), 0);
    server.log().wait_for("client_gone 1");
}

/// Unix sockets tell a client that has closed its own from one that has shut down one side of it.
#[test]
fn of_unix_sockets_only_a_closed_one_is_one_that_was_left() {
    let builder = lab("left unix").bind("unix:app.sock").args(&LEFT);
    let server = builder.start();
    let socket = server.dir().join("app.sock");
    let connect = || Client::connect_unix(&socket).expect("a connection");
    let held = Held::by(&server, vec![connect()]);
    let (mut leaves, mut waits) = (connect(), connect());
    for client in [&mut leaves, &mut waits] {
        ask(client, "/pid");
    }
    wait_until_busy(&server, 1, 2);
    waits.finish().expect("shut down");
    drop(leaves);
    held.release();
    assert_eq!(waits.answer().expect("an answer").status, 200);
    eventually("the other is counted", || {
        (refused(&status(&server), "client_gone") == 1).then_some(())
    });
}

/// It has shut down its side before the later ones begin to wait.
#[test]
fn a_client_that_sends_all_its_requests_and_then_the_end_gets_all_answers() {
    for (workers, threads) in [(1, 1), (2, 2)] {
        let builder = lab("half closed").workers(workers).threads(threads);
        let server = builder
            .args(&["--queue-timeout", NEVER, "--max-queue", "1"])
            .start();
        for _ in 0..5 {
            let mut client = server.client();
            let request = "GET /sleep?ms=20 HTTP/1.1\r\nHost: test\r\n\r\n".repeat(3);
            client.send(request.as_bytes()).expect("sent");
            client.finish().expect("sent");
            for _ in 0..3 {
                assert_eq!(client.answer().expect("an answer").status, 200);
            }
        }
    }
}

/// A thread that never comes back takes nothing from the others.
#[test]
fn one_stuck_thread_of_several_refuses_nobody() {
    let server = lab("stuck")
        .threads(2)
        .args(&["--queue-timeout", "10"])
        .start();
    let held = Held::all_threads(&server, 1);
    for _ in 0..300 {
        assert_eq!(server.get("/pid").status, 200);
    }
    assert_eq!(refused(&status(&server), "queue_timeout"), 0);
    held.release();
}

/// Nobody knows how long a thread will be busy that has been for much longer than usual. One request waits for it all the
/// same, so that it has something to do afterwards.
#[test]
fn a_thread_that_takes_unusually_long_finds_the_next_request_waiting() {
    let server = lab("unusual").args(&["--queue-timeout", "10"]).start();
    for _ in 0..20 {
        assert_eq!(server.get("/pid").status, 200);
    }
    let held = Held::all_threads(&server, 1);
    // It has taken as long as anybody may wait.
    thread::sleep(Duration::from_secs(10));
    let mut next = server.client();
    ask(&mut next, "/pid");
    wait_until_busy(&server, 1, 1);
    let mut others: Vec<Client> = (0..3).map(|_| server.client()).collect();
    for client in &mut others {
        ask(client, "/pid");
        assert_refused(client);
    }
    held.release();
    assert_eq!(next.answer().expect("an answer").status, 200);
    assert_eq!(refused(&status(&server), "queue_timeout"), 3);
}

#[test]
fn under_overload_a_worker_may_be_killed_and_all_may_be_replaced() {
    let builder = lab("replaced").workers(2).threads(2);
    let mut server = builder
        .args(&["--queue-timeout", "0.2", "--max-queue", "30"])
        .start();
    server.tolerate("");
    let old = server.wait_for_children(2);
    let stop = AtomicBool::new(false);
    let broken: usize = thread::scope(|scope| {
        let client = || {
            let (mut client, mut broken) = (server.client(), 0);
            while !stop.load(Ordering::Relaxed) {
                match client.get("/sleep?ms=10") {
                    Ok(answer) if answer.status == 200 => {}
                    Ok(answer) => {
                        assert_eq!(answer.status, 503);
                        thread::sleep(Duration::from_millis(2));
                    }
                    Err(_) => {
                        broken += 1;
                        client = server.client();
                    }
                }
            }
            broken
        };
        let clients: Vec<_> = (0..60).map(|_| scope.spawn(client)).collect();
        let refusals = || {
            eventually("requests are refused", || {
                let before = number(&status(&server)["requests"]["total"]);
                (before > 500
                    && status(&server)["requests"]["refused"]
                        .as_object()?
                        .values()
                        .any(|it| number(it) > 100))
                .then_some(())
            })
        };
        refusals();
        server.signal(Signal::SIGHUP);
        let new = server.wait_for_others(&old, 2);
        new[0].signal(Signal::SIGKILL);
        server.wait_for_others(&[old.clone(), new[..1].to_vec()].concat(), 2);
        stop.store(true, Ordering::Relaxed);
        clients
            .into_iter()
            .map(|it| it.join().expect("a client"))
            .sum()
    });
    // Those of the worker that was killed.
    assert!(broken <= 60, "{broken}");
    eventually("nobody waits", || {
        (queued(&status(&server)) == 0).then_some(())
    });
    wait_until_served(&mut server.client());
}

/// The kernel knows how long a request has been there that nobody has read.
#[test]
fn a_request_that_was_not_accepted_in_time_has_waited_too() {
    let builder = lab("unseen").args(&["--queue-timeout", "1"]);
    let server = builder.args(&["--access-logformat", "%(s)s %(L)s"]).start();
    let held = Held::all_threads(&server, 1);
    let worker = server.children()[0];
    worker.signal(Signal::SIGSTOP);
    let mut clients: Vec<Client> = (0..5).map(|_| server.client()).collect();
    clients.iter_mut().for_each(|it| ask(it, "/pid"));
    thread::sleep(Duration::from_secs(3));
    worker.signal(Signal::SIGCONT);
    clients.iter_mut().for_each(assert_refused);
    eventually("they have waited all the time", || {
        let lines = server.out().lines();
        let lines = lines.iter().filter_map(|line| line.strip_prefix("503 "));
        let seconds = lines.map(|it| it.parse::<f64>().expect("a time"));
        (seconds.filter(|&it| it > 2.5).count() == 5).then_some(())
    });
    held.release();
}
