//! Records over a connection: queued within bounds, sent as the receiver takes them, and sent again
//! from the beginning of the record when the connection breaks in the middle of one.
//!
//! ```text
//!   idle --push--> connecting --> connected --broken--> idle, and again after RETRY
//! ```
//!
//! Each process has a connection of its own: a forked copy lets go of its parent's and of what the
//! parent has queued.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{SockAddr, Socket, Type};

use super::{resolve, socket_for};

/// Bytes that wait for the receiver at most.
const QUEUE: usize = 1024 * 1024;
/// How long after a failed connection the next is tried.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(in crate::logging) struct Stream {
    addresses: Vec<SockAddr>,
    next: usize,
    link: Link,
    retry_at: Option<Instant>,
    /// Why the last connection failed.
    trouble: Option<io::Error>,
    queue: VecDeque<Vec<u8>>,
    queued_bytes: usize,
    /// How much of the first record is sent.
    sent: usize,
    owner: u32,
}

#[derive(Debug)]
enum Link {
    Idle,
    Connecting(Socket),
    Connected(Socket),
}

impl Stream {
    pub(in crate::logging) fn tcp(host: &str, port: u16) -> io::Result<Self> {
        let addresses = resolve(host, port)?;
        Ok(Self::to(
            addresses.into_iter().map(SockAddr::from).collect(),
        ))
    }

    pub(in crate::logging) fn unix(path: &Path) -> io::Result<Self> {
        Ok(Self::to(vec![SockAddr::unix(path)?]))
    }

    fn to(addresses: Vec<SockAddr>) -> Self {
        Self {
            addresses,
            next: 0,
            link: Link::Idle,
            retry_at: None,
            trouble: None,
            queue: VecDeque::new(),
            queued_bytes: 0,
            sent: 0,
            owner: std::process::id(),
        }
    }

    /// Queues a record and sends what can be sent. The error is why there is no room for it.
    pub(in crate::logging) fn push(&mut self, record: Vec<u8>) -> io::Result<()> {
        self.own();
        if self.queued_bytes + record.len() > QUEUE {
            self.pump();
        }
        if self.queued_bytes + record.len() > QUEUE {
            let trouble = self.trouble.as_ref().and_then(io::Error::raw_os_error);
            return Err(trouble.map_or(
                io::ErrorKind::WouldBlock.into(),
                io::Error::from_raw_os_error,
            ));
        }
        self.queued_bytes += record.len();
        self.queue.push_back(record);
        self.pump();
        Ok(())
    }

    /// Whether records wait.
    pub(in crate::logging) fn is_waiting(&self) -> bool {
        !self.queue.is_empty() && self.owner == std::process::id()
    }

    /// Whether everything could be sent lately.
    pub(in crate::logging) fn is_well(&self) -> bool {
        self.queue.is_empty() && self.trouble.is_none()
    }

    /// Sends what the receiver takes, without waiting.
    pub(in crate::logging) fn pump(&mut self) {
        self.own();
        if let Err(error) = self.advance() {
            self.link = Link::Idle;
            self.sent = 0;
            self.next = (self.next + 1) % self.addresses.len().max(1);
            // The other addresses of the name are tried first.
            self.retry_at = (self.next == 0).then(|| Instant::now() + RETRY);
            self.trouble = Some(error);
        }
    }

