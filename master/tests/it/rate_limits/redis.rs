//! One limit for several servers, in a real Redis, which goes away in every way.

use nix::sys::signal::Signal;

use super::{ask, limited, passed, status, use_up};
use crate::harness::{Keyspace, Load, Mode, OwnRedis, Server, Services, eventually};

type Step = fn(&mut OwnRedis);

const AWAY: &str = "cannot count in Redis";
const BACK: &str = "All servers count together";
/// More than any test sends.
const PLENTY: &str = "api 10000/h burst=100000 path=/api\n";

/// A server beside a Redis of its own.
fn with_redis(name: &str, rules: &str, timeout: &str) -> (Server, OwnRedis) {
    let builder = limited(name, rules).workers(2).threads(2);
    let redis = OwnRedis::start(builder.dir());
    (
        builder
            .args(&[
                "--rate-limit-redis",
                &redis.url(),
                "--rate-limit-redis-timeout",
                timeout,
            ])
            .start(),
        redis,
    )
}

#[test]
fn two_servers_share_a_limit() {
    let keyspace = Keyspace::new(Services::shared());
    let rules = "api 4/h burst=6 path=/api\nkey 4/h burst=3 by=header:X-Key path=/key\nall 4/h burst=3 by=server path=/all\n";
    let start = |name| {
        let builder = limited(name, rules).workers(2).threads(2).admin();
        builder
            .args(&[
                "--rate-limit-redis",
                &keyspace.url(),
                "--rate-limit-redis-timeout",
                "30",
            ])
            .start_with_unknown_workers()
    };
    let (one, two) = (start("one of two"), start("two of two"));
    let first = ask(one.address(), "/api", "").expect("an answer");
    assert_eq!(
        (first.status, first.field("RateLimit")),
        (200, Some("\"api\";r=5;t=4500"))
    );
    let second = ask(two.address(), "/api", "").expect("an answer");
    assert_eq!(second.field("RateLimit"), Some("\"api\";r=4;t=3600"));
    assert_eq!(passed(&one, 3, "/api", ""), 3);
    assert_eq!(passed(&two, 5, "/api", ""), 1);
    let refused = ask(one.address(), "/api", "").expect("an answer");
    assert_eq!(refused.status, 429);
    assert!(refused.field("Retry-After").is_some() && refused.text().contains("[\"api\"]"));
    assert!(
        refused
            .field("RateLimit")
            .is_some_and(|it| it.starts_with("\"api\";r=0;t="))
    );
    // Both have let fewer pass than the burst, and refuse by themselves now, without Redis.
    keyspace.ask(&["FLUSHDB"]);
    assert_eq!(
        (status(&one, "/api", ""), status(&two, "/api", "")),
        (429, 429)
    );
    assert_eq!(keyspace.keys("oxicorn:limit:api:*"), Vec::<String>::new());

    use_up(&one, "/key", "X-Key: my-secret\r\n");
    assert_eq!(status(&two, "/key", "X-Key: my-secret\r\n"), 429);
    assert_eq!(status(&two, "/key", "X-Key: another\r\n"), 200);
    // Two buckets of one rule, which is named once.
    let several = ask(one.address(), "/key", "X-Key: a\r\nX-Key: b\r\n").expect("an answer");
    assert_eq!(several.field("RateLimit"), Some("\"key\";r=2;t=1800"));
    use_up(&two, "/all", "X-Forwarded-For: 192.0.2.1\r\n");
    assert_eq!(status(&one, "/all", "X-Forwarded-For: 192.0.2.2\r\n"), 429);
    let keys = keyspace.keys("*");
    assert!(
        keys.iter().any(|it| it.starts_with("oxicorn:limit:key:")),
        "{keys:?}"
    );
    assert!(!keys.iter().any(|it| it.contains("secret")), "{keys:?}");
    // Nothing stays behind.
    for key in keys.iter().filter(|it| it.starts_with("oxicorn:")) {
        assert!(
            (1..=6 * 900_000).contains(&keyspace.time_left_ms(key)),
            "{key}"
        );
    }
    let refusals = [&one, &two].map(|it| {
        it.exposition()
            .value(r#"oxicorn_requests_refused_total{reason="rate_limit"}"#)
    });
    assert_eq!(refusals, [5.0, 8.0]);
}

/// Killed, stopped, slow: requests go on, each server counts alone, and the log says so once.
#[test]
fn an_outage_costs_nothing_but_the_common_count() {
    let (server, mut redis) = with_redis(
        "outage",
        "api 10000/h burst=100000 path=/api\nfew 1/h burst=3 path=/few\n",
        "2",
    );
    assert!(redis_counts(&redis, &server, 12));
    let outages: [(&str, Step, Step); 3] = [
        ("killed", OwnRedis::kill, OwnRedis::start_again),
        (
            "stopped",
            |it| it.signal(Signal::SIGSTOP),
            |it| it.signal(Signal::SIGCONT),
        ),
        (
            "slow",
            |it| drop(it.ask(&["CLIENT", "PAUSE", "600000", "WRITE"])),
            |it| drop(it.ask(&["CLIENT", "UNPAUSE"])),
        ),
    ];
    for (index, (name, begin, end)) in outages.into_iter().enumerate() {
        begin(&mut redis);
        eventually(name, || {
            assert_eq!(status(&server, "/api", ""), 200, "{name}");
            (server.log().count(AWAY) == index + 1).then_some(())
        });
        assert_eq!(passed(&server, 12, "/api", ""), 12, "{name}");
        end(&mut redis);
        server.log().wait_for_nth(BACK, index + 1);
        assert!(redis_counts(&redis, &server, 12), "{name}");
        assert_eq!(
            (server.log().count(AWAY), server.log().count(BACK)),
            (index + 1, index + 1),
            "{name}"
        );
    }
    redis.kill();
    // Alone it still has its own limit.
    use_up(&server, "/few", "");
}

/// Whether the next requests are counted in Redis.
fn redis_counts(redis: &OwnRedis, server: &Server, requests: usize) -> bool {
    let count = || redis.calls("evalsha") + redis.calls("eval");
    let before = count();
    assert_eq!(passed(server, requests, "/api", ""), requests);
    count() >= before + requests
}

/// What operators do to a Redis that works: nothing is lost, and nothing is logged.
#[test]
fn a_redis_that_forgets_is_no_outage() {
    let (server, redis) = with_redis("forgetful", PLENTY, "30");
    let load = Load::start_limited(server.address(), 2, Mode::KeepAlive, "/api", 200);
    load.wait_for_more(50);
    for words in [
        &["SCRIPT", "FLUSH"][..],
        &["FLUSHALL"],
        &["CLIENT", "KILL", "TYPE", "normal"],
        &["CONFIG", "SET", "timeout", "1"],
    ] {
        redis.ask(words);
        assert!(redis_counts(&redis, &server, 12), "{words:?}");
    }
    load.stop().assert_perfect();
    assert_eq!(server.log().count(AWAY), 0);
}

#[test]
fn a_redis_that_refuses_is_named_with_what_it_says() {
    let (server, redis) = with_redis("refusing", PLENTY, "30");
    redis.ask(&["CONFIG", "SET", "requirepass", "open"]);
    redis.ask(&["-a", "open", "CLIENT", "KILL", "TYPE", "normal"]);
    eventually("the refusal", || {
        assert_eq!(status(&server, "/api", ""), 200);
        (server.log().count(AWAY) == 1).then_some(())
    });
    server.log().wait_for("it says: NOAUTH");
    assert_eq!(server.log().count(AWAY), 1);
    redis.ask(&["-a", "open", "CONFIG", "SET", "requirepass", ""]);
    server.log().wait_for(BACK);
}
