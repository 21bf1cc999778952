//! More clients than `worker_connections`: idle connections are closed for clients that wait, and only for them.

use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::harness::{Client, Process, Server, eventually};

/// A connection that was used within this time is not closed.
const INVITED: Duration = Duration::from_millis(1100);

/// Sends `count` requests; opens a new connection only if an answer has closed the old one.
fn ask(address: SocketAddr, count: usize) -> io::Result<()> {
    let mut connection = None;
    for _ in 0..count {
        let mut client = match connection.take() {
            Some(client) => client,
            None => Client::connect(address)?,
        };
        let answer = client.get("/sleep?ms=1")?;
        if !answer.closes() {
            connection = Some(client);
        }
    }
    Ok(())
}

#[test]
fn more_clients_than_connections_take_turns_and_none_is_cut_off() {
    const PLACES: usize = 10;
    for (workers, threads) in [(1, 1), (2, 2)] {
        let builder = Server::new("full house")
            .lab()
            .workers(workers)
            .threads(threads);
        let server = builder
            .args(&["--worker-connections", &PLACES.to_string()])
            .args(&["--keep-alive", "60"])
            .start();
        let address = server.address();
        for clients in [PLACES * workers, PLACES * workers + 5] {
            let asking: Vec<_> = (0..clients)
                .map(|_| thread::spawn(move || ask(address, 60)))
                .collect();
            for client in asking {
                let outcome = client.join().expect("no panic");
                outcome.expect("an answer to each request");
            }
        }
    }
}

#[test]
fn the_longest_idle_connection_is_closed_only_when_a_client_waits() {
    let server = Server::new("idlest")
        .lab()
        .args(&["--worker-connections", "3", "--keep-alive", "60"])
        .start();
    let mut clients: Vec<Client> = (0..3).map(|_| server.client()).collect();
    // Twice: no connection is closed only because the worker is full.
    for _ in 0..2 {
        for client in &mut clients {
            assert_eq!(client.get("/pid").expect("an answer").status, 200);
        }
        thread::sleep(INVITED);
    }
    for index in [2, 0] {
        assert_eq!(clients[index].get("/pid").expect("an answer").status, 200);
    }
    // The one that has been idle longest goes, and then the next one.
    let mut newcomer = server.client();
    assert_eq!(newcomer.get("/pid").expect("an answer").status, 200);
    assert!(clients[1].get("/pid").is_err(), "it was idle for longest");
    for index in [0, 2] {
        assert_eq!(clients[index].get("/pid").expect("an answer").status, 200);
    }
    assert_eq!(newcomer.get("/pid").expect("an answer").status, 200);
}

/// Without a deadline for silent clients, they still keep no client out.
#[test]
fn silent_clients_make_room() {
    let server = Server::new("silent")
        .lab()
        .args(&["--worker-connections", "3", "--header-timeout", "0"])
        .args(&["--keep-alive", "60"])
        .start();
    let silent: Vec<Client> = (0..6).map(|_| server.client()).collect();
    assert_eq!(server.get("/pid").status, 200);
    drop(silent);
}

/// If the application has taken the descriptors, neither the limit on connections nor the server's reserve helps.
#[test]
fn when_descriptors_run_out_the_longest_idle_makes_room() {
    const DESCRIPTORS: usize = 128;
    let limit = format!("--nofile={DESCRIPTORS}:{DESCRIPTORS}");
    let mut server = Server::new("descriptors")
        .lab()
        .under(&["prlimit", &limit, "--"])
        .args(&["--keep-alive", "60"])
        .start();
    server.tolerate("cannot accept");
    let mut hoarder = server.client();
    let left = 8;
    let all = hoarder.get(&format!("/hoard?files={DESCRIPTORS}"));
    let most = all.expect("an answer").number();
    assert!(most < DESCRIPTORS as i64, "some are the server's");
    // No descriptor is left: a new client takes the place of the one that has been idle longest.
    let mut clients: Vec<Client> = Vec::new();
    for _ in 0..left {
        let mut client = server.client();
        assert_eq!(client.get("/pid").expect("an answer").status, 200);
        clients.push(client);
    }
    assert!(hoarder.get("/pid").is_err());
    assert!(clients[0].get("/pid").is_err());
    let last = clients[left - 1].get("/pid").expect("an answer");
    assert_eq!(last.status, 200);
    server.log().wait_for("cannot accept");
}