    /// Sends what the receiver takes, and waits for it until `deadline`.
    pub(in crate::logging) fn drain(&mut self, deadline: Instant) {
        while self.is_waiting() {
            self.pump();
            let (Link::Connecting(socket) | Link::Connected(socket)) = &self.link else {
                return;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
            let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
            if left.is_zero() || !self.is_waiting() || poll(&mut fds, timeout).unwrap_or(0) == 0 {
                return;
            }
        }
    }

    /// A process that was forked begins anew.
    fn own(&mut self) {
        let process = std::process::id();
        if self.owner != process {
            self.owner = process;
            self.link = Link::Idle;
            self.queue.clear();
            (self.queued_bytes, self.sent) = (0, 0);
        }
    }

    fn advance(&mut self) -> io::Result<()> {
        if self.queue.is_empty() || self.retry_at.is_some_and(|at| Instant::now() < at) {
            return Ok(());
        }
        if matches!(self.link, Link::Idle) {
            self.link = self.connect()?;
        }
        if let Link::Connecting(socket) = &self.link {
            let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
            if poll(&mut fds, PollTimeout::ZERO)? == 0 {
                return Ok(());
            }
            if let Some(error) = socket.take_error()? {
                return Err(error);
            }
            let Link::Connecting(socket) = std::mem::replace(&mut self.link, Link::Idle) else {
                return Ok(());
            };
            self.link = Link::Connected(socket);
        }
        self.send()
    }

    fn connect(&mut self) -> io::Result<Link> {
        self.retry_at = None;
        let address = &self.addresses[self.next];
        let socket = socket_for(address, Type::STREAM)?;
        match socket.connect(address) {
            Ok(()) => Ok(Link::Connected(socket)),
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {
                Ok(Link::Connecting(socket))
            }
            Err(error) => Err(error),
        }
    }

    fn send(&mut self) -> io::Result<()> {
        let Link::Connected(socket) = &self.link else {
            return Ok(());
        };
        // A receiver that has gone would take one more record and drop it.
        if matches!((&mut &*socket).read(&mut [0; 64]), Ok(0)) {
            return Err(io::Error::from_raw_os_error(libc::ECONNRESET));
        }
        while let Some(record) = self.queue.front() {
            match socket.send_with_flags(&record[self.sent..], libc::MSG_NOSIGNAL) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if self.sent >= record.len() {
                self.queued_bytes -= record.len();
                self.queue.pop_front();
                self.sent = 0;
                self.trouble = None;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn record(number: usize) -> Vec<u8> {
        let mut record = format!("record {number:06}").into_bytes();
        record.push(0);
        record
    }

    #[test]
    fn records_survive_a_receiver_that_comes_late_and_one_that_goes() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let mut stream = Stream::tcp("127.0.0.1", address.port()).expect("an address");
        stream.push(record(0)).expect("room");
        let deadline = Instant::now() + PATIENCE;
        while stream.trouble.is_none() {
            assert!(Instant::now() < deadline, "nobody listens there");
            stream.pump();
        }
        let listener = TcpListener::bind(address).expect("the same address");
        stream.retry_at = None;
        stream.push(record(1)).expect("room");
        stream.drain(deadline);
        let mut receiver = listener.accept().expect("a connection").0;
        let mut got = vec![0; 2 * record(0).len()];
        receiver.read_exact(&mut got).expect("two records");
        assert_eq!(got, [record(0), record(1)].concat());
        drop(receiver);
        stream.push(record(2)).expect("room");
        while matches!(stream.link, Link::Connected(_)) {
            assert!(Instant::now() < deadline, "the receiver has gone");
            stream.pump();
        }
    }

    #[test]
    fn a_receiver_that_reads_nothing_costs_no_more_than_the_queue() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let port = listener.local_addr().expect("an address").port();
        let mut stream = Stream::tcp("127.0.0.1", port).expect("an address");
        let long = vec![b'x'; 60_000];
        let started = Instant::now();
        let mut pushed = 0;
        while stream.push(long.clone()).is_ok() {
            pushed += 1;
            assert!(pushed < 10_000, "no bound");
        }
        assert!(stream.queued_bytes <= QUEUE && started.elapsed() < PATIENCE);
        let mut receiver = listener.accept().expect("a connection").0;
        let reader = std::thread::spawn(move || {
            let mut got = vec![0; pushed * 60_000];
            receiver.read_exact(&mut got).expect("all that was queued");
            receiver.write_all(b"!").expect("a connection");
        });
        while stream.is_waiting() {
            assert!(started.elapsed() < PATIENCE);
            stream.drain(Instant::now() + Duration::from_millis(100));
        }
        reader.join().expect("whole records");
    }
}
