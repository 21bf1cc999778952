//! Passing connections between siblings.
//!
//! ```text
//!   worker A --(socket, who it is, bytes read but not used)--> one queue in the kernel --> worker B or C ...
//! ```
//!
//! A worker that drains while its siblings live, or whose threads are all stuck, gives away what
//! it cannot serve, so that a kept-alive connection outlives the worker that accepted it; one
//! where clients wait gives a sibling that has fewer one of them (`reactor/leveling.rs`). The
//! queue is a socket pair that the master made: whatever is in it survives the sender. A connection
//! over TLS has its keys in its worker, and stays.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsRawFd, OwnedFd};

use mio::net::{TcpStream, UnixStream};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, recvmsg, sendmsg};
use oxicorn_common::Handoff;
use oxicorn_common::request::{Body, Local, Peer};
use socket2::SockRef;

use crate::connection::{Buffers, Connection};
use crate::gate::Opening;
use crate::stream::Stream;
use crate::sys;

/// A request with more bytes than this waiting is not worth the copy, and stays.
const MOST_BYTES: usize = 16 * 1024;
/// Flags of the first byte of a packet.
const OPENED: u8 = 1;
const PROXIED: u8 = 2;
/// An address in a packet: IPv6, or IPv4 in its clothes; port; scope.
const ADDRESS: usize = 16 + 2 + 4;
/// What a packet begins with: flags, both ends.
const LABEL: usize = 1 + 2 * (1 + ADDRESS);

/// Gives a connection and its unused bytes to whichever sibling takes it first. False when the
/// queue is full, or when it is bound to this process: the connection stays.
pub(crate) fn pass(handoff: &Handoff, connection: &Connection) -> bool {
    let unread = match &connection.buffers {
        Some(buffers) => buffers.inbox.filled(),
        None => &[],
    };
    send(handoff, connection, [&[], &[], unread])
}

/// Gives away a connection whose request is whole but has not begun: it goes back to bytes.
pub(crate) fn pass_ready(handoff: &Handoff, connection: &Connection) -> bool {
    let Some(buffers) = &connection.buffers else {
        return false;
    };
    let intake = &buffers.intake;
    // What came in chunks is not known as it was, and what was too long for the memory is for a packet.
    let (Body::Memory(body), false) = (&intake.body, intake.was_chunked()) else {
        return false;
    };
    let parts = [&intake.head.bytes, body.get_ref(), buffers.inbox.filled()];
    send(handoff, connection, parts)
}

