//! The end of a worker: the fate of its connections.
//!
//! If siblings live on, connections between requests go to them over the handoff socket, with their unread bytes, and
//! clients notice nothing. If the whole server stops, a client that was active a moment ago gets one more response
//! with `Connection: close`; the other connections are closed. The same always holds for connections that are bound
//! to this process.

use std::io;
use std::time::{Duration, Instant};

use log::{info, warn};
use nix::sys::signal::Signal;
use oxicorn_common::Message;
use oxicorn_common::message::PROBE;

use super::Reactor;
use crate::connection::{Connection, ConnectionState};
use crate::handoff;
use crate::http::RequestError;
use crate::stack_report;

/// A client that was active within this time may have a request on its way.
const RECENTLY: Duration = Duration::from_secs(1);

/// A drain in progress.
#[derive(Debug)]
pub(super) struct Drain {
    /// When the remaining connections are abandoned.
    deadline: Instant,
    siblings: bool,
    /// Tokens of idle connections that found no room in the queue to the siblings.
    kept: Vec<usize>,
}

impl Drain {
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether other workers continue to serve.
    pub(super) fn has_siblings(&self) -> bool {
        self.siblings
    }
}

impl Reactor {
    /// Whether there is nothing left to do in this process.
    pub(crate) fn is_finished(&mut self) -> bool {
        let Some(drain) = &self.drain else {
            return self.quit;
        };
        let adopted = self.shared.adoptions.count();
        let idle = self.table.len() + adopted == self.timed_out;
        if !idle && self.now >= drain.deadline {
            warn!(
                "graceful_timeout is over: abandoning {} connections",
                self.table.len()
            );
            self.refuse_waiting();
            return true;
        }
        let logs_done = self.shared.stack_log.is_idle() || self.now >= drain.deadline;
        self.quit || (idle && logs_done)
    }

    /// Answers the requests that still wait for a thread: the application holds all threads.
    fn refuse_waiting(&mut self) {
        for connection in self.shared.ready.take_all(Connection::has_request) {
            self.refuse(connection, &RequestError::NoThread);
        }
    }

    pub(super) fn obey_signals(&mut self) -> io::Result<()> {
        for signal in self.signals.take() {
            match signal {
                Signal::SIGTERM => self.begin_drain()?,
                Signal::SIGINT | Signal::SIGQUIT | Signal::SIGABRT => {
                    self.quit = true;
                    self.shared.quit(signal);
                }
                Signal::SIGUSR1 => oxicorn_common::logging::reopen(),
                PROBE => {
                    self.shared.master.send(&Message::Alive);
                    stack_report::answer_if_asked(&self.shared);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Accepts no more than the clients that already wait, and lets go of idle connections.
    fn begin_drain(&mut self) -> io::Result<()> {
        if self.drain.is_some() {
            return Ok(());
        }
        let siblings = self.shared.siblings.go_on();
        self.shared.begin_drain(!siblings);
        self.drain = Some(Drain {
            deadline: self.now + self.shared.settings.graceful_timeout,
            siblings,
            kept: Vec::new(),
        });
        // The kernel may have woken this worker alone for a waiting connection.
        let waiting = self.acceptor.close(siblings)?;
        info!(
            "{} draining: {} connections{}",
            self.shared.role.noun(),
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
        let receiving = self
            .table
            .iter()
            .filter(|(_, it)| it.lifecycle().is_receiving());
        let tokens: Vec<usize> = receiving.map(|(token, _)| token).collect();
        for token in tokens {
            if let Some(connection) = self.table.take(token) {
                self.rest(connection);
            }
        }
        Ok(())
    }

    /// Lets go of a connection without a current request, unless its client was active a moment ago.
    pub(super) fn rest_in_drain(&mut self, mut connection: Box<Connection>, has_siblings: bool) {
        let timeout = match connection.state() {
            ConnectionState::Body => return self.hold(connection, false),
            ConnectionState::Idle => self.shared.settings.keepalive,
            _ => self.shared.settings.header_timeout,
        };
        if has_siblings && !connection.is_bound() {
            if self.shared.siblings.go_on() {
                return self.pass_on(connection);
            }
            // The siblings have been told to end too.
            self.shared.close();
        }
        let deadline = connection.lifecycle().deadline();
        if deadline.is_some_and(|at| at <= self.now + RECENTLY) {
            // Its time was cut before, and it has made little progress since.
            return self.hold(connection, false);
        }
        let active = deadline.and_then(|at| at.checked_sub(timeout));
        let until = active.unwrap_or(self.now) + RECENTLY;
        if until <= self.now && connection.buffers().is_none() {
            return self.say_goodbye(connection);
        }
        connection.lifecycle_mut().end_at(until.max(self.now));
        self.hold(connection, false);
    }
    /// Gives a connection between two requests to a sibling, or keeps it for a while if the queue is full.
    fn pass_on(&mut self, mut connection: Box<Connection>) {
        self.poller.unwatch(&mut connection);
        if handoff::pass(&self.handoff, &connection) {
            return self.forget(connection);
        }
        if let (Some(drain), Some(token)) = (&mut self.drain, connection.token())
            && !drain.kept.contains(&token)
        {
            drain.kept.push(token);
        }
        self.hold(connection, false);
    }

    /// Whether connections wait for room in the queue to the siblings.
    pub(super) fn keeps_any(&self) -> bool {
        matches!(&self.drain, Some(drain) if !drain.kept.is_empty())
    }

    /// Gives away connections that had to wait for room in the queue, until it is full again.
    pub(super) fn pass_on_kept(&mut self) {
        let Some(drain) = &mut self.drain else { return };
        let mut kept = std::mem::take(&mut drain.kept);
        while !self.keeps_any()
            && let Some(token) = kept.pop()
        {
            let idles = |it: &mut Connection| it.lifecycle().is_receiving();
            if let Some(connection) = self.table.take_if(token, idles) {
                self.rest(connection);
            }
        }
        if let Some(drain) = &mut self.drain {
            drain.kept.append(&mut kept);
        }
    }
}
