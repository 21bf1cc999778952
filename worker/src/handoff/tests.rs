//! Packets between workers, good ones and others.

use std::io::{Read, Write};

use nix::sys::socket::{ControlMessage, sendmsg};
use oxicorn_common::Settings;

use super::*;
use crate::connection::{Received, ThreadWork};
use crate::http::Rules;

/// Most descriptors that a packet can have (unix(7)).
const SCM_MAX_FD: usize = 253;

/// What a sibling would read of a request that has come whole, or nothing where it has to stay.
fn passed_on(request: &[u8]) -> Option<Vec<u8>> {
    let handoff = Handoff::new().expect("a socket pair");
    let (mut client, server) = UnixStream::pair().expect("a socket pair");
    client.write_all(request).expect("sent");
    let mut connection = Connection::new(Socket::Unix(server), Peer::Unix, Local::Unix);
    let received = connection.receive(&Rules::from(&Settings::default()));
    assert!(matches!(received, Received::Request), "{received:?}");
    if !pass_ready(&handoff, &connection) {
        return None;
    }
    let got = take(&handoff).expect("no error").expect("a connection");
    Some(got.unread().to_vec())
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
fn a_request_keeps_its_place() {
    let handoff = Handoff::new().expect("a socket pair");
    assert!(!holds_older(&handoff, None));
    let start = Instant::now();
    let (_client, server) = UnixStream::pair().expect("a socket pair");
    let mut sent = Connection::new(Socket::Unix(server), Peer::Unix, Local::Unix);
    sent.set_buffers(Box::default());
    let ready_at = start - Duration::from_secs(5);
    let lifecycle = sent.lifecycle_mut();
    lifecycle.await_thread(ThreadWork::Respond, ready_at);
    assert!(pass_ready(&handoff, &sent));
    assert!(holds_older(&handoff, None));
    assert!(holds_older(&handoff, Some(start)));
    assert!(!holds_older(&handoff, Some(start - Duration::from_secs(6))));
    let got = take(&handoff).expect("no error").expect("a connection");
    let arrived = got.lifecycle().ready_at();
    let error = arrived.max(ready_at) - arrived.min(ready_at);
    assert!(
        got.lifecycle().keeps_place() && error < Duration::from_secs(1),
        "{error:?}"
    );
    assert!(!holds_older(&handoff, None));
    assert!(pass(&handoff, &sent));
    let got = take(&handoff).expect("no error").expect("a connection");
    assert!(!got.lifecycle().keeps_place());
    // A process died between the count and the packet.
    handoff.note_sent();
    assert!(holds_older(&handoff, None) && !holds_older(&handoff, Some(start)));
    assert!(!handoff.may_hold_any());
}

fn tcp(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

#[test]
fn a_connection_arrives_as_who_it_was() {
    let handoff = Handoff::new().expect("a socket pair");
    assert!(take(&handoff).expect("no error").is_none());
    for (peer, local) in [
        (Peer::Tcp(tcp("192.0.2.1:5")), Local::Tcp(tcp("[::1]:443"))),
        (Peer::Tcp(tcp("[::ffff:1.2.3.4]:5")), Local::Unix),
        (
            Peer::Tcp(tcp("[fe80::1%7]:5")),
            Local::Tcp(tcp("0.0.0.0:80")),
        ),
        (Peer::Unix, Local::Unix),
    ] {
        for in_preface in [false, true] {
            let proxied = peer != Peer::Unix;
            let (mut client, server) = UnixStream::pair().expect("a socket pair");
            let mut sent = Connection::new(Socket::Unix(server), peer, local);
            if !in_preface {
                sent.lifecycle_mut().resume();
            }
            if proxied {
                sent.identity_mut().become_proxied(peer, local);
            }
            let mut buffers = Box::<RequestBuffers>::default();
            buffers.input.refill(b"unread");
            sent.set_buffers(buffers);
            assert!(pass(&handoff, &sent));
            drop(sent);
            let got = take(&handoff).expect("no error").expect("a connection");
            let identity = got.identity();
            assert_eq!((identity.peer(), identity.local()), (peer, local));
            assert_eq!(identity.is_proxied(), proxied);
            assert_eq!(got.is_in_preface(), in_preface);
            assert_eq!(got.unread(), b"unread");
            got.transport().write(b"still here").expect("sent");
            let mut said = [0; 10];
            client.read_exact(&mut said).expect("the connection lives");
            assert_eq!(&said, b"still here");
        }
    }
}

/// A TCP connection: the client's side, ours, and where it came in.
fn accepted() -> (std::net::TcpStream, Socket, SocketAddr, SocketAddr) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let local = listener.local_addr().expect("an address");
    let client = std::net::TcpStream::connect(local).expect("it listens");
    let (server, peer) = listener.accept().expect("a connection");
    (
        client,
        Socket::Tcp(TcpStream::from_std(server)),
        peer,
        local,
    )
}

#[test]
fn nobody_is_who_the_socket_denies() {
    let handoff = Handoff::new().expect("a socket pair");
    for (peer, local, believed) in [
        (None, None, true),
        (None, Some(Local::Tcp(tcp("0.0.0.0:1"))), false),
        (Some(Peer::Tcp(tcp("127.0.0.1:1"))), None, false),
        (Some(Peer::Unix), Some(Local::Unix), false),
    ] {
        let (_client, stream, own_peer, own_local) = accepted();
        let peer = peer.unwrap_or(Peer::Tcp(own_peer));
        let local = local.unwrap_or(Local::Tcp(own_local));
        assert!(pass(&handoff, &Connection::new(stream, peer, local)));
        let got = take(&handoff).expect("no error");
        assert_eq!(got.is_some(), believed, "{peer:?} {local:?}");
    }
}

/// One packet after another that no worker sends, then a connection: it is taken at once, and no
/// descriptor of the packets stays open.
#[test]
fn rubbish_costs_one_packet() {
    let handoff = Handoff::new().expect("a socket pair");
    let (reader, _) = nix::unistd::pipe().expect("a pipe");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let (pipe, listening) = (reader.as_raw_fd(), listener.as_raw_fd());
    let label = [OPENED; LABEL];
    let file = |fd| std::fs::read_link(format!("/proc/self/fd/{fd}"));
    let copies = |of| {
        let wanted = file(of).expect("it is open").clone();
        let all = std::fs::read_dir("/proc/self/fd").expect("proc is mounted");
        let names = all.flatten().map(|it| it.file_name());
        let numbers = names.filter_map(|it| it.to_str()?.parse().ok());
        numbers
            .filter(|&fd: &i32| file(fd).is_ok_and(|it| it == wanted))
            .count()
    };
    for (bytes, fds) in [
        (&b""[..], vec![]),
        (b"x", vec![]),
        (b"x", vec![pipe]),
        (&label, vec![]),
        (&label, vec![pipe]),
        (&label, vec![listening]),
        (&label, vec![pipe; 3]),
        (&label, vec![listening; SCM_MAX_FD]),
        (&[0xff; LABEL + MOST_BYTES + 1], vec![pipe]),
    ] {
        let rights = [ControlMessage::ScmRights(&fds)];
        let control = if fds.is_empty() { &[] } else { &rights[..] };
        let flags = MsgFlags::MSG_DONTWAIT;
        let sender = handoff.sender.as_raw_fd();
        sendmsg::<()>(sender, &[IoSlice::new(bytes)], control, flags, None).expect("sent");
    }
    let (_client, stream, peer, local) = accepted();
    let sent = Connection::new(stream, Peer::Tcp(peer), Local::Tcp(local));
    assert!(pass(&handoff, &sent));
    drop(sent);
    let got = take(&handoff).expect("no error").expect("the connection");
    assert_eq!(got.peer(), Peer::Tcp(peer));
    assert_eq!((copies(pipe), copies(listening)), (1, 1));
}
