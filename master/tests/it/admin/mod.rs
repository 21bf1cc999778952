//! The admin process: it answers whatever the workers do, to those who may ask, and the workers do not notice it.

mod access;
mod counts;
mod figures;
mod lifecycle;
mod restarts;
mod sockets;
mod upgrades;

use std::io;
use std::net::SocketAddr;

use crate::harness::{Answer, Builder, Client, Process, Server, eventually};

/// What precedes its addresses in the log.
const LISTENS: &str = "Admin process listens at: ";

/// A server with an admin process on a free port.
fn server(name: &str) -> Builder {
    Server::new(name).args(&["--admin-bind", "127.0.0.1:0"])
}

/// The address of the admin process, after it was logged `times` times.
pub(crate) fn address(server: &Server, times: usize) -> SocketAddr {
    let line = server.log().wait_for_nth(LISTENS, times);
    let place = line.split(LISTENS).nth(1).expect("what was waited for");
    let (_, place) = place.split_once("://").expect("a TCP address first");
    let place = place.split(',').next().expect("at least one");
    place.parse().expect("an address")
}

/// One GET with these fields besides `Host`.
fn ask(address: SocketAddr, target: &str, fields: &str) -> io::Result<Answer> {
    let mut client = Client::connect(address)?;
    let head = format!("GET {target} HTTP/1.1\r\nHost: {address}\r\n{fields}\r\n");
    client.send(head.as_bytes())?;
    client.answer()
}

pub(crate) fn get(address: SocketAddr, target: &str) -> Answer {
    ask(address, target, "").unwrap_or_else(|error| panic!("GET {target}: {error}"))
}

/// The admin processes of a master, by their title.
fn processes(master: Process) -> Vec<Process> {
    let mut children = master.children();
    children.retain(|it| it.command_line().contains("oxicorn: admin"));
    children
}

/// The one admin process that there is in the end.
fn the_process(server: &Server) -> Process {
    eventually(
        "one admin process",
        || match processes(server.master())[..] {
            [one] => Some(one),
            _ => None,
        },
    )
}
