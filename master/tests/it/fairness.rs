//! Requests run in the order in which they came, a busy client delays nobody, and a new connection wakes one worker only.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::harness::{Client, Process, Server, eventually};

/// Chunks are more work for the server than for this client, and a Unix socket has no window: so the socket always has
/// more to read.
#[test]
fn an_upload_without_a_pause_keeps_nobody_waiting() {
    const PIECES: usize = 600;
    let builder = Server::new("upload").lab().bind("unix:app.sock");
    let path = builder.dir().join("app.sock");
    let server = builder.workers(1).args(&["--threads", "1"]).start();
    server.wait_for_children(1);
    let chunk = [b"80\r\n", [b'a'; 128].as_slice(), b"\r\n"].concat();
    let piece = chunk.repeat(4000);
    let mut uploader = UnixStream::connect(&path).expect("the server listens");
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    uploader.write_all(head).expect("sent");
    let sent = AtomicUsize::new(0);
    // How much is uploaded while one request is answered. Not the maximum: a busy machine delays this client too.
    let meanwhile: Vec<usize> = thread::scope(|scope| {
        let upload = scope.spawn(|| {
            for _ in 0..PIECES {
                uploader.write_all(&piece).expect("taken");
                sent.fetch_add(1, Ordering::SeqCst);
            }
        });
        let mut client = Client::connect_unix(&path).expect("the server listens");
        let mut meanwhile = Vec::new();
        while !upload.is_finished() {
            let before = sent.load(Ordering::SeqCst);
            assert_eq!(client.get("/pid").expect("an answer").status, 200);
            meanwhile.push(sent.load(Ordering::SeqCst) - before);
        }
        meanwhile
    });
    assert!(
        meanwhile.len() > 10 && sorted_middle(&meanwhile) <= PIECES / 60,
        "pieces while each request was answered: {meanwhile:?}"
    );
}

#[test]
fn with_one_worker_and_one_thread_nobody_is_overtaken() {
    nobody_is_overtaken(1, 1, 4);
}

#[test]
fn with_one_worker_nobody_is_overtaken() {
    nobody_is_overtaken(1, 2, 6);
}

#[test]
fn with_two_workers_nobody_is_overtaken() {
    nobody_is_overtaken(2, 2, 10);
}

#[test]
fn with_four_workers_nobody_is_overtaken() {
    nobody_is_overtaken(4, 2, 20);
}