/// Two workers; the one that answers first has `places` clients in the middle of their bodies, and no room for more.
fn with_a_full_worker(server: &Server, places: usize) -> (Process, Vec<Client>) {
    let mut full = None;
    let mut uploads = Vec::new();
    while uploads.len() < places {
        let mut client = server.client();
        let pid = client.get("/pid").expect("an answer").number();
        if *full.get_or_insert(pid) == pid {
            begin_upload(&mut client);
            uploads.push(client);
        }
    }
    let pid = full.and_then(|pid| i32::try_from(pid).ok());
    (Process(pid.expect("a pid")), uploads)
}

/// From now on the connection is not idle.
fn begin_upload(client: &mut Client) {
    let begun = b"POST /upload HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nbody";
    client.send(begun).expect("sent");
}

fn ask_and_leave(server: &Server) -> i64 {
    let mut client = server.client();
    let request = b"GET /pid HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    client.send(request).expect("sent");
    client.answer().expect("an answer").number()
}

/// The kernel wakes one worker for each new client. If that one is full, its sibling learns of the client too. The full
/// worker sleeps when no client waits any more.
#[test]
fn a_full_worker_keeps_no_newcomer_from_its_sibling_and_does_not_spin() {
    const PLACES: usize = 2;
    let builder = Server::new("one is full").lab().workers(2).threads(1);
    let server = builder
        .args(&["--worker-connections", &PLACES.to_string()])
        .args(&["--body-timeout", "600", "--body-min-rate", "0"])
        .start();
    let (full, uploads) = with_a_full_worker(&server, PLACES);
    for _ in 0..8 {
        assert_ne!(ask_and_leave(&server), i64::from(full.0));
    }
    // Of its only thread, which also turns the event loop.
    let sleeps = || -> u64 {
        let count = full.status("voluntary_ctxt_switches");
        count.parse().expect("a number")
    };
    let before = sleeps();
    eventually("the full worker sleeps", || {
        (sleeps() > before + 2).then_some(())
    });
    for mut client in uploads {
        client.send(b"octets").expect("sent");
        assert_eq!(client.answer().expect("an answer").status, 200);
    }
}

/// Without a descriptor a worker cannot even accept a new client and hand it over.
#[test]
fn a_worker_without_descriptors_keeps_no_newcomer_from_its_sibling() {
    let builder = Server::new("one has none").lab().workers(2).threads(1);
    let mut server = builder
        .args(&["--body-timeout", "600", "--body-min-rate", "0"])
        .start();
    server.tolerate("cannot accept");
    let (without, mut uploads) = with_a_full_worker(&server, 2);
    limit_descriptors(without);
    // Some numbers may be free below the limit.
    for _ in 0..20 {
        let mut client = server.client();
        assert_eq!(client.get("/pid").expect("an answer").status, 200);
        begin_upload(&mut client);
        uploads.push(client);
    }
    server.log().wait_for("cannot accept");
}

/// Limits the worker to the descriptors that it has.
fn limit_descriptors(worker: Process) {
    let limit = format!("--nofile={0}:{0}", worker.descriptors());
    let pid = worker.0.to_string();
    let lowered = Command::new("prlimit")
        .args(["--pid", &pid, &limit])
        .status();
    assert!(lowered.expect("prlimit").success());
}

#[test]
fn where_all_workers_lack_descriptors_none_leaves_a_newcomer_to_the_others() {
    const CLIENTS: usize = 20;
    let mut server = Server::new("no descriptors anywhere")
        .lab()
        .workers(2)
        .args(&["--keep-alive", "60"])
        .start();
    server.tolerate("cannot accept");
    let ask = || {
        let mut client = server.client();
        assert_eq!(client.get("/pid").expect("an answer").status, 200);
        client
    };
    let _idle: Vec<Client> = (0..CLIENTS).map(|_| ask()).collect();
    // The settings allow far more connections.
    server.children().into_iter().for_each(limit_descriptors);
    thread::sleep(INVITED);
    let _newcomers: Vec<Client> = (0..CLIENTS / 2).map(|_| ask()).collect();
}
