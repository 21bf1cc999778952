//! Clients that try to get more than their share.

use super::{limited, passed, status, use_up};
use crate::harness::{Client, Server};

#[test]
fn no_spelling_of_a_path_gets_more() {
    let server = limited("paths", "api 1/h burst=3 path=/api method=GET,POST\n")
        .workers(2)
        .start();
    use_up(&server, "/api", "");
    for target in [
        "/api/",
        "//api",
        "/api//x",
        "/%61pi",
        "/%2Fapi",
        "/API",
        "/x/../api",
        "/x/%2e%2e/api",
        "/./api",
        "/api/../x",
        "/api?x=1",
        "/api/%2e%2e/other",
        "http://a/api",
        "http://a/%61pi/x",
        "http://a//api",
    ] {
        assert_eq!(status(&server, target, ""), 429, "{target}");
    }
    for target in ["/", "/apis", "/ap", "http://a/", "/x/api"] {
        assert_eq!(status(&server, target, ""), 200, "{target}");
    }
    let mut client = server.client();
    // HEAD does the work of GET; other methods are not in the rule.
    client
        .send(b"HEAD /api HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("sent");
    assert_eq!(client.answer_to("HEAD").expect("an answer").status, 429);
    assert_eq!(
        client
            .request("PUT", "/api", "", b"")
            .expect("an answer")
            .status,
        200
    );
}

#[test]
fn a_mounted_application_is_limited_by_the_path_that_it_sees() {
    let server = limited("mounted", "api 1/h burst=3 path=/api\n")
        .args(&["--root-path", "/shop"])
        .start();
    use_up(&server, "/shop/api", "");
    for target in ["/api", "/shop/api/x", "/shop//%61pi", "/SHOP/x/../api"] {
        assert_eq!(status(&server, target, ""), 429, "{target}");
    }
    assert_eq!(status(&server, "/x/api", "SCRIPT_NAME: /x\r\n"), 429);
    assert_eq!(status(&server, "/x/api", ""), 200);
}

#[test]
fn a_field_with_an_underscore_is_the_same_field_where_it_comes_through() {
    let server = limited(
        "underscore",
        "key 1/h burst=3 by=header:X-Api-Key path=/api\n",
    )
    .args(&["--header-map", "dangerous"])
    .start();
    use_up(&server, "/api", "X_Api_Key: one\r\n");
    assert_eq!(status(&server, "/api", "X-Api-Key: one\r\n"), 429);
}

#[test]
fn a_forged_chain_of_proxies_makes_no_new_client() {
    let server = limited("chain", "api 1/h burst=3 path=/api\n").start();
    // This client is one of forwarded_allow_ips: it stands for a proxy, which adds the last address.
    use_up(&server, "/api", "X-Forwarded-For: 203.0.113.7\r\n");
    for forged in [
        "192.0.2.1, 203.0.113.7",
        "192.0.2.2,192.0.2.3, ::ffff:203.0.113.7",
        "unknown, 203.0.113.7:99",
        "127.0.0.1, 203.0.113.7, 127.0.0.1",
    ] {
        let field = format!("X-Forwarded-For: {forged}\r\n");
        assert_eq!(status(&server, "/api", &field), 429, "{forged}");
    }
    assert_eq!(
        status(
            &server,
            "/api",
            "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 203.0.113.7\r\n"
        ),
        429
    );
    use_up(&server, "/api", "X-Forwarded-For: 2001:db8:1:2::1\r\n");
    assert_eq!(
        status(&server, "/api", "X-Forwarded-For: 2001:db8:1:2:ffff::9\r\n"),
        429
    );
    use_up(&server, "/api", "X-Forwarded-For: 2001:db8:1:3::1\r\n");
    use_up(&server, "/api", "");

    // And here nobody is believed.
    let server = limited("no chain", "api 1/h burst=3 path=/api\n")
        .args(&["--forwarded-allow-ips", ""])
        .start();
    use_up(&server, "/api", "X-Forwarded-For: 203.0.113.7\r\n");
    assert_eq!(
        status(&server, "/api", "X-Forwarded-For: 192.0.2.1\r\n"),
        429
    );
}

#[test]
fn the_proxy_protocol_names_the_client() {
    let server = limited("preface", "api 1/h burst=3 path=/api\n")
        .args(&["--proxy-protocol", "v1"])
        .start();
    let ask = |address: &str| {
        let mut client = Client::connect(server.address()).expect("a connection");
        let head = format!(
            "PROXY TCP4 {address} 10.0.0.1 1 2\r\nGET /api HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.{address}\r\n\r\n"
        );
        client.send(head.as_bytes()).expect("sent");
        client.answer().expect("an answer").status
    };
    let of_one: Vec<u16> = (0..4).map(|_| ask("203.0.113.7")).collect();
    assert_eq!(of_one, [200, 200, 200, 429]);
    assert_eq!(ask("203.0.113.8"), 200);
}

#[test]
fn local_clients_share_a_bucket_unless_a_proxy_names_them() {
    let builder = limited("unix", "api 1/h burst=3 path=/api\n")
        .bind("unix:app.sock")
        .workers(2);
    let server = builder.start();
    let path = server.dir().join("app.sock");
    let ask = |fields: &str| {
        let mut client = Client::connect_unix(&path).expect("a connection");
        client
            .send(format!("GET /api HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes())
            .expect("sent");
        client.answer().expect("an answer").status
    };
    let shared: Vec<u16> = (0..4).map(|_| ask("")).collect();
    assert_eq!(shared, [200, 200, 200, 429]);
    let named: Vec<u16> = (0..4)
        .map(|_| ask("X-Forwarded-For: 9.9.9.9, 192.0.2.1\r\n"))
        .collect();
    assert_eq!(named, [200, 200, 200, 429]);
}

#[test]
fn a_field_that_is_repeated_is_counted_under_each_value() {
    let server = limited("fields", "key 1/h burst=3 by=header:X-Api-Key path=/api\n")
        .workers(2)
        .start();
    use_up(&server, "/api", "X-Api-Key: one\r\n");
    use_up(&server, "/api", "x-api-key: two\r\n");
    for evasion in [
        "X-Api-Key: new\r\nX-Api-Key: one\r\n",
        "X-API-KEY: one\r\nX-Api-Key: newer\r\n",
        "X-Api-Key:\r\nX-Api-Key:   one  \r\n",
    ] {
        assert_eq!(status(&server, "/api", evasion), 429, "{evasion}");
    }
    assert_eq!(status(&server, "/api", "X-Api-Key: new\r\n"), 200);
    // Who shows no key is not counted here: another rule has to.
    assert_eq!(passed(&server, 6, "/api", ""), 6);
}

#[test]
fn allowed_clients_and_health_checks_are_not_counted() {
    let rules = "allow 203.0.113.0/24\nall 1/h burst=3 by=server\n";
    let builder = limited("allowed", rules).args(&["--health-path", "/health"]);
    let server: Server = builder.workers(2).start();
    assert_eq!(
        passed(&server, 6, "/", "X-Forwarded-For: 203.0.113.7\r\n"),
        6
    );
    assert_eq!(passed(&server, 6, "/health", ""), 6);
    // The start of the test has asked, too.
    assert!(
        passed(
            &server,
            6,
            "/",
            "X-Forwarded-For: 203.0.113.7, 192.0.2.1\r\n"
        ) <= 2
    );
    assert_eq!(
        passed(&server, 6, "/", "X-Forwarded-For: 203.0.113.7\r\n"),
        6
    );
    assert_eq!(passed(&server, 6, "/health", ""), 6);
}
