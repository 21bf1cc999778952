//! Stops TCP handshakes at a listener before the last worker closes it. Otherwise connections would wait in a backlog
//! that no process empties, only to be reset.
//!
//! A socket filter drops segments that would begin a connection. Their clients try again a second later and are then
//! refused, as they should be. Everything else passes, because the sockets that come out of the backlog inherit the
//! filter.

use std::io;
use std::os::fd::AsFd;

use socket2::{SockFilter, SockRef};

/// Lets no new connection into the backlog of a TCP listener. This is permanent: use it only for a socket that no
/// other process will listen on.
pub(crate) fn reject_handshakes(listener: &impl AsFd) -> io::Result<()> {
    let socket = SockRef::from(listener);
    if socket.domain()? == socket2::Domain::UNIX {
        // A Unix domain socket has no handshake to filter.
        return Ok(());
    }
    socket.attach_filter(&[
        // The filter sees the segment from its header on (socket(7), tcp_filter in the kernel).
        load_octet(FLAGS),
        and(SYN | ACK),
        skip_unless_equal(SYN, 1),
        verdict(0),
        verdict(u32::MAX),
    ])
}

/// Where the flags are in a TCP header, and two of them (RFC 9293 section 3.1).
const FLAGS: u32 = 13;
const SYN: u32 = 0x02;
const ACK: u32 = 0x10;

fn load_octet(offset: u32) -> SockFilter {
    instruction(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, offset)
}

fn and(mask: u32) -> SockFilter {
    instruction(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, mask)
}

fn skip_unless_equal(value: u32, skipped: u8) -> SockFilter {
    instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, skipped, value)
}

/// The number of octets of the segment to keep; with none it is dropped.
fn verdict(octets: u32) -> SockFilter {
    instruction(libc::BPF_RET | libc::BPF_K, 0, octets)
}

fn instruction(code: u32, jump_if_false: u8, value: u32) -> SockFilter {
    SockFilter::new(
        u16::try_from(code).unwrap_or(u16::MAX),
        0,
        jump_if_false,
        value,
    )
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;

    #[test]
    fn those_inside_are_served_and_nobody_else_comes_in() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("an address");
        let mut inside = TcpStream::connect(address).expect("a connection");
        reject_handshakes(&listener).expect("a filter");
        let late = TcpStream::connect_timeout(&address, Duration::from_millis(200));
        assert!(late.is_err());
        let (mut served, _) = listener.accept().expect("the first");
        inside.write_all(b"a").expect("sent");
        served.read_exact(&mut [0]).expect("received");
        served.write_all(b"b").expect("answered");
        inside.read_exact(&mut [0]).expect("received");
        listener.set_nonblocking(true).expect("nonblocking");
        assert!(listener.accept().is_err());
    }
}
