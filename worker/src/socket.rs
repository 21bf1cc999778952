//! A client's socket, TCP or Unix. It never blocks.
//!
//! System calls go straight to the kernel, by rustix: in a process with several threads the C library makes each of
//! them a cancellation point (pthreads(7)), which has a noticeable cost.

use std::fs::File;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use mio::net::{TcpStream, UnixStream};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use oxicorn_common::request::Peer;
use oxicorn_common::tcp_info;
use rustix::buffer::spare_capacity;
use rustix::event;
use rustix::fs::sendfile;
use rustix::io::retry_on_intr;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::sys;

#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// A read that leaves room has emptied the socket (epoll(7), question 9).
    pub(crate) fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        Ok(retry_on_intr(|| rustix::io::read(self, &mut *into))?)
    }

    /// As [`Socket::read`], but appends to `into`, up to its capacity.
    pub(crate) fn read_onto(&self, into: &mut Vec<u8>) -> io::Result<usize> {
        let read = retry_on_intr(|| rustix::io::read(self, spare_capacity(&mut *into)));
        Ok(read?)
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(retry_on_intr(|| send(self, bytes, SendFlags::NOSIGNAL))?)
    }

    pub(crate) fn write_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(retry_on_intr(|| rustix::io::writev(self, parts))?)
    }

    /// As [`Socket::write`], if more follows at once and should share the packet.
    pub(crate) fn write_more(&self, bytes: &[u8]) -> io::Result<usize> {
        let flags = SendFlags::NOSIGNAL | SendFlags::MORE;
        Ok(retry_on_intr(|| send(self, bytes, flags))?)
    }

    /// Sends up to `count` bytes of `file` without copying them to this process; 0 at its end.
    pub(crate) fn send_file(&self, file: &File, offset: u64, count: usize) -> io::Result<usize> {
        let mut at = offset;
        Ok(retry_on_intr(|| {
            sendfile(self, file, Some(&mut at), count)
        })?)
    }

    /// Waits until the socket takes more, or until `deadline`; without one there is no limit.
    pub(crate) fn wait_for_room(&self, deadline: Option<Instant>) -> io::Result<()> {
        let timeout = match deadline {
            None => PollTimeout::NONE,
            // Rounded up: otherwise short waits would follow each other until the deadline.
            Some(at) => {
                let left = at.saturating_duration_since(Instant::now());
                let left = left.saturating_add(Duration::from_millis(1));
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
            }
        };
        let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLOUT)];
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Octets in the socket that the client's system has not acknowledged; 0 if the kernel does not report it.
    pub(crate) fn unacknowledged(&self) -> u64 {
        sys::unacknowledged(self).unwrap_or(0)
    }

    /// Whether the client has sent bytes that have not been read.
    pub(crate) fn has_input(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        matches!(recv(self, &mut [0], flags), Ok((_, 1..)))
    }

    /// How long the octets that came last have been here, if nothing was read meanwhile. Zero if the kernel does not report
    /// it: all but TCP.
    pub(crate) fn unread_for(&self) -> Duration {
        tcp_info::since_last_data(self).unwrap_or_default()
    }

    /// Whether the client has left, even if octets of it are unread: over TLS a close_notify comes before the end. TCP does
    /// not tell a client that leaves from one that has sent all, and only shuts down its side: the former is one that has
    /// done so later than `sent_all`.
    pub(crate) fn has_lost_client(&self, sent_all: Instant) -> bool {
        // nix has no name for one side.
        let mut fds = [event::PollFd::new(self, event::PollFlags::RDHUP)];
        let ready = event::poll(&mut fds, Some(&event::Timespec::default()));
        if !ready.is_ok_and(|ready| ready > 0) {
            return false;
        }
        let both_sides = event::PollFlags::HUP | event::PollFlags::ERR;
        if fds[0].revents().intersects(both_sides) {
            return true;
        }
        // Nothing comes after the end.
        let since_end = tcp_info::since_last_segment(self);
        since_end.is_some_and(|it| Instant::now().saturating_duration_since(sent_all) > it)
    }

    /// The other end of the socket; `None` if it was reset.
    pub(crate) fn peer(&self) -> Option<Peer> {
        match self {
            Self::Tcp(socket) => socket.peer_addr().ok().map(Peer::Tcp),
            Self::Unix(_) => Some(Peer::Unix),
        }
    }

    /// Ends the connection so that the peer sees a failure (RFC 9293 section 3.10.5), even if another process has the
    /// socket. Works for TCP only.
    pub(crate) fn reset(&self) {
        let _ = rustix::net::connect_unspec(self);
    }

    /// Shuts down one or both directions of the socket; it is not an error if the peer is gone.
    pub(crate) fn shutdown(&self, how: Shutdown) {
        let _ = match self {
            Self::Tcp(socket) => socket.shutdown(how),
            Self::Unix(socket) => socket.shutdown(how),
        };
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// Waits until the kernel has passed on what the client did.
    fn until_it_has_ended(socket: &Socket) {
        let mut fds = [event::PollFd::new(socket, event::PollFlags::RDHUP)];
        assert_eq!(event::poll(&mut fds, None), Ok(1));
    }

    fn tcp() -> (std::net::TcpStream, Socket) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let client = std::net::TcpStream::connect(address).expect("a connection");
        let (accepted, _) = listener.accept().expect("a connection");
        (client, Socket::Tcp(TcpStream::from_std(accepted)))
    }

    #[test]
    fn who_shuts_down_its_side_at_once_waits_and_later_has_left() {
        let (client, socket) = tcp();
        let now = Instant::now();
        let (before, after) = (now.checked_sub(HOUR).expect("a moment"), now + HOUR);
        assert!(!socket.has_lost_client(before), "it is there");
        client.shutdown(Shutdown::Write).expect("shut down");
        until_it_has_ended(&socket);
        assert!(!socket.has_lost_client(after));
        assert!(socket.has_lost_client(before));
    }

    #[test]
    fn who_resets_its_connection_has_left() {
        let (client, socket) = tcp();
        socket2::SockRef::from(&client)
            .set_linger(Some(Duration::ZERO))
            .expect("an option");
        drop(client);
        until_it_has_ended(&socket);
        assert!(socket.has_lost_client(Instant::now() + HOUR));
    }

    #[test]
    fn unix_sockets_tell_one_side_from_both() {
        let (client, socket) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let socket = Socket::Unix(UnixStream::from_std(socket));
        let now = Instant::now();
        let before = now.checked_sub(HOUR).expect("a moment");
        client.shutdown(Shutdown::Write).expect("shut down");
        until_it_has_ended(&socket);
        assert!(!socket.has_lost_client(before));
        drop(client);
        assert!(socket.has_lost_client(now + HOUR));
    }
}
