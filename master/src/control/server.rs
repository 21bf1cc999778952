//! [`ControlServer`]: the control socket and its clients, in the master's loop. It never waits.
//!
//! ```text
//!   poll --> accept, receive --> requests --> the master
//!                 send <-- answers and progress <--'
//! ```
//!
//! There are few clients: one more than [`MOST_CLIENTS`] takes the place of the one that has been silent longest.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use log::warn;
use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{MsgFlags, send};
use oxicorn_common::Settings;
use serde_json::Value;

use super::listener::ControlListener;
use super::request::ControlRequest;
use super::session::ControlSession;

/// A client, for as long as it is connected.
pub(crate) type ClientId = u64;

const MOST_CLIENTS: usize = 64;
/// The most that one turn accepts: the children wait meanwhile. It takes one request of each client.
const ACCEPTS: usize = 16;
/// After an error of accept(2), as when no descriptors are left.
const PAUSE: Duration = Duration::from_secs(1);
/// The same trouble is not logged more often.
const LOG_EVERY: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct ControlServer {
    pub(crate) listener: ControlListener,
    clients: BTreeMap<ClientId, ControlClient>,
    next_id: ClientId,
    accept_after: Option<Instant>,
    refused_at: Option<Instant>,
    failed_at: Option<Instant>,
}

#[derive(Debug)]
struct ControlClient {
    stream: UnixStream,
    session: ControlSession,
    /// What the last poll has reported.
    ready: PollFlags,
}

impl ControlServer {
    /// A server with the socket that `settings` want.
    pub(crate) fn new(settings: &Settings, suffix: &str) -> Self {
        let mut listener = ControlListener::new();
        listener.configure(settings, suffix, Instant::now());
        Self {
            listener,
            clients: BTreeMap::new(),
            next_id: 1,
            accept_after: None,
            refused_at: None,
            failed_at: None,
        }
    }

