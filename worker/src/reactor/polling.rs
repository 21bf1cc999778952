//! The reactor and its poll: how long it waits there, and what it watches.

use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use log::warn;
use mio::unix::SourceFd;
use mio::{Interest, Token};

use super::{Reactor, TableEntry};
use crate::connection::Connection;

/// An idle worker turns at least so often, to beat.
pub(super) const LONGEST_TURN: Duration = Duration::from_secs(1);
/// The same while log lines wait for their receiver.
const LOG_TURN: Duration = Duration::from_millis(100);
/// The same while connections wait for room in the queue to the siblings.
const QUEUE_TURN: Duration = Duration::from_millis(10);
/// Events that are no further apart come thick and fast.
const BRISK: Duration = Duration::from_micros(50);
/// How often to look for the next one then, before going to sleep.
const LOOKS: usize = 48;

impl Reactor {
    /// Waits in the poll. Under load the next event is often so near that going to sleep, and being
    /// woken by the client's processor, costs both sides more than looking again a few times. Not where
    /// workers share processors: others could use the time.
    pub(super) fn wait(&mut self, timeout: Duration) -> io::Result<()> {
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
            // A wait that a signal has cut short, or the whole of one: a signal may have come before it.
            self.interrupted = self.events.is_empty() && !timeout.is_zero();
        }
        let now = Instant::now();
        self.brisk = now - self.now < BRISK;
        self.now = now;
        Ok(())
    }

    fn poll_once(&mut self, timeout: Duration) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    /// How long the poll may wait.
    pub(super) fn poll_timeout(&self, most: Duration) -> Duration {
        if !self.eager.is_empty() || !self.crowded.is_empty() {
            return Duration::ZERO;
        }
        let next = self.timers.next();
        let until = next.map_or(most, |at| at.saturating_duration_since(self.now));
        let opens = self.shut_until;
        let until = opens.map_or(until, |at| {
            until.min(at.saturating_duration_since(self.now))
        });
        let longest = if self.keeps_any() {
            QUEUE_TURN
        } else if self.logs_wait {
            LOG_TURN
        } else {
            LONGEST_TURN
        };
        most.min(until).min(longest)
    }

    /// Log lines may wait for a receiver that is slow.
    pub(super) fn tend_logs(&mut self) {
        self.logs_wait = oxicorn_common::logging::tend();
    }

    /// Keeps a connection until the poll or a timer names it.
    pub(crate) fn hold(&mut self, mut connection: Box<Connection>, for_writing: bool) {
        let token = connection.token;
        let for_writing = for_writing
            || (connection.preface_state.is_some() && connection.transport.wants_to_write());
        if connection
            .registered
            .is_none_or(|writing| for_writing && !writing)
        {
            let fd = connection.transport.as_raw_fd();
            let mut source = SourceFd(&fd);
            let interest = match for_writing {
                true => Interest::READABLE | Interest::WRITABLE,
                false => Interest::READABLE,
            };
            let registry = self.poll.registry();
            let outcome = match connection.registered {
                None => registry.register(&mut source, Token(token), interest),
                Some(_) => registry.reregister(&mut source, Token(token), interest),
            };
            if let Err(error) = outcome {
                warn!("cannot watch a client: {error}");
                return self.forget(connection);
            }
            connection.registered = Some(for_writing);
        }
        // An event may come for one that waits for its turn already: two turns would soon be many.
        if connection.eager && !self.eager.contains(&token) {
            self.eager.push(token);
        }
        self.timers.arm(&mut connection, self.now);
        self.table[token] = TableEntry::Here(connection);
    }

    /// Takes a connection out of the poll. Closing it would not do where another process has it:
    /// epoll watches the open file, not the descriptor (epoll(7), question 6).
    pub(super) fn unregister(&self, connection: &mut Connection) {
        if connection.registered.take().is_some() {
            let fd = connection.transport.as_raw_fd();
            let _ = self.poll.registry().deregister(&mut SourceFd(&fd));
        }
    }
}
