//! Passes connections between workers, over a socket pair that the master makes and all workers share.
//!
//! ```text
//!   worker A --(socket, client, bytes read but not used)--> one queue in the kernel --> worker B or C ...
//! ```
//!
//! - A whole request that finds no idle thread in its worker waits here for the first idle thread of any worker, in
//!   order of arrival (`threads`).
//! - A worker that drains while its siblings live passes its connections to them, so that a kept-alive connection
//!   outlives the worker that accepted it.
//! - A worker where clients wait passes one of them to a sibling with fewer (`reactor/sharing.rs`).
//!
//! The queue survives the worker that filled it. A connection over TLS stays: its keys are in its worker.
//!
//! Application code runs in the same processes and can write to that socket too. So a packet counts only if the
//! socket that it carries confirms it; all other packets are dropped.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use mio::net::{TcpStream, UnixStream};
use nix::sys::socket::{MsgFlags, recv};
use nix::time::{ClockId, clock_gettime};
use oxicorn_common::request::{Body, Local, Peer};
use oxicorn_common::{Handoff, descriptor_passing};
use socket2::SockRef;

use crate::connection::{Connection, RequestBuffers};
use crate::socket::Socket;

/// A request with more waiting bytes than this is not worth the copy, and stays.
const MOST_BYTES: usize = 16 * 1024;
/// Foreign packets that are dropped per look.
const MOST_RUBBISH: usize = 64;
/// Flags of the first byte of a packet.
const OPENED: u8 = 1;
const PROXIED: u8 = 2;
/// The bytes are a whole request, perhaps with more after it.
const WHOLE: u8 = 4;
/// A process that the application of a worker has forked has the socket too.
const SHARED: u8 = 8;
/// An address in a packet: IPv6, or IPv4 mapped to IPv6; port; scope.
const ADDRESS: usize = 16 + 2 + 4;
/// The start of a packet: the time when its request became whole, in nanoseconds of `CLOCK_MONOTONIC`; flags;
/// both ends.
const LABEL: usize = 8 + 1 + 2 * (1 + ADDRESS);

/// Passes a connection and its unused bytes to the sibling that takes it first. False if the queue is full
/// or if the connection is bound to this process: it stays.
pub(crate) fn pass(handoff: &Handoff, connection: &Connection) -> bool {
    send(handoff, connection, 0, [&[], &[], connection.unread()])
}

/// Passes a connection whose request is whole but has not begun: the request becomes bytes again. False if the
/// queue is full or the request does not fit.
pub(crate) fn pass_ready(handoff: &Handoff, connection: &Connection) -> bool {
    fitting_parts(connection).is_some_and(|parts| send(handoff, connection, WHOLE, parts))
}

/// Whether a whole request may go to a sibling.
pub(crate) fn fits(connection: &Connection) -> bool {
    connection.can_move() && fitting_parts(connection).is_some_and(|it| !is_too_long(it))
}

fn fitting_parts(connection: &Connection) -> Option<[&[u8]; 3]> {
    let buffers = connection.buffers()?;
    let decoder = &buffers.decoder;
    // The original form of a chunked body is not known, and a body that went to a file is too long for a packet.
    match (&decoder.body, decoder.was_chunked()) {
        (Body::Memory(body), false) => Some([
            &decoder.head.bytes,
            body.get_ref().as_ref(),
            buffers.input.filled(),
        ]),
        _ => None,
    }
}

fn is_too_long(bytes: [&[u8]; 3]) -> bool {
    bytes.iter().map(|it| it.len()).sum::<usize>() > MOST_BYTES
}

fn send(handoff: &Handoff, connection: &Connection, flags: u8, bytes: [&[u8]; 3]) -> bool {
    if connection.is_bound() || is_too_long(bytes) {
        return false;
    }
    let label = write_label(connection, flags);
    let [head, body, rest] = bytes.map(IoSlice::new);
    let parts = [IoSlice::new(&label), head, body, rest];
    handoff.note_sent();
    let is_sent =
        descriptor_passing::send(&*handoff.sender, &parts, connection.transport()).is_ok();
    if !is_sent {
        handoff.note_received();
    }
    is_sent
}