/// More clients than threads, each always with a request under way, and new clients beside them: all get the same
/// number of answers, whichever worker they are at, and a new client waits no longer than the others.
fn nobody_is_overtaken(workers: usize, threads: usize, clients: usize) {
    const NEWCOMERS: usize = 20;
    /// Answers to each client.
    const ROUNDS: usize = 40;
    /// The server owes one; the others are for a test that is scheduled late.
    const ANSWERS_MEANWHILE: usize = 6;
    const CALL: &str = "/sleep?ms=10";
    let builder = Server::new("order").lab().workers(workers).threads(threads);
    let server = builder.start();
    let answers: Vec<AtomicUsize> = (0..clients).map(|_| AtomicUsize::new(0)).collect();
    let most = || {
        let counts = answers.iter().map(|it| it.load(Ordering::SeqCst));
        counts.max().unwrap_or_default()
    };
    let enough = AtomicBool::new(false);
    let waits: Vec<usize> = thread::scope(|scope| {
        for count in &answers {
            let mut client = server.client();
            let enough = &enough;
            scope.spawn(move || {
                while !enough.load(Ordering::SeqCst) {
                    assert_eq!(client.get(CALL).expect("an answer").status, 200);
                    count.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let newcomer = || {
            let before = most();
            let answer = server.client().get(CALL).expect("an answer");
            assert_eq!(answer.status, 200);
            most() - before
        };
        let waits = (0..NEWCOMERS).map(|_| newcomer()).collect();
        eventually("each client has asked often", || {
            let sum: usize = answers.iter().map(|it| it.load(Ordering::SeqCst)).sum();
            (sum >= ROUNDS * clients).then_some(())
        });
        enough.store(true, Ordering::SeqCst);
        waits
    });
    let counts: Vec<usize> = answers.into_iter().map(AtomicUsize::into_inner).collect();
    let mean = counts.iter().sum::<usize>() / clients;
    let fewest = counts.iter().min().copied().unwrap_or_default();
    assert!(
        fewest * 10 >= mean * 7,
        "answers to each client: {counts:?}"
    );
    let typical = sorted_middle(&waits);
    assert!(
        typical <= ANSWERS_MEANWHILE,
        "answers to others meanwhile: {waits:?}"
    );
}

/// The queue that the workers share takes a few hundred requests. The others wait in their workers, and all have their
/// turn, also in a worker that ends.
#[test]
fn more_requests_than_the_shared_queue_takes_are_all_answered() {
    const CLIENTS: usize = 600;
    let builder = Server::new("full queue").lab().workers(2).threads(1);
    let gate = builder.dir().join("gate");
    let mut server = builder
        .args(&["--timeout", "0", "--graceful-timeout", "600"])
        .start();
    let call = format!("/hold?until={}", gate.display());
    let call = format!("GET {call} HTTP/1.1\r\nHost: test\r\n\r\n");
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| server.client()).collect();
    for client in &mut clients {
        client.send(call.as_bytes()).expect("sent");
    }
    let answered_by = |client: &mut Client| client.answer().expect("an answer").number();
    let ends = server.children()[0];
    ends.signal(Signal::SIGTERM);
    server.log().wait_for("Worker draining");
    fs::write(&gate, "").expect("written");
    let by: BTreeSet<i64> = clients.iter_mut().map(answered_by).collect();
    assert!(by.len() > 1, "all by {by:?}");
    server.signal(Signal::SIGTERM);
    server.wait_for_exit();
}

fn sorted_middle(values: &[usize]) -> usize {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

#[test]
fn a_connection_wakes_one_worker_and_they_take_turns() {
    const WORKERS: usize = 4;
    const CONNECTIONS: usize = 100;
    let server = Server::new("wake-ups")
        .workers(WORKERS)
        .args(&["--threads", "1"])
        .start();
    let workers = server.children();
    wait_until_quiet(&workers);
    let open_before: Vec<_> = workers.iter().map(|it| it.descriptors()).collect();
    let accepted = || {
        let before = workers.iter().zip(&open_before);
        before
            .map(|(worker, before)| worker.descriptors() - before)
            .collect::<Vec<_>>()
    };
    let (woken_before, began) = (wake_ups(&workers), Instant::now());
    let mut clients = Vec::new();
    for count in 1..=CONNECTIONS {
        clients.push(server.client());
        eventually("the connection is accepted", || {
            (accepted().iter().sum::<usize>() == count).then_some(())
        });
    }
    let woken = wake_ups(&workers) - woken_before;
    // The event loop of each worker also turns once per second by itself.
    let by_themselves = WORKERS as u64 * (1 + began.elapsed().as_secs());
    assert!(
        woken <= CONNECTIONS as u64 * 3 / 2 + by_themselves,
        "{woken} wake-ups for {CONNECTIONS} connections"
    );
    let accepted = accepted();
    let fair = CONNECTIONS / WORKERS;
    assert!(accepted.iter().all(|&it| it > fair / 2), "{accepted:?}");
}

// Long enough that the others have come meanwhile, too short for the watchdog.
const GET: &[u8] = b"GET /spin?ms=1 HTTP/1.1\r\nHost: test\r\n\r\n";
const POST: &[u8] = b"POST /spin?ms=1 HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody";

#[test]
fn clients_that_wait_move_to_a_worker_that_has_fewer() {
    waiting_clients_move(GET);
}

#[test]
fn a_request_moves_with_its_body() {
    waiting_clients_move(POST);
}

/// All clients connect while there is one worker. They still spread to the second one.
fn waiting_clients_move(request: &[u8]) {
    const CLIENTS: usize = 8;
    let builder = Server::new("leveling").lab().workers(1);
    let server = builder.args(&["--threads", "1"]).start();
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| server.client()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/pid").expect("an answer").status, 200);
    }
    server.signal(Signal::SIGTTIN);
    server.wait_for_children(2);
    eventually("both workers serve half of the clients", || {
        let mut served = std::collections::BTreeMap::<String, usize>::new();
        for client in &mut clients {
            client.send(request).expect("sent");
        }
        for client in &mut clients {
            let answer = client.answer().expect("an answer");
            *served.entry(answer.text()).or_default() += 1;
        }
        let fewest = served.values().min().copied().unwrap_or_default();
        (served.len() == 2 && fewest >= CLIENTS / 2 - 1).then_some(())
    });
}

/// Each call ends before the watchdog would look, and is too short to wake another thread if it computed. But it
/// sleeps, so the other thread takes the next call meanwhile.
#[test]
fn short_calls_that_wait_do_so_together() {
    const CALL: &[u8] = b"GET /together?us=100 HTTP/1.1\r\nHost: test\r\n\r\n";
    const ROUNDS: usize = 200;
    let server = Server::new("together").lab().workers(1).threads(2).start();
    let mut clients = [server.client(), server.client()];
    eventually("most calls meet another", || {
        let mut met = 0;
        for _ in 0..ROUNDS {
            for client in &mut clients {
                client.send(CALL).expect("sent");
            }
            for client in &mut clients {
                let answer = client.answer().expect("an answer");
                met += usize::from(answer.text() == "2");
            }
        }
        (met > ROUNDS / 2).then_some(())
    });
}

fn wake_ups(workers: &[Process]) -> u64 {
    workers.iter().map(|it| it.voluntary_switches()).sum()
}

/// Waits until everything that the start has begun is over.
fn wait_until_quiet(workers: &[Process]) {
    let mut last = (0, Instant::now());
    eventually("the workers are quiet", || {
        let now = wake_ups(workers);
        if now != last.0 {
            last = (now, Instant::now());
        }
        (last.1.elapsed() > Duration::from_millis(200)).then_some(())
    });
}
