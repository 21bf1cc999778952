//! Load shedding: `queue_timeout` and `max_queue`. What would wait too long gets 503 at once, everybody is answered, and
//! all of it is counted.

pub(crate) mod faults;

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Builder, Client, Controller, Server, eventually};

/// Longer than any test takes.
const NEVER: &str = "3600";

fn lab(name: &str) -> Builder {
    let args = ["--timeout", "0", "--access-logfile", "-"];
    Server::new(name).lab().args(&args)
}

fn status(server: &Server) -> Value {
    Controller::of(server).call("status").expect("a status")
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

/// Requests that wait for a thread.
fn queued(status: &Value) -> u64 {
    number(&status["connections"]["queued"])
}

fn refused(status: &Value, reason: &str) -> u64 {
    number(&status["requests"]["refused"][reason])
}

/// Requests that were refused because others were served.
fn overload(status: &Value) -> u64 {
    refused(status, "queue_timeout") + refused(status, "max_queue")
}

/// Waits until so many requests run, and so many wait.
fn wait_until_busy(server: &Server, running: u64, waiting: u64) {
    eventually("requests run and wait", || {
        is_busy(&status(server), running, waiting).then_some(())
    });
}

fn is_busy(status: &Value, running: u64, waiting: u64) -> bool {
    number(&status["requests"]["active"]) == running && queued(status) == waiting
}

/// Requests that end when the gate is opened.
struct Held {
    gate: PathBuf,
    clients: Vec<Client>,
}

impl Held {
    /// Occupies all threads.
    fn all_threads(server: &Server, threads: usize) -> Self {
        Self::by(server, (0..threads).map(|_| server.client()).collect())
    }

    fn by(server: &Server, mut clients: Vec<Client>) -> Self {
        let gate = server.dir().join("gate");
        let target = format!("/hold?until={}", gate.display());
        for (count, client) in clients.iter_mut().enumerate() {
            while !Self::is_held(server, client, &target, count as u64 + 1) {
                assert_eq!(client.answer().expect("an answer").status, 503);
            }
        }
        Self { gate, clients }
    }

    /// Occupies one more thread. On a busy machine one that is free may begin too late for the request.
    fn is_held(server: &Server, client: &mut Client, target: &str, running: u64) -> bool {
        let late = |status: &Value| refused(status, "queue_timeout");
        let before = late(&status(server));
        ask(client, target);
        eventually("a request runs or is refused", || {
            let status = status(server);
            let is_so = is_busy(&status, running, 0);
            (is_so || late(&status) > before).then_some(is_so)
        })
    }

    fn release(mut self) {
        std::fs::write(&self.gate, "").expect("a gate");
        for client in &mut self.clients {
            assert_eq!(client.answer().expect("an answer").status, 200);
        }
    }
}

fn ask(client: &mut Client, target: &str) {
    let request = format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n");
    client.send(request.as_bytes()).expect("sent");
}

/// On a busy machine a thread that is free may begin late.
fn wait_until_served(client: &mut Client) {
    eventually("a request is served", || {
        let answer = client.get("/pid").expect("an answer");
        (answer.status == 200).then_some(())
    });
}

/// The answer is a refusal, after which the connection stays.
fn assert_refused(client: &mut Client) {
    let answer = client.answer().expect("an answer");
    assert_eq!(
        (answer.status, &*answer.text()),
        (503, "503 Service Unavailable\n")
    );
    let retry_after = answer.field("Retry-After").and_then(|it| it.parse().ok());
    assert!(
        retry_after.is_some_and(|it: u64| (1..=60).contains(&it)),
        "{answer:?}"
    );
    assert!(!answer.closes(), "{answer:?}");
}

#[test]
fn no_more_than_max_queue_wait_in_all_workers_together() {
    for (workers, threads) in [(1, 1), (1, 2), (2, 1)] {
        let builder = lab("max_queue").workers(workers).threads(threads);
        let server = builder
            .args(&["--max-queue", "2", "--health-path", "/health"])
            .start();
        let all = workers * threads;
        let held = Held::all_threads(&server, all);
        let mut waiting = [server.client(), server.client()];
        for (count, client) in waiting.iter_mut().enumerate() {
            ask(client, "/pid?waits");
            wait_until_busy(&server, all as u64, count as u64 + 1);
        }
        let mut late: Vec<Client> = (0..4).map(|_| server.client()).collect();
        for client in &mut late {
            ask(client, "/pid?refused");
            assert_refused(client);
            assert_eq!(client.get("/health").expect("an answer").status, 200);
            // With a body, which is read before.
            for fields in ["", "Expect: 100-continue\r\n"] {
                let answer = client.request("POST", "/pid?refused", fields, b"body");
                assert_eq!(answer.expect("an answer").status, 503);
            }
        }
        wait_until_busy(&server, all as u64, 2);
        held.release();
        for client in &mut waiting {
            assert_eq!(client.answer().expect("an answer").status, 200);
        }
        // The queue is empty: there is room for those that come now, one after the other.
        for client in waiting.iter_mut().chain(&mut late) {
            let answer = client.get("/pid?served").expect("an answer");
            assert_eq!(answer.status, 200);
        }
        let status = status(&server);
        assert_eq!(refused(&status, "max_queue"), 12);
        assert_eq!(refused(&status, "queue_timeout"), 0);
        eventually("all are in the access log", || {
            let is_so = server.out().count("/pid?refused HTTP/1.1\" 503 ") == 12;
            is_so.then_some(())
        });
        server.log().wait_for("Overloaded: ");
    }
}

/// Rate limits count what a client sends: one that is refused and comes back at once uses up its share.
#[test]
fn a_request_that_is_refused_has_used_its_rate_limit() {
    let late = ["--queue-timeout", "1"];
    for (flags, waiting) in [(&["--max-queue", "1"], 1), (&late, 0)] {
        let builder = lab("counted").args(flags);
        let rules = "api 1/h burst=3 path=/pid\n";
        std::fs::write(builder.dir().join("limits.conf"), rules).expect("written");
        let server = builder.args(&["--rate-limits", "limits.conf"]).start();
        let held = Held::all_threads(&server, 1);
        let mut clients: Vec<Client> = (0..waiting).map(|_| server.client()).collect();
        for client in &mut clients {
            ask(client, "/pid?waits");
            wait_until_busy(&server, 1, 1);
        }
        let before = overload(&status(&server));
        let mut client = server.client();
        for _ in waiting..3 {
            ask(&mut client, "/pid");
            assert_refused(&mut client);
        }
        let answer = client.get("/pid").expect("an answer");
        assert_eq!(answer.status, 429, "{flags:?}");
        // One that the limit refuses is not counted as overload.
        let status = status(&server);
        let late = overload(&status) - before;
        assert_eq!((late, refused(&status, "rate_limit")), (3 - waiting, 1));
        held.release();
        for client in &mut clients {
            assert_eq!(client.answer().expect("an answer").status, 200);
        }
    }
}

#[test]
fn pipelined_requests_are_refused_one_by_one() {
    let server = lab("pipelined")
        .args(&["--max-queue", "1", "--health-path", "/health"])
        .start();
    let held = Held::all_threads(&server, 1);
    let mut waiting = server.client();
    ask(&mut waiting, "/pid");
    wait_until_busy(&server, 1, 1);
    let mut client = server.client();
    let one = "GET /pid HTTP/1.1\r\nHost: test\r\n\r\n";
    let post = "POST /pid HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nab";
    let check = "GET /health HTTP/1.1\r\nHost: test\r\n\r\n";
    client
        .send([one, post, check, one].concat().as_bytes())
        .expect("sent");
    assert_refused(&mut client);
    assert_refused(&mut client);
    assert_eq!(client.answer().expect("an answer").status, 200);
    assert_refused(&mut client);
    let close = "GET /pid HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    client.send(close.as_bytes()).expect("sent");
    let answer = client.answer().expect("an answer");
    assert!(answer.status == 503 && answer.closes(), "{answer:?}");
    held.release();
    assert_eq!(waiting.answer().expect("an answer").status, 200);
}

/// The event loop finds them, in the queue of the worker and in that of all workers.
#[test]
fn a_request_that_has_waited_too_long_is_refused_while_all_threads_are_busy() {
    for workers in [1, 2] {
        let builder = lab("late").workers(workers).args(&LATE);
        late_requests_are_refused(&builder.start(), workers, Server::client);
    }
}

pub(super) const LATE: [&str; 2] = ["--queue-timeout", "0.3"];

/// The server has so many threads in all, and an access log on its output.
pub(super) fn late_requests_are_refused(
    server: &Server,
    threads: usize,
    connect: impl Fn(&Server) -> Client,
) {
    let held = Held::by(server, (0..threads).map(|_| connect(server)).collect());
    let mut clients: Vec<Client> = (0..6).map(|_| connect(server)).collect();
    let before = refused(&status(server), "queue_timeout");
    for round in 1..=3 {
        for client in &mut clients {
            ask(client, "/pid?late");
        }
        for client in &mut clients {
            assert_refused(client);
        }
        let late = refused(&status(server), "queue_timeout") - before;
        assert_eq!(late, 6 * round);
    }
    held.release();
    for client in &mut clients {
        wait_until_served(client);
    }
    assert_eq!(server.out().count("/pid?late HTTP/1.1\" 200 "), 0);
}

/// Each takes 100 ms, and there are many more than can be served within the time: most are refused at
/// once.
#[test]
fn a_request_that_is_going_to_wait_too_long_is_refused_at_once() {
    const CLIENTS: usize = 600;
    for workers in [1, 2] {
        let builder = lab("forecast").workers(workers);
        let server = builder
            .args(&["--queue-timeout", "10", "--access-logformat", "%(s)s %(L)s"])
            .start();
        // How long requests take has to be known before all threads are held.
        for _ in 0..2 {
            let clients = 0..12 * workers;
            let mut clients: Vec<Client> = clients.map(|_| server.client()).collect();
            clients.iter_mut().for_each(|it| ask(it, "/sleep?ms=100"));
            for client in &mut clients {
                assert_eq!(client.answer().expect("an answer").status, 200);
            }
        }
        let held = Held::all_threads(&server, workers);
        let mut clients: Vec<Client> = (0..CLIENTS).map(|_| server.client()).collect();
        clients.iter_mut().for_each(|it| ask(it, "/pid"));
        // Those that have waited in vain take ten seconds.
        let at_once = || {
            let lines = server.out().lines();
            let lines = lines.iter().filter_map(|line| line.strip_prefix("503 "));
            let seconds = lines.map(|it| it.parse::<f64>().expect("a time"));
            seconds.filter(|&it| it < 5.0).count()
        };
        eventually("they are refused at once", || {
            (at_once() >= 50).then_some(())
        });
        held.release();
        let mut counts = [0, 0];
        for client in &mut clients {
            match client.answer().expect("an answer").status {
                200 => counts[0] += 1,
                503 => counts[1] += 1,
                other => panic!("{other}"),
            }
        }
        assert_eq!(refused(&status(&server), "queue_timeout"), counts[1]);
        // Nothing is remembered against those who come later.
        assert_eq!(server.get("/pid").status, 200);
    }
}

/// Far more load than the threads can serve: everybody is answered, what is refused is counted, and afterwards all is
/// as before.
#[test]
fn an_overload_is_survived_and_counted() {
    for (workers, threads) in [(1, 1), (2, 2)] {
        let builder = lab("overload").workers(workers).threads(threads);
        let server = builder
            .args(&["--queue-timeout", "0.1", "--max-queue", "20"])
            .start();
        // The start has asked, too.
        let before = overload(&status(&server));
        let counts: Vec<[u64; 2]> = thread::scope(|scope| {
            let client = || {
                let mut client = server.client();
                let mut counts = [0, 0];
                // Each is served a few times.
                while counts[0] < 5 {
                    match client.get("/sleep?ms=20").expect("an answer").status {
                        200 => counts[0] += 1,
                        503 => {
                            counts[1] += 1;
                            thread::sleep(Duration::from_millis(20));
                        }
                        other => panic!("{other}"),
                    }
                }
                counts
            };
            let clients: Vec<_> = (0..40).map(|_| scope.spawn(client)).collect();
            clients
                .into_iter()
                .map(|it| it.join().expect("a client"))
                .collect()
        });
        let sum = |index: usize| counts.iter().map(|it| it[index]).sum::<u64>();
        assert!(sum(1) > 0, "{counts:?}");
        eventually("all refusals are counted", || {
            let status = status(&server);
            (overload(&status) == before + sum(1) && queued(&status) == 0).then_some(())
        });
        wait_until_served(&mut server.client());
    }
}