/// Whether a request waits in the queue that became whole before `other` did; without `other`, whether any may wait.
pub(crate) fn holds_older(handoff: &Handoff, other: Option<Instant>) -> bool {
    let (true, Some(other)) = (handoff.may_hold_any(), other) else {
        return handoff.may_hold_any();
    };
    oldest(handoff).is_some_and(|first| first < other)
}

/// When the first request in the queue became whole.
pub(crate) fn oldest(handoff: &Handoff) -> Option<Instant> {
    if !handoff.may_hold_any() {
        return None;
    }
    let mut ready_at = [0; 8];
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    match recv(handoff.receiver.as_raw_fd(), &mut ready_at, flags) {
        Ok(8) => Some(instant_of(u64::from_le_bytes(ready_at))),
        _ => {
            handoff.note_empty();
            None
        }
    }
}

/// Takes a connection that a sibling passed; `None` if there is none.
pub(crate) fn take(handoff: &Handoff) -> io::Result<Option<Connection>> {
    for _ in 0..MOST_RUBBISH {
        match receive(handoff)? {
            Packet::None => return Ok(None),
            Packet::Connection(connection) => return Ok(Some(*connection)),
            Packet::Gone => {}
            Packet::Rubbish(why) => {
                log::warn!("the handoff socket held what no worker sends ({why}); it is dropped");
            }
        }
    }
    Ok(None)
}

/// The result of one look at the socket.
enum Packet {
    None,
    Connection(Box<Connection>),
    /// The client has reset its connection on the way.
    Gone,
    Rubbish(&'static str),
}

fn receive(handoff: &Handoff) -> io::Result<Packet> {
    // If the descriptor table were full, the kernel would close the socket in the packet (unix(7)), and a client
    // would be lost. This way it stays in the queue for a sibling that has room.
    drop(handoff.receiver.try_clone()?);
    let mut label = [0; LABEL];
    let mut buffers = Box::<RequestBuffers>::default();
    let mut parts = [
        IoSliceMut::new(&mut label),
        IoSliceMut::new(buffers.input.space()),
    ];
    let mut packet = match descriptor_passing::try_receive(&*handoff.receiver, &mut parts) {
        Ok(packet) => packet,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            handoff.note_empty();
            return Ok(Packet::None);
        }
        Err(error) => return Err(error),
    };
    handoff.note_received();
    if packet.is_cut {
        return Ok(Packet::Rubbish("too many bytes"));
    }
    let (Some(socket), true) = (packet.descriptors.pop(), packet.descriptors.is_empty()) else {
        return Ok(Packet::Rubbish("not one descriptor"));
    };
    let Some(unread) = packet.length.checked_sub(LABEL) else {
        return Ok(Packet::Rubbish("too few bytes"));
    };
    let look = SockRef::from(&socket);
    if look
        .peer_addr()
        .is_err_and(|error| error.kind() == io::ErrorKind::NotConnected)
    {
        return Ok(Packet::Gone);
    }
    let Some(mut connection) = adopt(socket).and_then(|socket| read_label(&label, socket)) else {
        return Ok(Packet::Rubbish("no connection of the client that is named"));
    };
    buffers.input.fill(unread);
    connection.set_buffers(buffers);
    Ok(Packet::Connection(Box::new(connection)))
}

