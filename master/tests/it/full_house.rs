//! As many connections as may be open, and more at the door: whoever is let in is served, nobody is cut off
//! who was invited to go on, and places are made only for those who wait.

use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::harness::{Client, Server};

/// A client that has been answered so recently is left alone.
const INVITED: Duration = Duration::from_millis(1100);

/// Asks `count` times; a new connection is opened only where an answer has said so.
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
fn more_clients_than_places_share_them_and_none_is_cut_off() {
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
fn the_longest_idle_makes_room_and_only_when_somebody_waits() {
    let server = Server::new("idlest")
        .lab()
        .args(&["--worker-connections", "3", "--keep-alive", "60"])
        .start();
    let mut clients: Vec<Client> = (0..3).map(|_| server.client()).collect();
    // Twice: a full house alone costs nobody the connection.
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

/// Where silence has no end, silent clients still keep nobody out.
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

/// Neither the limit on connections nor what the server keeps in reserve helps where the application has
/// taken the descriptors.
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
    // The descriptors are gone: whoever comes takes the place of who has been idle longest.
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
    for worker in server.children() {
        // What they have is all they may have, though the settings allow far more connections.
        let limit = format!("--nofile={0}:{0}", worker.descriptors());
        let pid = worker.0.to_string();
        let lowered = Command::new("prlimit")
            .args(["--pid", &pid, &limit])
            .status();
        assert!(lowered.expect("prlimit").success());
    }
    thread::sleep(INVITED);
    let _newcomers: Vec<Client> = (0..CLIENTS / 2).map(|_| ask()).collect();
}
