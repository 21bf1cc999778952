//! Rate limits. Rules here are per hour, and few per hour, so that nothing becomes free while a test runs, and tests count instead
//! of looking at the clock.

mod attacks;
mod connections;
mod fields;
mod files;
mod redis;
mod shared;

use std::fs;
use std::io;
use std::net::SocketAddr;

use crate::harness::{Answer, Builder, Client, Server};

/// A server with these rules.
fn limited(name: &str, rules: &str) -> Builder {
    let builder = Server::new(name);
    write_rules(&builder, rules);
    builder.args(&["--rate-limits", "limits.conf"])
}

fn write_rules(builder: &Builder, rules: &str) {
    fs::write(builder.dir().join("limits.conf"), rules).expect("written");
}

/// One GET over a connection of its own, with these fields besides `Host`.
fn ask(address: SocketAddr, target: &str, fields: &str) -> io::Result<Answer> {
    let mut client = Client::connect(address)?;
    let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n");
    client.send(head.as_bytes())?;
    client.answer()
}

fn status(server: &Server, target: &str, fields: &str) -> u16 {
    ask(server.address(), target, fields).expect(target).status
}

/// How many of `count` requests pass.
fn passed(server: &Server, count: usize, target: &str, fields: &str) -> usize {
    let statuses = (0..count).map(|_| status(server, target, fields));
    statuses.filter(|&it| it != 429).count()
}

/// Uses up the burst of 3 of a rule.
fn use_up(server: &Server, target: &str, fields: &str) {
    assert_eq!(passed(server, 5, target, fields), 3, "{target} {fields}");
}
