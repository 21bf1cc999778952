//! One limit for all workers, whatever happens to them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use nix::sys::signal::Signal;

use super::{ask, limited, passed, status, use_up};
use crate::harness::{Client, Load, Mode, eventually};

#[test]
fn all_workers_count_together_and_say_so_everywhere() {
    let server = limited("shared", "api 4/h burst=3 path=/api\n")
        .workers(3)
        .admin()
        .args(&[
            "--access-logfile",
            "-",
            "--access-logformat",
            "%(m)s %(U)s %(s)s",
        ])
        .start_with_unknown_workers();
    let first = ask(server.address(), "/api", "").expect("an answer");
    assert_eq!(first.status, 200);
    assert_eq!(first.field("RateLimit-Policy"), Some("\"api\";q=3;w=2700"));
    assert_eq!(first.field("RateLimit"), Some("\"api\";r=2;t=1800"));
    assert_eq!(passed(&server, 9, "/api/x", ""), 2);
    let refused = ask(server.address(), "/api", "").expect("an answer");
    assert_eq!(refused.status, 429);
    let wait: u64 = refused
        .field("Retry-After")
        .expect("a time")
        .parse()
        .expect("a number");
    assert!((1..=900).contains(&wait), "{wait}");
    assert_eq!(
        refused.field("RateLimit"),
        Some(format!("\"api\";r=0;t={wait}").as_str())
    );
    assert_eq!(
        refused.field("RateLimit-Policy"),
        Some("\"api\";q=3;w=2700")
    );
    assert_eq!(
        refused.field("Content-Type"),
        Some("application/problem+json")
    );
    assert!(
        refused.text().contains(r#""violated-policies":["api"]"#),
        "{}",
        refused.text()
    );
    let other = ask(server.address(), "/apis", "").expect("an answer");
    assert_eq!((other.status, other.field("RateLimit")), (200, None));
    // 8 refusals: in the metrics, in the access log, and in one line of the other.
    let figures = eventually("all responses are counted", || {
        let figures = server.exposition();
        let is_all = figures.value(r#"oxicorn_requests_total{method="GET",code="429"}"#) == 8.0;
        is_all.then_some(figures)
    });
    let counts = [
        r#"oxicorn_rate_limited_total{rule="api"}"#,
        r#"oxicorn_requests_refused_total{reason="rate_limit"}"#,
    ];
    assert_eq!(figures.values(counts), [8.0, 8.0]);
    server.out().wait_for_nth("GET /api/x 429", 7);
    server.out().wait_for("GET /api 429");
    server.log().wait_for("Rate limit api: refused 1 request");
    assert!(server.log().count("Rate limit api") < 8);
}

/// Many clients at once, and workers that are killed in the middle: never more than the burst passes.
#[test]
fn killed_workers_give_nobody_more() {
    const BURST: usize = 400;
    let mut server = limited("killed", "api 1/h burst=400 keys=8 path=/api\n")
        .workers(3)
        .threads(2)
        .start();
    server.tolerate("SIGKILL");
    server.tolerate("was sent");
    let address = server.address();
    let (passes, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let lost = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let Ok(mut client) = Client::connect(address) else {
                        continue;
                    };
                    loop {
                        match client.get("/api") {
                            Ok(answer) if answer.status == 200 => note(&passes),
                            Ok(answer) => assert_eq!(answer.status, 429),
                            // It may have been counted, and was not answered.
                            Err(_) => {
                                lost.fetch_add(1, Ordering::Relaxed);
                                break;
                            }
                        }
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                    }
                }
            });
        }
        for round in 1..=4 {
            eventually("requests pass", || {
                (passes.load(Ordering::Relaxed) >= round * 40).then_some(())
            });
            let victim = server.children()[0];
            victim.signal(Signal::SIGKILL);
            server.wait_for_others(&[victim], 3);
        }
        eventually("the burst is used up", || {
            let status = status(&server, "/api", "");
            if status == 200 {
                note(&passes);
            }
            (status == 429).then_some(())
        });
        stop.store(true, Ordering::Relaxed);
    });
    let (passes, lost) = (passes.into_inner(), lost.into_inner());
    assert!(passes <= BURST, "{passes}");
    assert!(passes + lost >= BURST, "{passes} answered, {lost} lost");
    assert_eq!(passed(&server, 20, "/api", ""), 0);
}

/// A flood of requests that are refused does not keep the others from being served.
#[test]
fn refused_requests_starve_nobody() {
    let server = limited("flood", "api 1/h path=/api\n")
        .workers(2)
        .threads(2)
        .start();
    use_up_one(&server);
    let flood = Flood::start(server.address(), 8);
    let load = Load::start(server.address(), 2, Mode::KeepAlive, "/");
    load.wait_for_more(500);
    flood.wait_for_more(500);
    load.wait_for_more(500);
    load.stop().assert_perfect();
    flood.stop();
}

fn use_up_one(server: &crate::harness::Server) {
    assert_eq!(passed(server, 2, "/api", ""), 1);
}

/// Clients that pipeline requests, all of which are refused.
struct Flood {
    stop: std::sync::Arc<AtomicBool>,
    refused: std::sync::Arc<AtomicUsize>,
    clients: Vec<thread::JoinHandle<()>>,
}

impl Flood {
    fn start(address: std::net::SocketAddr, clients: usize) -> Self {
        let stop = std::sync::Arc::new(AtomicBool::new(false));
        let refused = std::sync::Arc::new(AtomicUsize::new(0));
        let client = |_| {
            let (stop, refused) = (stop.clone(), refused.clone());
            thread::spawn(move || {
                let mut client = Client::connect(address).expect("a connection");
                let batch = "GET /api HTTP/1.1\r\nHost: a\r\n\r\n".repeat(20);
                while !stop.load(Ordering::Relaxed) {
                    client.send(batch.as_bytes()).expect("sent");
                    for _ in 0..20 {
                        assert_eq!(client.answer().expect("an answer").status, 429);
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        };
        let clients = (0..clients).map(client).collect();
        Self {
            stop,
            refused,
            clients,
        }
    }

    fn wait_for_more(&self, count: usize) {
        let goal = self.refused.load(Ordering::Relaxed) + count;
        eventually("refusals", || {
            (self.refused.load(Ordering::Relaxed) >= goal).then_some(())
        });
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().expect("only refusals");
        }
    }
}

#[test]
fn all_rules_that_fit_apply_and_a_refused_request_costs_nothing() {
    let rules =
        "all 1/h burst=6 by=server path=/a\nkey 1/h burst=3 by=header:X-Key path=/a fields=never\n";
    let server = limited("several", rules).workers(2).start();
    use_up(&server, "/a", "X-Key: one\r\n");
    // What the second rule has refused is not taken from the first.
    assert_eq!(passed(&server, 9, "/a", "X-Key: two\r\n"), 3);
    let refused = ask(server.address(), "/a", "X-Key: three\r\n").expect("an answer");
    assert_eq!(refused.status, 429);
    assert!(
        refused
            .field("RateLimit")
            .is_some_and(|it| it.starts_with("\"all\";r=0;t="))
    );
    let hidden = ask(server.address(), "/a", "X-Key: one\r\n").expect("an answer");
    assert!(hidden.field("Retry-After").is_some());
}

fn note(count: &AtomicUsize) {
    count.fetch_add(1, Ordering::Relaxed);
}
