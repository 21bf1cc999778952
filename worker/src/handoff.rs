//! Passing connections between siblings.
//!
//! ```text
//!   worker A --(socket, bytes read but not used)--> one queue in the kernel --> worker B or C ...
//! ```
//!
//! A worker that drains while its siblings live, or whose threads are all stuck, gives away what
//! it cannot serve, so that a kept-alive connection outlives the worker that accepted it. The
//! queue is a socket pair that the master made: whatever is in it survives the sender.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, OwnedFd};

use mio::net::{TcpStream, UnixStream};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, recvmsg, sendmsg};
use oxicorn_common::Handoff;
use oxicorn_common::request::Peer;
use socket2::SockRef;

use crate::connection::{Buffers, Connection};
use crate::stream::Stream;
use crate::sys;

/// A request with more bytes than this waiting is not worth the copy, and stays.
const MOST_BYTES: usize = 16 * 1024;
/// The first byte of each packet, as a packet cannot be empty.
const MARK: u8 = b'c';

/// Gives a connection and its unused bytes to whichever sibling takes it first. False when the
/// queue is full: the connection stays.
pub(crate) fn pass(handoff: &Handoff, connection: &Connection) -> bool {
    let unread = match &connection.buffers {
        Some(buffers) => buffers.inbox.filled(),
        None => &[],
    };
    if unread.len() > MOST_BYTES {
        return false;
    }
    send(
        handoff,
        &connection.stream,
        &[IoSlice::new(&[MARK]), IoSlice::new(unread)],
    )
}

/// Gives away a connection whose request is whole but has not begun: the head goes back to bytes.
pub(crate) fn pass_ready(handoff: &Handoff, connection: &Connection) -> bool {
    let Some(buffers) = &connection.buffers else {
        return false;
    };
    let (head, rest) = (&buffers.intake.head.bytes, buffers.inbox.filled());
    // A body that has been decoded is not on the wire any more.
    if buffers.intake.body.length() > 0 || buffers.intake.was_chunked() {
        return false;
    }
    if head.len() + rest.len() > MOST_BYTES {
        return false;
    }
    let parts = [
        IoSlice::new(&[MARK]),
        IoSlice::new(head),
        IoSlice::new(rest),
    ];
    send(handoff, &connection.stream, &parts)
}

fn send(handoff: &Handoff, stream: &Stream, parts: &[IoSlice<'_>]) -> bool {
    let rights = [stream.as_raw_fd()];
    let control = [ControlMessage::ScmRights(&rights)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    loop {
        match sendmsg::<()>(handoff.sender.as_raw_fd(), parts, &control, flags, None) {
            Ok(_) => return true,
            Err(Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
}

/// Takes a connection that a sibling gave away; `None` when there is none.
pub(crate) fn take(handoff: &Handoff) -> io::Result<Option<Connection>> {
    let mut bytes = vec![0; MOST_BYTES + 1];
    let mut control = cmsg_space!([std::os::fd::RawFd; 1]);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let fd = handoff.receiver.as_raw_fd();
    let (count, socket) = match recvmsg::<()>(fd, &mut parts, Some(&mut control), flags) {
        Ok(message) => (message.bytes, sys::received_fd(&message)),
        Err(Errno::EAGAIN | Errno::EINTR) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    let Some(socket) = socket else {
        return Ok(None);
    };
    let (stream, peer) = adopt(socket)?;
    let mut connection = Connection::new(stream, peer);
    let mut buffers = Box::<Buffers>::default();
    buffers
        .inbox
        .refill(bytes.get(1..count).unwrap_or_default());
    connection.buffers = Some(buffers);
    Ok(Some(connection))
}

fn adopt(socket: OwnedFd) -> io::Result<(Stream, Peer)> {
    let address = SockRef::from(&socket).peer_addr();
    if SockRef::from(&socket).domain()? == socket2::Domain::UNIX {
        return Ok((
            Stream::Unix(UnixStream::from_std(socket.into())),
            Peer::Unix,
        ));
    }
    // A client that has reset the connection has no address any more; reading will tell.
    let peer = address
        .ok()
        .and_then(|it| it.as_socket())
        .map_or(Peer::Unix, Peer::Tcp);
    Ok((Stream::Tcp(TcpStream::from_std(socket.into())), peer))
}