fn send(handoff: &Handoff, connection: &Connection, bytes: [&[u8]; 3]) -> bool {
    if connection.is_bound() || bytes.iter().map(|it| it.len()).sum::<usize>() > MOST_BYTES {
        return false;
    }
    let label = write_label(connection);
    let [head, body, rest] = bytes.map(IoSlice::new);
    let parts = [IoSlice::new(&label), head, body, rest];
    let rights = [connection.stream.as_raw_fd()];
    let control = [ControlMessage::ScmRights(&rights)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    loop {
        match sendmsg::<()>(handoff.sender.as_raw_fd(), &parts, &control, flags, None) {
            Ok(_) => return true,
            Err(Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
}

/// Takes a connection that a sibling gave away; `None` when there is none.
pub(crate) fn take(handoff: &Handoff) -> io::Result<Option<Connection>> {
    let mut bytes = vec![0; LABEL + MOST_BYTES];
    let mut control = cmsg_space!([std::os::fd::RawFd; 1]);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let fd = handoff.receiver.as_raw_fd();
    let (count, socket) = match recvmsg::<()>(fd, &mut parts, Some(&mut control), flags) {
        Ok(message) => (message.bytes, sys::received_fd(&message)),
        Err(Errno::EAGAIN | Errno::EINTR) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    let (Some(socket), Some((label, unread))) = (socket, bytes[..count].split_first_chunk()) else {
        return Ok(None);
    };
    let mut connection = read_label(label, adopt(socket)?);
    let mut buffers = Box::<Buffers>::default();
    buffers.inbox.refill(unread);
    connection.buffers = Some(buffers);
    Ok(Some(connection))
}

fn adopt(socket: OwnedFd) -> io::Result<Stream> {
    Ok(match SockRef::from(&socket).domain()? {
        socket2::Domain::UNIX => Stream::Unix(UnixStream::from_std(socket.into())),
        _ => Stream::Tcp(TcpStream::from_std(socket.into())),
    })
}

fn write_label(connection: &Connection) -> [u8; LABEL] {
    let mut label = [0; LABEL];
    let flag = |is: bool, flag| if is { flag } else { 0 };
    label[0] = flag(connection.opening.is_none(), OPENED) | flag(connection.proxied, PROXIED);
    let (peer, local) = label[1..].split_at_mut(1 + ADDRESS);
    if let Peer::Tcp(address) = connection.peer {
        write_address(peer, address);
    }
    if let Local::Tcp(address) = connection.local {
        write_address(local, address);
    }
    label
}

fn read_label(label: &[u8; LABEL], stream: Stream) -> Connection {
    let (peer, local) = label[1..].split_at(1 + ADDRESS);
    let peer = read_address(peer).map_or(Peer::Unix, Peer::Tcp);
    let local = read_address(local).map_or(Local::Unix, Local::Tcp);
    let mut connection = Connection::new(stream, peer, local);
    connection.proxied = label[0] & PROXIED != 0;
    connection.opening = match label[0] & OPENED {
        0 => Some(Opening::Entrance),
        _ => None,
    };
    connection
}

fn write_address(out: &mut [u8], address: SocketAddr) {
    let (ip, scope) = match address {
        SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), 0),
        SocketAddr::V6(v6) => (*v6.ip(), v6.scope_id()),
    };
    // 4 and 6 are what they look like; an IPv6 address may look like a mapped one.
    out[0] = if address.is_ipv4() { 4 } else { 6 };
    out[1..17].copy_from_slice(&ip.octets());
    out[17..19].copy_from_slice(&address.port().to_be_bytes());
    out[19..].copy_from_slice(&scope.to_be_bytes());
}

fn read_address(bytes: &[u8]) -> Option<SocketAddr> {
    let (&family, rest) = bytes.split_first()?;
    let (&ip, rest) = rest.split_first_chunk::<16>()?;
    let (&port, rest) = rest.split_first_chunk::<2>()?;
    let (&scope, _) = rest.split_first_chunk::<4>()?;
    let (ip, port) = (Ipv6Addr::from(ip), u16::from_be_bytes(port));
    match family {
        4 => Some(SocketAddr::new(ip.to_ipv4_mapped()?.into(), port)),
        6 => Some(SocketAddrV6::new(ip, port, 0, u32::from_be_bytes(scope)).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use oxicorn_common::Settings;

    use super::*;
    use crate::connection::Received;
    use crate::http::Rules;

    /// What a sibling would read of a request that has come whole, or nothing where it has to stay.
    fn passed_on(request: &[u8]) -> Option<Vec<u8>> {
        let handoff = Handoff::new().expect("a socket pair");
        let (mut client, server) = UnixStream::pair().expect("a socket pair");
        client.write_all(request).expect("sent");
        let mut connection = Connection::new(Stream::Unix(server), Peer::Unix, Local::Unix);
        connection.readable = true;
        let mut buffers = Box::<Buffers>::default();
        let rules = Rules::from(&Settings::default());
        let received = connection.receive(&mut buffers, &rules);
        assert!(matches!(received, Received::Request), "{received:?}");
        connection.buffers = Some(buffers);
        if !pass_ready(&handoff, &connection) {
            return None;
        }
        let got = take(&handoff).expect("no error").expect("a connection");
        Some(got.buffers.expect("bytes").inbox.filled().to_vec())
    }

    #[test]
    fn a_request_goes_back_to_the_bytes_that_it_was() {
        for request in [
            &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbodyGET /next HTTP/1.1\r\n",
        ] {
            assert_eq!(passed_on(request).as_deref(), Some(request));
        }
        let chunks =
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
        assert_eq!(passed_on(chunks), None);
        let long = [
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 16384\r\n\r\n".as_slice(),
            &[b'x'; MOST_BYTES],
        ];
        assert_eq!(passed_on(&long.concat()), None);
    }

    #[test]
    fn a_connection_arrives_as_who_it_was() {
        let handoff = Handoff::new().expect("a socket pair");
        assert!(take(&handoff).expect("no error").is_none());
        let tcp = |text: &str| text.parse::<SocketAddr>().expect("an address");
        for (peer, local) in [
            (Peer::Tcp(tcp("192.0.2.1:5")), Local::Tcp(tcp("[::1]:443"))),
            (Peer::Tcp(tcp("[::ffff:1.2.3.4]:5")), Local::Unix),
            (
                Peer::Tcp(tcp("[fe80::1%7]:5")),
                Local::Tcp(tcp("0.0.0.0:80")),
            ),
            (Peer::Unix, Local::Unix),
        ] {
            for (opening, proxied) in [(None, false), (Some(Opening::Entrance), true)] {
                let (mut client, server) = UnixStream::pair().expect("a socket pair");
                let mut sent = Connection::new(Stream::Unix(server), peer, local);
                (sent.opening, sent.proxied) = (opening, proxied);
                let mut buffers = Box::<Buffers>::default();
                buffers.inbox.refill(b"unread");
                sent.buffers = Some(buffers);
                assert!(pass(&handoff, &sent));
                drop(sent);
                let got = take(&handoff).expect("no error").expect("a connection");
                assert_eq!((got.peer, got.local), (peer, local));
                assert_eq!((got.opening, got.proxied), (opening, proxied));
                let inbox = &got.buffers.expect("bytes").inbox;
                assert_eq!(inbox.filled(), b"unread");
                got.stream.write(b"still here").expect("sent");
                let mut said = [0; 10];
                client.read_exact(&mut said).expect("the connection lives");
                assert_eq!(&said, b"still here");
            }
        }
    }
}