/// Accepts only a connected socket: any other would never report an event, or would report them endlessly.
fn adopt(socket: OwnedFd) -> Option<Socket> {
    let look = SockRef::from(&socket);
    if look.r#type().ok()? != socket2::Type::STREAM || look.is_listener().ok()? {
        return None;
    }
    look.set_nonblocking(true).ok()?;
    match look.domain().ok()? {
        socket2::Domain::UNIX => Some(Socket::Unix(UnixStream::from_std(socket.into()))),
        socket2::Domain::IPV4 | socket2::Domain::IPV6 => {
            Some(Socket::Tcp(TcpStream::from_std(socket.into())))
        }
        _ => None,
    }
}

fn write_label(connection: &Connection, flags: u8) -> [u8; LABEL] {
    let mut label = [0; LABEL];
    label[..8].copy_from_slice(&nanos_of(connection.lifecycle().ready_at()).to_le_bytes());
    let flag = |is: bool, flag| if is { flag } else { 0 };
    label[8] = flags
        | flag(!connection.is_in_preface(), OPENED)
        | flag(connection.identity().is_proxied(), PROXIED)
        | flag(connection.is_shared(), SHARED);
    let (peer, local) = label[9..].split_at_mut(1 + ADDRESS);
    if let Peer::Tcp(address) = connection.peer() {
        write_address(peer, address);
    }
    if let Local::Tcp(address) = connection.identity().local() {
        write_address(local, address);
    }
    label
}

/// Makes the connection that a packet describes. The reactor checks addresses from a PROXY header; others must be
/// those of the socket.
fn read_label(label: &[u8; LABEL], socket: Socket) -> Option<Connection> {
    let (peer, local) = label[9..].split_at(1 + ADDRESS);
    let peer = read_address(peer).map_or(Peer::Unix, Peer::Tcp);
    let local = read_address(local).map_or(Local::Unix, Local::Tcp);
    let flags = label[8];
    let proxied = flags & PROXIED != 0;
    if !proxied && (socket.peer() != Some(peer) || !is_end(&socket, local)) {
        return None;
    }
    let mut connection = Connection::new(socket, peer, local);
    if proxied {
        connection.identity_mut().become_proxied(peer, local);
    }
    if flags & SHARED != 0 {
        connection.set_shared();
    }
    if flags & OPENED != 0 {
        connection.lifecycle_mut().resume();
    }
    if let (true, Some(ready_at)) = (flags & WHOLE != 0, label.first_chunk()) {
        let ready_at = instant_of(u64::from_le_bytes(*ready_at));
        connection.lifecycle_mut().keep_place(ready_at);
    }
    Some(connection)
}

/// Whether the socket can come from a listener at `local`, which may listen on all addresses.
fn is_end(socket: &Socket, local: Local) -> bool {
    let actual = SockRef::from(socket).local_addr().ok();
    match (local, actual.and_then(|it| it.as_socket())) {
        (Local::Unix, None) => true,
        (Local::Tcp(said), Some(actual)) => {
            said.port() == actual.port() && (said.ip().is_unspecified() || said.ip() == actual.ip())
        }
        _ => false,
    }
}

/// A moment as a number with the same meaning in every process.
fn nanos_of(moment: Instant) -> u64 {
    let age = u64::try_from(moment.elapsed().as_nanos()).unwrap_or(u64::MAX);
    monotonic_nanos().saturating_sub(age)
}

fn instant_of(nanos: u64) -> Instant {
    let age = Duration::from_nanos(monotonic_nanos().saturating_sub(nanos));
    let now = Instant::now();
    now.checked_sub(age).unwrap_or(now)
}

fn monotonic_nanos() -> u64 {
    // The clock exists on every Linux (clock_gettime(2)).
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .ok()
        .and_then(|time| u64::try_from(Duration::from(time).as_nanos()).ok())
        .unwrap_or(0)
}

fn write_address(out: &mut [u8], address: SocketAddr) {
    let (ip, scope) = match address {
        SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), 0),
        SocketAddr::V6(v6) => (*v6.ip(), v6.scope_id()),
    };
    // 4 or 6 tells the family: an IPv6 address may look like a mapped one.
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
mod tests;
