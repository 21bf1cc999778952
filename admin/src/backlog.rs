//! How many connections wait at the listeners of the server.
//!
//! The admin process has none of these sockets open: they must be gone when the last worker has closed them, and it ends
//! later. So it looks at the kernel's tables, in which listening sockets come first (`tcp_get_idx` in net/ipv4/tcp_ipv4.c):
//! reading ends before the connections, of which there may be many. sock_diag(7) would tell the same, but units of systemd
//! often forbid its address family. Unix sockets are in no such table.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};

use oxicorn_common::status::ListenerStatus;

/// proc_pid_net(5).
const IPV4: &str = "/proc/net/tcp";
const IPV6: &str = "/proc/net/tcp6";
/// The length of a row. The kernel fills what it is asked for, and would look through its whole table of connections for
/// more rows.
const ROW: usize = 150;
/// The state of a socket that listens (include/net/tcp_states.h).
const LISTEN: &str = "0A";

/// A socket that the workers accept from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicListener {
    /// As the log shows it.
    pub address: String,
    pub inode: u64,
}

/// The listeners with the present length of their queues.
pub(crate) fn read_backlogs(listeners: &[PublicListener]) -> Vec<ListenerStatus> {
    let mut waiting = BTreeMap::new();
    let is_ipv6 = |listener: &PublicListener| listener.address.starts_with('[');
    let tables = [
        (IPV4, listeners.iter().any(|it| !is_ipv6(it))),
        (IPV6, listeners.iter().any(is_ipv6)),
    ];
    for (table, is_wanted) in tables {
        if is_wanted && let Ok(file) = File::open(table) {
            read_table(BufReader::with_capacity(ROW, file), &mut waiting);
        }
    }
    let status = |listener: &PublicListener| ListenerStatus {
        address: listener.address.clone(),
        backlog: waiting.get(&listener.inode).copied(),
    };
    listeners.iter().map(status).collect()
}

/// Notes the queue of each listening socket by its inode.
fn read_table(table: impl BufRead, waiting: &mut BTreeMap<u64, u64>) {
    let rows = table.lines().skip(1).map_while(Result::ok);
    for row in rows {
        // sl  local_address rem_address   st tx_queue:rx_queue tr:tm->when retrnsmt   uid  timeout inode
        let fields: Vec<&str> = row.split_ascii_whitespace().collect();
        let [_, _, _, state, queues, _, _, _, _, inode, ..] = fields[..] else {
            return;
        };
        if state != LISTEN {
            return;
        }
        let queue = queues.split_once(':');
        let queue = queue.and_then(|(_, received)| u64::from_str_radix(received, 16).ok());
        if let (Some(queue), Ok(inode)) = (queue, inode.parse()) {
            waiting.insert(inode, queue);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use nix::sys::stat::fstat;

    use super::*;

    #[test]
    fn connections_that_wait_are_counted() {
        for place in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(place) else {
                continue;
            };
            let inode = fstat(listener.as_fd()).expect("a socket").st_ino;
            let listeners = [PublicListener {
                address: place.to_owned(),
                inode,
            }];
            let address = listener.local_addr().expect("an address");
            let clients = [0; 3].map(|_| TcpStream::connect(address).expect("it listens"));
            let status = read_backlogs(&listeners);
            assert_eq!(status[0].backlog, Some(3), "{place}");
            drop(clients);
        }
    }

    #[test]
    fn reading_ends_before_the_connections() {
        let table = "  sl  local_address rem_address   st\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000002 00:00000000 00000000 0 0 77 1 x\n\
            1: 0100007F:1F90 0100007F:1F91 01 00000000:00000000 00:00000000 00000000 0 0 78 1 x\n\
            2: 0100007F:1F92 00000000:0000 0A 00000000:00000009 00:00000000 00000000 0 0 79 1 x\n";
        let mut waiting = BTreeMap::new();
        read_table(table.as_bytes(), &mut waiting);
        assert_eq!(waiting, BTreeMap::from([(77, 2)]));
    }
}
