//! Sends open descriptors to another process in packets over a Unix domain socket (unix(7), `SCM_RIGHTS`).
//!
//! The kernel duplicates a descriptor when the packet is sent: whatever the sender does with its own afterwards, the
//! receiver gets one that works. What the bytes of a packet mean is the caller's business.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Most descriptors in one packet (`SCM_MAX_FD`): with room for all of them the kernel drops none.
const MOST_DESCRIPTORS: usize = 253;

/// One packet that has arrived. Descriptors that the caller does not keep are closed with it.
#[derive(Debug)]
pub struct ReceivedPacket {
    /// How many octets were stored.
    pub length: usize,
    /// The packet had more octets than there was room for.
    pub is_cut: bool,
    pub descriptors: Vec<OwnedFd>,
}

/// Sends one packet with one descriptor. Never waits: a full queue is [`io::ErrorKind::WouldBlock`].
pub fn send(socket: impl AsFd, parts: &[IoSlice<'_>], descriptor: impl AsFd) -> io::Result<()> {
    send_all(socket, parts, &[descriptor.as_fd()])
}

/// As [`send`], with a few descriptors: two at most.
pub fn send_all(
    socket: impl AsFd,
    parts: &[IoSlice<'_>],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(descriptors));
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    rustix::io::retry_on_intr(|| sendmsg(socket.as_fd(), parts, &mut control, flags))?;
    Ok(())
}

/// Receives one packet into `parts`. Waits if the socket is a blocking one; a length of 0 is the end. The
/// descriptors are closed on exec.
pub fn receive(socket: impl AsFd, parts: &mut [IoSliceMut<'_>]) -> io::Result<ReceivedPacket> {
    receive_with(socket, parts, RecvFlags::empty())
}

/// As [`receive`], but never waits, even if somebody has made the socket a blocking one: processes that share it
/// share that too. No packet is [`io::ErrorKind::WouldBlock`].
pub fn try_receive(socket: impl AsFd, parts: &mut [IoSliceMut<'_>]) -> io::Result<ReceivedPacket> {
    receive_with(socket, parts, RecvFlags::DONTWAIT)
}

fn receive_with(
    socket: impl AsFd,
    parts: &mut [IoSliceMut<'_>],
    flags: RecvFlags,
) -> io::Result<ReceivedPacket> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = flags | RecvFlags::CMSG_CLOEXEC;
    let message =
        rustix::io::retry_on_intr(|| recvmsg(socket.as_fd(), parts, &mut control, flags))?;
    let descriptors = control.drain().filter_map(|it| match it {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    Ok(ReceivedPacket {
        length: message.bytes,
        is_cut: message.flags.contains(ReturnFlags::TRUNC),
        descriptors: descriptors.flatten().collect(),
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

    use super::*;

    #[test]
    fn a_packet_brings_a_descriptor_of_the_same_file() {
        let flags = SockFlag::SOCK_CLOEXEC;
        let pair = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags);
        let (sender, receiver) = pair.expect("a pair");
        let (mut near, far) = UnixStream::pair().expect("a pair");
        let parts = [IoSlice::new(b"four"), IoSlice::new(b"teen")];
        send(&sender, &parts, &far).expect("sent");
        drop((sender, far));
        let (mut first, mut rest) = ([0; 4], [0; 2]);
        let mut room = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut rest)];
        let mut packet = receive(&receiver, &mut room).expect("received");
        assert_eq!((packet.length, packet.is_cut), (6, true));
        assert_eq!((&first, &rest), (b"four", b"te"));
        let mut far = UnixStream::from(packet.descriptors.pop().expect("a descriptor"));
        near.write_all(b"x").expect("written");
        far.read_exact(&mut [0]).expect("read");
        let end = receive(&receiver, &mut [IoSliceMut::new(&mut first)]).expect("the end");
        assert_eq!(end.length, 0);
    }

    #[test]
    fn a_socket_that_somebody_has_made_blocking_keeps_nobody() {
        let flags = SockFlag::SOCK_CLOEXEC;
        let pair = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags);
        let (_sender, receiver) = pair.expect("a pair");
        let nothing = try_receive(&receiver, &mut [IoSliceMut::new(&mut [0; 4])]);
        let error = nothing.expect_err("nothing was sent");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