    /// What the master has to poll; [`ControlServer::note`] takes the outcome in the same order.
    pub(crate) fn sources(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        let accepts = self
            .listener
            .socket()
            .filter(|_| self.accept_after.is_none());
        let clients = self.clients.values().map(|client| {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::POLLIN, client.session.wants_input());
            flags.set(PollFlags::POLLOUT, !client.session.unsent().is_empty());
            (client.stream.as_fd(), flags)
        });
        let listener = accepts.map(|it| (it.as_fd(), PollFlags::POLLIN));
        clients.chain(listener)
    }

    /// What the poll has reported.
    pub(crate) fn note(&mut self, reported: impl Iterator<Item = PollFlags>) {
        for (client, flags) in self.clients.values_mut().zip(reported) {
            client.ready = flags;
        }
    }

    /// When [`ControlServer::turn`] is due, even if no client does anything.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        let sessions = || self.clients.values().map(|client| &client.session);
        let pending = sessions().any(ControlSession::is_pending).then_some(now);
        let ends = sessions().filter_map(ControlSession::deadline);
        let others = [pending, self.accept_after, self.listener.deadline()];
        ends.chain(others.into_iter().flatten()).min()
    }

    /// Serves the clients; returns the requests that the master has to answer.
    pub(crate) fn turn(&mut self, now: Instant) -> Vec<(ClientId, ControlRequest)> {
        self.listener.check_if_due(now);
        self.accept(now);
        let mut requests = Vec::new();
        let mut gone = Vec::new();
        for (&id, client) in &mut self.clients {
            let is_alive = client.turn(now);
            requests.extend(client.session.next_request().map(|it| (id, it)));
            if !is_alive || client.session.deadline().is_some_and(|at| at <= now) {
                gone.push(id);
            }
        }
        // A request that has come with the end of its client is served all the same.
        let asks = |id: &ClientId| requests.iter().any(|(client, _)| client == id);
        gone.retain(|id| !asks(id));
        gone.iter().for_each(|id| drop(self.clients.remove(id)));
        requests
    }

    /// Answers the open request of a client.
    pub(crate) fn answer(&mut self, id: ClientId, answer: Result<Value, String>) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.session.answer(answer);
        }
    }

    /// Tells a client that waits for its answer what happens.
    pub(crate) fn report(&mut self, id: ClientId, data: &Value) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.session.report(data);
        }
    }

    /// Whether a client is connected and has not been answered.
    pub(crate) fn is_waiting(&self, id: ClientId) -> bool {
        let client = self.clients.get(&id);
        client.is_some_and(|client| client.session.is_waiting())
    }

    /// Sends what the clients take now.
    pub(crate) fn flush(&mut self, now: Instant) {
        self.clients
            .retain(|_, client| client.send(now) && !client.session.is_over());
    }

    fn accept(&mut self, now: Instant) {
        if self.accept_after.is_some_and(|at| at > now) {
            return;
        }
        self.accept_after = None;
        for _ in 0..ACCEPTS {
            let Some(socket) = self.listener.socket() else {
                return;
            };
            let (stream, refusal) = match socket.accept() {
                Ok(client) => client,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // The next may be another client.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                Err(error) => {
                    let text = format!("Cannot accept a control client: {error}");
                    log_seldom(&text, &mut self.failed_at, now);
                    self.accept_after = Some(now + PAUSE);
                    return;
                }
            };
            if !self.make_room(now) {
                // Closed: all others wait for the master.
                continue;
            }
            let session = match refusal {
                None => ControlSession::new(now),
                Some(reason) => {
                    let text = format!("Control client refused: {reason}");
                    log_seldom(&text, &mut self.refused_at, now);
                    ControlSession::refused(reason, now)
                }
            };
            let client = ControlClient {
                stream,
                session,
                ready: PollFlags::POLLIN,
            };
            self.clients.insert(self.next_id, client);
            self.next_id += 1;
        }
    }

    /// Whether there is room for a client; sends the one away that has been silent longest if there is none.
    fn make_room(&mut self, now: Instant) -> bool {
        if self.clients.len() < MOST_CLIENTS {
            return true;
        }
        let idle = self.clients.iter();
        let idle = idle.filter_map(|(&id, client)| Some((client.session.idle_since(now)?, id)));
        match idle.min() {
            Some((_, id)) => self.clients.remove(&id).is_some(),
            None => false,
        }
    }
}

fn log_seldom(text: &str, logged_at: &mut Option<Instant>, now: Instant) {
    let is_due = |at: Instant| now.saturating_duration_since(at) >= LOG_EVERY;
    if logged_at.is_none_or(is_due) {
        warn!("{text}");
        *logged_at = Some(now);
    }
}

impl ControlClient {
    /// Sends and receives what is possible now; false if the client is gone.
    fn turn(&mut self, now: Instant) -> bool {
        let ready = std::mem::replace(&mut self.ready, PollFlags::empty());
        if !self.send(now) {
            return false;
        }
        if self.session.wants_input() {
            let input = PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR;
            return !ready.intersects(input) || self.receive(now);
        }
        // It has hung up, and will take no answer.
        !ready.intersects(PollFlags::POLLHUP | PollFlags::POLLERR)
    }

    fn send(&mut self, now: Instant) -> bool {
        while !self.session.unsent().is_empty() {
            let fd = self.stream.as_raw_fd();
            // A program that embeds the server may die of SIGPIPE.
            match send(fd, self.session.unsent(), MsgFlags::MSG_NOSIGNAL) {
                Ok(0) => return false,
                Ok(count) => self.session.sent(count, now),
                Err(Errno::EINTR) => {}
                Err(errno) => return errno == Errno::EAGAIN,
            }
        }
        true
    }

    fn receive(&mut self, now: Instant) -> bool {
        let mut octets = [0; 4096];
        // As much as one request may have, so that a flood is no work without end.
        match (&self.stream).read(&mut octets) {
            Ok(0) => self.session.end_input(),
            Ok(count) => self.session.receive(&octets[..count], now),
            Err(error) => {
                let kind = error.kind();
                return matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted);
            }
        }
        true
    }
}
