//! Records over a connection: they wait in a bounded queue and are sent as the receiver takes them. When the
//! connection breaks in the middle of a record, the whole record is sent again.
//!
//! ```text
//!   idle --push--> connecting --> connected --broken--> idle, and again after RETRY
//! ```
//!
//! Each process has a connection of its own: a forked copy drops its parent's connection and queue.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{SockAddr, Socket, Type};

use super::resolve::{resolve, socket_for};
use crate::logging::host_port::HostPort;

/// Bytes that may wait for the receiver.
const QUEUE: usize = 1024 * 1024;
/// From a failed connection to the next attempt.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(in crate::logging) struct StreamSender {
    addresses: Vec<SockAddr>,
    next: usize,
    link: StreamLink,
    retry_at: Option<Instant>,
    /// Why the last connection failed.
    trouble: Option<io::Error>,
    queue: VecDeque<Vec<u8>>,
    queued_bytes: usize,
    /// Bytes of the first record that are sent.
    sent: usize,
    /// The process that it belongs to.
    owner: u32,
}

#[derive(Debug)]
enum StreamLink {
    Idle,
    Connecting(Socket),
    Connected(Socket),
}

impl StreamSender {
    pub(in crate::logging) fn tcp(place: &HostPort) -> io::Result<Self> {
        let addresses = resolve(place)?;
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
            link: StreamLink::Idle,
            retry_at: None,
            trouble: None,
            queue: VecDeque::new(),
            queued_bytes: 0,
            sent: 0,
            owner: std::process::id(),
        }
    }

    /// Queues a record and sends what can be sent. An error means that the queue is full, and says why the
    /// last connection failed.
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

    /// That of the connection, if there is one.
    pub(in crate::logging) fn descriptor(&self) -> Option<RawFd> {
        match &self.link {
            StreamLink::Idle => None,
            StreamLink::Connecting(socket) | StreamLink::Connected(socket) => {
                Some(socket.as_raw_fd())
            }
        }
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
            self.link = StreamLink::Idle;
            self.sent = 0;
            self.next = (self.next + 1) % self.addresses.len().max(1);
            // The other addresses of the name are tried first.
            self.retry_at = (self.next == 0).then(|| Instant::now() + RETRY);
            self.trouble = Some(error);
        }
    }

    /// As [`StreamSender::pump`], but waits for the receiver until `deadline`.
    pub(in crate::logging) fn drain(&mut self, deadline: Instant) {
        while self.is_waiting() {
            self.pump();
            let (StreamLink::Connecting(socket) | StreamLink::Connected(socket)) = &self.link
            else {
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

    /// A forked process begins with an empty queue and no connection.
    fn own(&mut self) {
        let process = std::process::id();
        if self.owner != process {
            self.owner = process;
            self.link = StreamLink::Idle;
            self.queue.clear();
            (self.queued_bytes, self.sent) = (0, 0);
        }
    }

    fn advance(&mut self) -> io::Result<()> {
        if self.queue.is_empty() || self.retry_at.is_some_and(|at| Instant::now() < at) {
            return Ok(());
        }
        if matches!(self.link, StreamLink::Idle) {
            self.link = self.connect()?;
        }
        if let StreamLink::Connecting(socket) = &self.link {
            let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
            if poll(&mut fds, PollTimeout::ZERO)? == 0 {
                return Ok(());
            }
            if let Some(error) = socket.take_error()? {
                return Err(error);
            }
            let StreamLink::Connecting(socket) =
                std::mem::replace(&mut self.link, StreamLink::Idle)
            else {
                return Ok(());
            };
            self.link = StreamLink::Connected(socket);
        }
        self.send()
    }

    fn connect(&mut self) -> io::Result<StreamLink> {
        self.retry_at = None;
        let address = &self.addresses[self.next];
        let socket = socket_for(address, Type::STREAM)?;
        match socket.connect(address) {
            Ok(()) => Ok(StreamLink::Connected(socket)),
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {
                Ok(StreamLink::Connecting(socket))
            }
            Err(error) => Err(error),
        }
    }

    fn send(&mut self) -> io::Result<()> {
        let StreamLink::Connected(socket) = &self.link else {
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

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn place(port: u16) -> HostPort {
        let host = "127.0.0.1".to_owned();
        HostPort { host, port }
    }

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
        let mut stream = StreamSender::tcp(&place(address.port())).expect("an address");
        stream.push(record(0)).expect("room");
        let deadline = Instant::now() + TIMEOUT;
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
        while matches!(stream.link, StreamLink::Connected(_)) {
            assert!(Instant::now() < deadline, "the receiver has gone");
            stream.pump();
        }
    }

    #[test]
    fn a_receiver_that_reads_nothing_costs_no_more_than_the_queue() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let port = listener.local_addr().expect("an address").port();
        let mut stream = StreamSender::tcp(&place(port)).expect("an address");
        let long = vec![b'x'; 60_000];
        let started = Instant::now();
        let mut pushed = 0;
        while stream.push(long.clone()).is_ok() {
            pushed += 1;
            assert!(pushed < 10_000, "no bound");
        }
        assert!(stream.queued_bytes <= QUEUE && started.elapsed() < TIMEOUT);
        let mut receiver = listener.accept().expect("a connection").0;
        let reader = std::thread::spawn(move || {
            let mut got = vec![0; pushed * 60_000];
            receiver.read_exact(&mut got).expect("all that was queued");
            receiver.write_all(b"!").expect("a connection");
        });
        while stream.is_waiting() {
            assert!(started.elapsed() < TIMEOUT);
            stream.drain(Instant::now() + Duration::from_millis(100));
        }
        reader.join().expect("whole records");
    }
}
