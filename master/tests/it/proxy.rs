//! Behind real proxies: HAProxy with the PROXY protocol, nginx with forwarded fields.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::harness::{Authority, Client, Load, Mode, Proxy, Server, eventually};

fn behind(server: &Server, flags: &str) -> String {
    format!(
        "frontend f\n mode http\n bind 127.0.0.1:PORT\n default_backend b\n\
         backend b\n mode http\n server s {} {flags}\n",
        server.address()
    )
}

#[test]
fn haproxy_names_its_clients() {
    let server = Server::new("haproxy")
        .lab()
        .workers(2)
        .threads(2)
        .args(&["--proxy-protocol", "auto"])
        .args(&["--access-logfile", "-", "--access-logformat", "%(h)s %(U)s"])
        .start();
    for flags in [
        "send-proxy",
        "send-proxy-v2",
        "send-proxy-v2 check inter 100ms",
    ] {
        let proxy = Proxy::haproxy(&behind(&server, flags));
        let said = eventually("an answer through the proxy", || {
            let answer = proxy.client().get("/origin").ok()?;
            (answer.status == 200).then(|| answer.text())
        });
        assert!(said.contains("proxied true"), "{flags}: {said}");
        assert!(
            said.contains(&format!("local {}", proxy.address)),
            "{flags}: {said}"
        );
        let load = Load::start(proxy.address, 4, Mode::KeepAlive, "/pid");
        load.wait_for_more(200);
        load.stop().assert_perfect();
    }
    server.out().wait_for("127.0.0.1 /origin");
}

#[test]
fn a_reload_under_haproxy_loses_nothing() {
    let server = Server::new("haproxy reload")
        .lab()
        .workers(2)
        .args(&["--proxy-protocol", "v2"])
        .start();
    let proxy = Proxy::haproxy(&behind(&server, "send-proxy-v2"));
    let load = Load::start(proxy.address, 4, Mode::KeepAlive, "/pid");
    for generation in 2..5 {
        let old = server.children();
        load.wait_for_more(100);
        server.signal(Signal::SIGHUP);
        server.wait_for_others(&old, 2);
        let said = proxy.client().get("/generation").expect("an answer");
        assert_eq!(said.number(), generation);
    }
    // A sibling that has taken over a connection still knows the client's address.
    let said = proxy.client().get("/origin").expect("an answer").text();
    assert!(said.contains("proxied true"), "{said}");
    load.wait_for_more(100);
    load.stop().assert_perfect();
}

#[test]
fn a_handed_over_connection_keeps_its_client() {
    let server = Server::new("handed over")
        .lab()
        .args(&["--proxy-protocol", "auto"])
        .start();
    let mut client = server.client();
    client
        .send(b"PROXY TCP6 2001:db8::1 2001:db8::2 5 6\r\n")
        .expect("sent");
    let before = client.get("/origin").expect("an answer").text();
    assert!(before.contains("peer [2001:db8::1]:5\nlocal [2001:db8::2]:6\nproxied true"));
    // Another has sent half of its PROXY header.
    let mut half = server.client();
    half.send(b"PROXY TCP4 192.0.2.1 198.").expect("sent");
    let old = server.children();
    server.signal(Signal::SIGHUP);
    server.wait_for_others(&old, 1);
    assert_eq!(client.get("/generation").expect("an answer").number(), 2);
    assert_eq!(client.get("/origin").expect("an answer").text(), before);
    half.send(b"51.100.7 7 8\r\n").expect("sent");
    let said = half.get("/origin").expect("an answer").text();
    assert!(
        said.contains("peer 192.0.2.1:7\nlocal 198.51.100.7:8\nproxied true"),
        "{said}"
    );
}

#[test]
fn half_a_proxy_header_has_its_time() {
    let server = Server::new("half a header")
        .lab()
        .args(&["--proxy-protocol", "auto", "--header-timeout", "1"])
        .start();
    let mut clients = [
        &b""[..],
        b"PROXY TCP4 ",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c",
    ]
    .map(|part| {
        let mut client = server.client();
        client.send(part).expect("sent");
        client
    });
    let started = std::time::Instant::now();
    for client in &mut clients {
        assert!(client.rest().expect("the end").is_empty());
    }
    let took = started.elapsed();
    assert!(took > Duration::from_millis(800), "{took:?}");
}

#[test]
fn haproxy_speaks_tls_to_us() {
    let directory = TempDir::with_prefix("oxicorn-tls-").expect("a temporary directory");
    let authority = Authority::new(directory.path(), "authority");
    let flags = authority.certify("server").flags();
    let server = Server::new("haproxy over tls")
        .lab()
        .args(&flags.each_ref().map(String::as_str))
        .args(&["--proxy-protocol", "v2"])
        .start();
    let roots = authority.identity.certificate.display();
    let flags = format!("send-proxy-v2 ssl verify required ca-file {roots}");
    let proxy = Proxy::haproxy(&behind(&server, &flags));
    let said = proxy.client().get("/origin").expect("an answer").text();
    assert!(
        said.contains("scheme https") && said.contains("proxied true"),
        "{said}"
    );
    let load = Load::start(proxy.address, 4, Mode::KeepAlive, "/pid");
    load.wait_for_more(200);
    load.stop().assert_perfect();
}

#[test]
fn nginx_tells_of_tls_and_of_where_the_application_is() {
    let directory = TempDir::with_prefix("oxicorn-tls-").expect("a temporary directory");
    let authority = Authority::new(directory.path(), "authority");
    let identity = authority.certify("server");
    let server = Server::new("nginx").lab().bind("unix:app.sock").start();
    let socket = server.dir().join("app.sock");
    let proxy = Proxy::nginx(&site(&socket, &identity.certificate, &identity.key));
    let mut client =
        Client::connect_tls(proxy.address, &authority.client()).expect("the proxy listens");
    let fields = "X-Forwarded-Ssl: on\r\nX_Evil: 1\r\nREMOTE_USER: root\r\n";
    let origin = client
        .request("GET", "/origin", fields, b"")
        .expect("an answer");
    assert_eq!(origin.status, 200, "{origin:?}");
    let said = origin.text();
    assert!(
        said.contains("scheme https") && said.contains("trusted true"),
        "{said}"
    );
    let head = client
        .request("GET", "/head", fields, b"")
        .expect("an answer");
    let said = head.text();
    assert!(said.contains("SCRIPT_NAME=/shop") && said.contains("X-Forwarded-Proto=https"));
    assert!(
        !said.contains("X_Evil") && !said.contains("REMOTE_USER"),
        "{said}"
    );
}

fn site(socket: &Path, certificate: &Path, key: &Path) -> String {
    format!(
        "underscores_in_headers on;\n\
         server {{ listen 127.0.0.1:PORT ssl; ssl_certificate {}; ssl_certificate_key {};\n\
         location / {{ proxy_pass http://unix:{}:; proxy_set_header Host $host;\n\
         proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header SCRIPT_NAME /shop;\n\
         proxy_set_header Connection \"\"; proxy_http_version 1.1; }} }}",
        certificate.display(),
        key.display(),
        socket.display()
    )
}
