//! Wraps the poll: decides how long it waits, and which sockets it watches.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};

use crate::connection::Connection;

/// Tokens that are never a connection's.
pub(super) const WAKER: usize = usize::MAX - 1;
pub(super) const SIGNALS: usize = usize::MAX - 2;
pub(super) const FIRST_LISTENER: usize = usize::MAX / 2;

/// Events per turn. This many requests may then wait with their buffers, and should fit into the processor's
/// cache; the kernel reports the earliest first.
const EVENTS: usize = 32;
/// Events at most this far apart count as dense.
const BRISK: Duration = Duration::from_micros(50);
/// The most polls without waiting, before the thread sleeps, while events are dense.
const LOOKS: usize = 48;

#[derive(Debug)]
pub(super) struct Poller {
    poll: Poll,
    events: Events,
    /// The last event came within `BRISK`.
    brisk: bool,
    /// There is a processor per worker.
    has_processor: bool,
    /// A signal may have come to the thread that waited.
    interrupted: bool,
}

impl Poller {
    /// Also returns the waker of the thread that waits.
    pub(super) fn new(workers: usize, signals: BorrowedFd<'_>) -> io::Result<(Self, Waker)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), Token(WAKER))?;
        let fd = signals.as_raw_fd();
        poll.registry()
            .register(&mut SourceFd(&fd), Token(SIGNALS), Interest::READABLE)?;
        let poller = Self {
            poll,
            events: Events::with_capacity(EVENTS),
            brisk: false,
            has_processor: has_processor(workers),
            interrupted: false,
        };
        Ok((poller, waker))
    }

    pub(super) fn poll(&self) -> &Poll {
        &self.poll
    }

    /// Waits for events, and returns the time; `before` is the end of the last turn. Under load the next event is
    /// often so near that sleeping, and being woken by the client's processor, costs both sides more than a few
    /// more polls. If workers share processors the thread sleeps at once, so that others can use the time.
    pub(super) fn wait(&mut self, timeout: Duration, before: Instant) -> io::Result<Instant> {
        let looks = if self.brisk && self.has_processor && !timeout.is_zero() {
            LOOKS
        } else {
            0
        };
        for _ in 0..looks {
            self.poll_once(Duration::ZERO)?;
            if !self.events.is_empty() {
                break;
            }
        }
        if looks == 0 || self.events.is_empty() {
            self.poll_once(timeout)?;
            // Either a signal has cut the wait short, or it was a full wait and a signal may have come before it.
            self.interrupted = self.events.is_empty() && !timeout.is_zero();
        }
        let now = Instant::now();
        self.brisk = now - before < BRISK;
        Ok(now)
    }

    fn poll_once(&mut self, timeout: Duration) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    /// The events of the last wait; the caller puts them back.
    pub(super) fn take_events(&mut self) -> Events {
        std::mem::replace(&mut self.events, Events::with_capacity(0))
    }

    pub(super) fn put_back(&mut self, events: Events) {
        self.events = events;
    }

    /// Whether a signal may have come to the thread that waited. True only once.
    pub(super) fn take_interrupted(&mut self) -> bool {
        std::mem::take(&mut self.interrupted)
    }

    /// Watches a connection for reading, and `for_writing` on request. Once watched for writing, it stays so.
    pub(super) fn watch(
        &self,
        connection: &mut Connection,
        token: usize,
        for_writing: bool,
    ) -> io::Result<()> {
        let watched = connection.watched();
        if watched.is_some_and(|writing| writing || !for_writing) {
            return Ok(());
        }
        let fd = connection.transport().as_raw_fd();
        let mut source = SourceFd(&fd);
        let interest = match for_writing {
            true => Interest::READABLE | Interest::WRITABLE,
            false => Interest::READABLE,
        };
        let registry = self.poll.registry();
        match watched {
            None => registry.register(&mut source, Token(token), interest)?,
            Some(_) => registry.reregister(&mut source, Token(token), interest)?,
        }
        connection.set_watched(Some(for_writing));
        Ok(())
    }

    /// Stops watching a connection. Closing it is not enough if another process has it: epoll watches the open
    /// file, not the descriptor (epoll(7), question 6).
    pub(super) fn unwatch(&self, connection: &mut Connection) {
        if connection.watched().is_some() {
            connection.set_watched(None);
            let fd = connection.transport().as_raw_fd();
            let _ = self.poll.registry().deregister(&mut SourceFd(&fd));
        }
    }
}

/// Whether there is a processor per worker: then repeated polls take no time from other processes.
fn has_processor(workers: usize) -> bool {
    std::thread::available_parallelism().is_ok_and(|count| workers <= count.get())
}
