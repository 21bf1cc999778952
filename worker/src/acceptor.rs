//! The listeners of one worker. A new connection wakes only one worker, which then goes to the end of the kernel's
//! queue, so that workers take turns.
//!
//! A listener is in the poll's own epoll instance with EPOLLEXCLUSIVE, which mio does not offer. It cannot be behind
//! an inner epoll: the kernel counts an exclusive waiter as woken only when a thread waits on that very instance
//! (fs/eventpoll.c, ep_poll_callback), so nested instances would all wake up.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use mio::Poll;
use mio::net::{TcpListener, UnixListener};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use oxicorn_common::request::{Local, Peer};
use oxicorn_common::{Handoff, Listener};
use socket2::SockRef;

use crate::connection::Connection;
use crate::handoff;
use crate::socket::Socket;
use crate::sys;

/// The sockets that one worker accepts from.
#[derive(Debug)]
pub(crate) struct Acceptor {
    epoll: Epoll,
    sockets: Vec<Listening>,
    /// The token of the first socket; the others follow.
    first_token: usize,
    /// New connections wake this worker.
    listens: bool,
    /// Connections that siblings give away wake this worker.
    takes_over: bool,
}

#[derive(Debug)]
enum Listening {
    /// With the address that it is bound to.
    Tcp(TcpListener, Local),
    Unix(UnixListener),
    /// Connections that siblings gave away are announced like new ones: to one idle worker at a time.
    Handoff(Handoff),
}

impl AsFd for Listening {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener, _) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
            Self::Handoff(handoff) => handoff.receiver.as_fd(),
        }
    }
}

impl Acceptor {
    pub(crate) fn new(
        poll: &Poll,
        listeners: Vec<Listener>,
        handoff: Handoff,
        first_token: usize,
    ) -> io::Result<Self> {
        let epoll = sys::epoll_of(poll)?;
        let mut sockets = listeners
            .into_iter()
            .map(|listener| Listening::new(listener.fd))
            .collect::<io::Result<Vec<_>>>()?;
        sockets.push(Listening::Handoff(handoff));
        Ok(Self {
            epoll,
            sockets,
            first_token,
            listens: false,
            takes_over: false,
        })
    }

    /// The index of the listener that `token` belongs to, if it is one.
    pub(crate) fn index_of(&self, token: usize) -> Option<usize> {
        token
            .checked_sub(self.first_token)
            .filter(|&index| index < self.sockets.len())
    }

    /// Starts or stops the wake-ups for new connections, and for those that siblings give away.
    pub(crate) fn set_open(&mut self, listens: bool, takes_over: bool) -> io::Result<()> {
        if (self.listens, self.takes_over) == (listens, takes_over) {
            return Ok(());
        }
        for index in 0..self.sockets.len() {
            let (before, now) = match self.is_handoff(index) {
                true => (self.takes_over, takes_over),
                false => (self.listens, listens),
            };
            match (before, now) {
                (false, true) => self.join(index)?,
                (true, false) => self.leave(index)?,
                _ => {}
            }
        }
        (self.listens, self.takes_over) = (listens, takes_over);
        Ok(())
    }

    /// Whether socket `index` is the one over which siblings give connections away.
    pub(crate) fn is_handoff(&self, index: usize) -> bool {
        matches!(self.sockets.get(index), Some(Listening::Handoff(_)))
    }

    /// Takes one connection, if there is one.
    pub(crate) fn accept(&self, index: usize) -> io::Result<Option<Connection>> {
        let Some(socket) = self.sockets.get(index) else {
            return Ok(None);
        };
        match socket.accept() {
            Err(error) if is_transient(&error) => Ok(None),
            outcome => outcome,
        }
    }

    /// Whether a connection waits at socket `index`.
    pub(crate) fn has_waiting(&self, index: usize) -> bool {
        self.sockets.get(index).is_some_and(|socket| {
            let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
        })
    }

    /// Goes to the end of the queue of workers that socket `index` wakes.
    pub(crate) fn go_last(&self, index: usize) -> io::Result<()> {
        let is_in = match self.is_handoff(index) {
            true => self.takes_over,
            false => self.listens,
        };
        if is_in {
            self.leave(index)?;
            self.join(index)?;
        }
        Ok(())
    }

    /// Goes to the end of all queues, so that idle workers are woken first.
    pub(crate) fn yield_to_siblings(&self) -> io::Result<()> {
        (0..self.sockets.len()).try_for_each(|index| self.go_last(index))
    }

    /// Takes the waiting connections, for the last time, and closes the sockets. Siblings share the connections that
    /// were given away, except for one: the kernel may have woken this worker alone for it.
    pub(crate) fn close(&mut self, siblings: bool) -> io::Result<Vec<Connection>> {
        self.set_open(false, false)?;
        let mut waiting = Vec::new();
        for socket in std::mem::take(&mut self.sockets) {
            let most = match &socket {
                Listening::Handoff(_) if siblings => 1,
                _ => usize::MAX,
            };
            waiting.extend(std::iter::from_fn(|| socket.accept().ok().flatten()).take(most));
        }
        Ok(waiting)
    }

    fn join(&self, index: usize) -> io::Result<()> {
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLEXCLUSIVE;
        let event = EpollEvent::new(flags, (self.first_token + index) as u64);
        Ok(self.epoll.add(&self.sockets[index], event)?)
    }

    fn leave(&self, index: usize) -> io::Result<()> {
        Ok(self.epoll.delete(&self.sockets[index])?)
    }
}

impl Listening {
    fn accept(&self) -> io::Result<Option<Connection>> {
        let connection = match self {
            Self::Tcp(listener, local) => {
                let (stream, peer) = listener.accept()?;
                Connection::new(Socket::Tcp(stream), Peer::Tcp(peer), *local)
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept()?;
                Connection::new(Socket::Unix(stream), Peer::Unix, Local::Unix)
            }
            Self::Handoff(handoff) => return handoff::take(handoff),
        };
        Ok(Some(connection))
    }

    fn new(fd: OwnedFd) -> io::Result<Self> {
        let socket = SockRef::from(&fd);
        socket.set_nonblocking(true)?;
        if socket.domain()? == socket2::Domain::UNIX {
            return Ok(Self::Unix(UnixListener::from_std(fd.into())));
        }
        // Accepted sockets inherit the option, which saves one system call per connection.
        socket.set_tcp_nodelay(true)?;
        let local = socket.local_addr()?.as_socket();
        let local = local.map_or(Local::Unix, Local::Tcp);
        Ok(Self::Tcp(TcpListener::from_std(fd.into()), local))
    }
}

/// Errors of accept(2) that concern one connection, not the listener; also "no connection waits".
fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock
            | io::ErrorKind::Interrupted
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    ) || matches!(
        error.raw_os_error(),
        Some(libc::EPROTO | libc::EPERM | libc::ENETDOWN | libc::EHOSTUNREACH | libc::ENETUNREACH)
    )
}
