//! Redis stops, hangs, comes back, or is replaced by another.

use std::time::{Duration, Instant};

use redis::cmd;

use super::super::address::RedisAddress;
use super::super::connection::RedisConnection;
use super::super::testing::{Ground, Server, key, until};
use super::super::*;
use crate::store::{Now, testing};

#[test]
fn a_hung_redis_costs_a_few_requests_a_few_milliseconds() {
    let mut ground = Ground::new();
    ServiceSettings::of_mut(&mut ground.settings).redis_timeout = Duration::from_millis(20);
    let process = ground.process();
    let id = ground.add_task();
    process.status(id);
    ground.server.pause();
    let times: Vec<Duration> = (0..200)
        .map(|_| {
            let began = Instant::now();
            assert_eq!(process.status(id), "pending");
            began.elapsed()
        })
        .collect();
    let waited = times.iter().filter(|it| **it >= Duration::from_millis(20));
    assert!(waited.count() <= 10, "{times:?}");
    assert!(
        times[3..].iter().sum::<Duration>() < Duration::from_secs(1),
        "{times:?}"
    );
    assert!(!process.cache.is_up());
    ground.server.resume();
    process.wait_up();
    until("it is remembered", || process.remembers(id));
}

#[test]
fn a_redis_that_dies_is_done_without_and_used_when_it_is_back() {
    let mut ground = Ground::new();
    let process = ground.process();
    let id = ground.add_task();
    assert!(!process.remembers(id) && process.remembers(id));
    ground.server.kill();
    assert!(!process.remembers(id), "the first request that finds out");
    process.wait_down();
    process.cancel(id);
    assert_eq!(process.status(id), "cancelled");
    until("it is told", || process.cache.health.is_down());
    ground.server.start_again();
    process.wait_up();
    until("the end is told", || !process.cache.health.is_down());
    assert!(!process.remembers(id) && process.remembers(id));
    assert_eq!(process.status(id), "cancelled");
}

#[test]
fn an_old_snapshot_brings_nothing_back() {
    let mut ground = Ground::new();
    let (one, two) = (ground.process(), ground.process());
    let id = ground.add_task();
    assert_eq!(one.status(id), "pending");
    let _: String = ground.server.ask(&cmd("SAVE"));
    one.cancel(id);
    assert_eq!(two.status(id), "cancelled");
    ground.server.kill();
    ground.server.start_again();
    let old: Option<String> = ground
        .server
        .ask(cmd("GET").arg(ground.name("oxicorn:run_id")));
    assert!(old.is_some(), "the snapshot was loaded");
    for process in [&two, &one] {
        assert_eq!(process.status(id), "cancelled");
        process.wait_up();
        assert_eq!(process.status(id), "cancelled");
    }
}

#[test]
fn processes_that_find_an_old_snapshot_together_show_nothing_of_it() {
    let ground = Ground::new();
    drop(ground.process());
    for _ in 0..10 {
        let id = ground.add_task();
        ground.bare.cancel_task(id, Now::Store).expect("a change");
        let old = r#"{"status":"pending"}"#;
        let _: () = ground.server.ask(cmd("SET").arg(ground.place(id)).arg(old));
        for number in 0..200 {
            let other = ground.place(1_000_000 + number);
            let _: () = ground.server.ask(cmd("SET").arg(other).arg(old));
        }
        let _: () = ground
            .server
            .ask(cmd("SET").arg(ground.name("oxicorn:run_id")).arg("another"));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let process = ground.begin_process();
                    while !process.cache.is_up() {
                        assert_eq!(process.status(id), "cancelled");
                    }
                    assert_eq!(process.status(id), "cancelled");
                });
            }
        });
    }
}

#[test]
fn forgetting_everything_leaves_announcements() {
    let ground = Ground::new();
    let one = ground.process();
    let (id, old) = (ground.add_task(), ground.add_task());
    one.status(old);
    assert!(one.cache.announce(&[key(id)]));
    let _: i64 = ground
        .server
        .ask(cmd("DEL").arg(ground.name("oxicorn:run_id")));
    let two = ground.process();
    assert!(!two.remembers(old), "forgotten");
    assert!(!two.remembers(id) && !two.remembers(id), "still announced");
}

#[test]
fn a_link_to_another_redis_than_was_checked_is_not_used() {
    let ground = Ground::new();
    let process = ground.process();
    let client = &process.cache.client;
    let places = client.address.resolve().expect("a socket");
    client.breaker.trip();
    process.wait_up();
    assert!(client.breaker.close(&places[0], "another").is_some());
    let id = ground.add_task();
    let old = r#"{"status":"completed"}"#;
    let _: () = ground.server.ask(cmd("SET").arg(ground.place(id)).arg(old));
    assert_eq!(process.status(id), "pending");
}

#[test]
fn a_redis_that_cannot_be_used_says_why_but_no_password() {
    let ground = Ground::over(Server::start(&["--requirepass", "right"]));
    let mut settings = ground.settings.clone();
    let mut why = |url: String| {
        ServiceSettings::of_mut(&mut settings).redis_url = Some(url);
        let address = RedisAddress::of(ServiceSettings::of(&settings))
            .expect("usable")
            .expect("configured");
        let places = address.resolve().expect("a socket");
        let timeout = Duration::from_secs(5);
        let connection = RedisConnection::open(&places[0], &address.login, timeout);
        let error = connection.and_then(|mut connection| connection.run_id());
        error.expect_err("a refusal").to_string()
    };
    let url = ground.server.url();
    assert_eq!(
        why(format!("{url}?pass=wrong")),
        "it refuses the login (WRONGPASS)"
    );
    assert!(why(url.clone()).starts_with("it says NOAUTH"));
    assert!(why(format!("{url}?pass=right&db=99")).starts_with("it says ERR DB index"));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let other = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a client");
        std::io::Write::write_all(&mut client, b"HTTP/1.1 400 Bad Request\r\n\r\n")
    });
    let said = why(format!("redis://127.0.0.1:{port}"));
    assert_eq!(said, "what answers is no Redis");
    other.join().expect("no panic").expect("sent");
    assert!(why(format!("redis://127.0.0.1:{port}")).starts_with("it cannot be reached"));
    // The service works without it.
    let process = ground.begin_process();
    let id = ground.add_task();
    until("it is told", || process.cache.health.is_down());
    assert_eq!(process.status(id), "pending");
}

#[test]
fn an_answer_that_comes_in_drops_is_late() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let slow = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a client");
        let drops = std::iter::once(&b"$1000\r\n"[..]).chain(std::iter::repeat(&b"x"[..]));
        for drop in drops.take(1000) {
            if std::io::Write::write_all(&mut client, drop).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let (_guard, mut settings) = testing::settings();
    ServiceSettings::of_mut(&mut settings).redis_url = Some(format!("redis://127.0.0.1:{port}"));
    let address = RedisAddress::of(ServiceSettings::of(&settings))
        .expect("usable")
        .expect("configured");
    let places = address.resolve().expect("an address");
    let timeout = Duration::from_millis(200);
    let mut connection =
        RedisConnection::open(&places[0], &address.login, timeout).expect("a connection");
    let began = Instant::now();
    let error = connection
        .ask(&key_state::read("task:1"))
        .expect_err("too slow");
    assert_eq!(error.to_string(), "no answer within 200 ms");
    assert!(began.elapsed() < Duration::from_secs(5));
    drop(connection);
    slow.join().expect("no panic");
}
