//! The end of a worker: what it does with the connections it has.
//!
//! When siblings live on, connections between requests go to them over the handoff socket, bytes
//! and all, and no client notices. When the whole server stops, a client that was active a moment
//! ago gets one more answer with `Connection: close`; the others are closed. So it is with those
//! that are bound to this process, whoever lives on.

use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use log::{info, warn};
use nix::sys::signal::Signal;
use oxicorn_common::Message;
use oxicorn_common::message::PROBE;

use super::{AWAY, Reactor, TableEntry};
use crate::connection::{Awaited, Connection, Phase};
use crate::handoff;

/// A client that was active so recently may have a request on its way.
const RECENTLY: Duration = Duration::from_secs(1);

/// A drain under way.
#[derive(Debug)]
pub(super) struct Drain {
    /// When what is left is abandoned.
    deadline: Instant,
    siblings: bool,
    /// Tokens of idle connections for which the queue to the siblings had no room.
    kept: Vec<usize>,
}

impl Reactor {
    /// Whether there is nothing left to do in this process.
    pub(crate) fn is_finished(&self) -> bool {
        let Some(drain) = &self.drain else {
            return self.quit;
        };
        let adopted = self.shared.adopted.load(Ordering::SeqCst);
        let idle = self.table.len() + adopted == self.given_up;
        if !idle && self.now >= drain.deadline {
            warn!(
                "graceful_timeout is over: abandoning {} connections",
                self.table.len()
            );
            return true;
        }
        self.quit || idle
    }

    /// Ends the connections that would else live on in processes that the application has forked: this
    /// one is about to end.
    pub(crate) fn end_shared(&self) {
        for (_, entry) in &self.table {
            if let TableEntry::Here(connection) = entry
                && connection.is_shared()
            {
                connection.transport.shutdown(std::net::Shutdown::Both);
            }
        }
    }

    pub(super) fn obey_signals(&mut self) -> io::Result<()> {
        for signal in self.signals.take() {
            match signal {
                Signal::SIGTERM => self.begin_drain()?,
                Signal::SIGINT | Signal::SIGQUIT | Signal::SIGABRT => {
                    self.quit = true;
                    self.shared.quit_by.store(signal as i32, Ordering::Relaxed);
                }
                Signal::SIGUSR1 => oxicorn_common::logging::reopen(),
                PROBE => self.shared.tell(&Message::Alive),
                _ => {}
            }
        }
        Ok(())
    }

    /// Accepts no more, but for what is waiting already, and lets go of idle connections.
    fn begin_drain(&mut self) -> io::Result<()> {
        if self.drain.is_some() {
            return Ok(());
        }
        let siblings = !self.shared.scoreboard.is_deserted();
        self.shared.begin_drain();
        self.shared.closing.store(!siblings, Ordering::Relaxed);
        let timeout = self.shared.settings.graceful_timeout;
        self.drain = Some(Drain {
            deadline: self.now + timeout,
            siblings,
            kept: Vec::new(),
        });
        // The wake-up for a waiting connection may have come to us alone.
        let waiting = self.acceptor.close(siblings)?;
        info!(
            "Worker draining: {} connections{}",
            self.table.len() + waiting.len(),
            if siblings {
                ", the idle ones go to its siblings"
            } else {
                ""
            }
        );
        for connection in waiting {
            self.admit(Box::new(connection));
        }
        let between_requests: Vec<usize> = self
            .table
            .iter()
            .filter(
                |(_, entry)| matches!(entry, TableEntry::Here(it) if it.phase == Phase::Receiving),
            )
            .map(|(token, _)| token)
            .collect();
        for token in between_requests {
            if let TableEntry::Here(connection) = std::mem::replace(&mut self.table[token], AWAY) {
                self.rest(connection);
            }
        }
        Ok(())
    }

    /// Keeps a connection on which no request is under way, or lets go of it when draining.
    pub(super) fn rest(&mut self, mut connection: Box<Connection>) {
        let Some(drain) = &self.drain else {
            return self.hold(connection, false);
        };
        if connection.awaited == Awaited::Body {
            return self.hold(connection, false);
        }
        if drain.siblings && !connection.is_bound() {
            if !self.shared.scoreboard.is_deserted() {
                return self.pass_on(connection);
            }
            // They have been told to end too.
            self.shared.closing.store(true, Ordering::Relaxed);
        }
        if connection
            .deadline
            .is_some_and(|at| at <= self.now + RECENTLY)
        {
            // Its time has been cut already: it has been here before, and has not come far since.
            return self.hold(connection, false);
        }
        let timeout = match connection.awaited {
            Awaited::Request => self.shared.settings.keepalive,
            _ => self.shared.settings.header_timeout,
        };
        let active = connection.deadline.and_then(|at| at.checked_sub(timeout));
        let until = active.unwrap_or(self.now) + RECENTLY;
        if until <= self.now && connection.buffers.is_none() {
            return self.part(connection);
        }
        connection.deadline = Some(until.max(self.now));
        self.hold(connection, false);
    }

    /// Gives a connection to a sibling, or keeps it for a while when the queue is full.
    fn pass_on(&mut self, mut connection: Box<Connection>) {
        self.unregister(&mut connection);
        if handoff::pass(&self.handoff, &connection) {
            return self.let_go(connection);
        }
        if let Some(drain) = &mut self.drain
            && !drain.kept.contains(&connection.token)
        {
            drain.kept.push(connection.token);
        }
        self.hold(connection, false);
    }

    /// Whether connections wait for room in the queue to the siblings.
    pub(super) fn keeps_any(&self) -> bool {
        matches!(&self.drain, Some(drain) if !drain.kept.is_empty())
    }

    /// Gives connections away that the queue had no room for, until it has none again.
    pub(super) fn pass_on_kept(&mut self) {
        let Some(drain) = &mut self.drain else { return };
        let mut kept = std::mem::take(&mut drain.kept);
        while !self.keeps_any()
            && let Some(token) = kept.pop()
        {
            let idles = |it: &Connection| it.phase == Phase::Receiving;
            if let Some(entry) = self.table.get_mut(token)
                && matches!(entry, TableEntry::Here(it) if idles(it))
                && let TableEntry::Here(connection) = std::mem::replace(entry, AWAY)
            {
                self.rest(connection);
            }
        }
        if let Some(drain) = &mut self.drain {
            drain.kept.append(&mut kept);
        }
    }

    /// Gives the requests that wait here for a thread to whichever worker has one first.
    pub(crate) fn share_ready(&mut self) {
        if self.shared.ready.is_empty() || !self.shared.has_siblings() {
            return;
        }
        // One attempt tells that the queue is full: as many as wait here would be as many system calls a turn.
        let mut has_room = true;
        for connection in self.shared.ready.take_all(handoff::fits) {
            if has_room {
                has_room = self.pass_on_ready(connection);
            } else {
                self.shared.ready.push(connection);
            }
        }
    }

    /// Gives away a request that is whole, or keeps it when the queue is full.
    pub(super) fn pass_on_ready(&mut self, mut connection: Box<Connection>) -> bool {
        let passed = handoff::pass_ready(&self.handoff, &connection);
        if passed {
            // The poll would go on watching a socket that a sibling has.
            self.unregister(&mut connection);
            self.let_go(connection);
        } else {
            self.shared.ready.push(connection);
        }
        passed
    }
}
