//! A connection: a client's socket, the bytes read from it, and the bytes still to be sent.
//!
//! The reactor owns a connection while it waits, a request thread while the application runs for it. It
//! moves between them whole, so neither needs a lock. Its state is `state`, a state machine without I/O;
//! `receive` is the one place that reads from the socket.

mod buffers;
mod identity;
mod receive;
mod send;
mod state;

use std::sync::Arc;
use std::time::Instant;

use oxicorn_common::forks;
use oxicorn_common::request::{Local, Peer, Request, RequestHead};

use crate::http::{RequestError, Rules};
use crate::pace::AckProgress;
use crate::rate_limits::LimitFields;
use crate::response::{AccessRecord, ResponseWriter};
use crate::socket::Socket;
use crate::tls::TlsSession;
use crate::transport::Transport;

pub(crate) use buffers::RequestBuffers;
pub(crate) use identity::ClientIdentity;
pub(crate) use receive::{Arrived, Received};
pub(crate) use state::{
    AfterResponse, ConnectionState, Lifecycle, Linger, PrefaceState, ThreadWork,
};

#[derive(Debug)]
pub(crate) struct Connection {
    transport: Transport,
    identity: ClientIdentity,
    lifecycle: Lifecycle,
    buffers: Option<Box<RequestBuffers>>,
    writer: ResponseWriter,
    /// The current response, for the access log.
    record: Option<AccessRecord>,
    /// How much of its responses the client has acknowledged.
    acknowledged: AckProgress,
    /// The socket may have more to read: the poll reported an edge, and no read has emptied the socket since.
    readable: bool,
    /// The client has shut down its side.
    hung_up: bool,
    /// Stopped to give others their turn, not for lack of bytes or room.
    yielded: bool,
    /// Octets that the last [`Connection::receive`] read.
    arrived: u64,
    /// Octets that were read and not counted yet, and sent ones that were counted.
    received: u64,
    counted: u64,
    /// Its place in the reactor's table, once it has one; also its mio token.
    token: Option<usize>,
    /// Whether the poll watches it, and whether also for writing.
    watched: Option<bool>,
    /// The earliest timer that is set for it.
    timer: Option<Instant>,
    /// A request thread has taken it over from a sibling, without the reactor.
    adopted: bool,
    /// Why the request that a sibling has read cannot be served here.
    refused: Option<RequestError>,
    /// A sibling gave it away while another process had the socket too.
    was_shared: bool,
}

impl Connection {
    pub(crate) fn new(socket: Socket, peer: Peer, local: Local) -> Self {
        Self {
            transport: Transport::new(socket),
            identity: ClientIdentity::new(peer, local),
            lifecycle: Lifecycle::new(Instant::now()),
            buffers: None,
            writer: ResponseWriter::default(),
            record: None,
            acknowledged: AckProgress::default(),
            readable: true,
            hung_up: false,
            yielded: false,
            arrived: 0,
            received: 0,
            counted: 0,
            token: None,
            watched: None,
            timer: None,
            adopted: false,
            refused: None,
            was_shared: false,
        }
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    pub(crate) fn identity(&self) -> &ClientIdentity {
        &self.identity
    }

    pub(crate) fn identity_mut(&mut self) -> &mut ClientIdentity {
        &mut self.identity
    }

    pub(crate) fn peer(&self) -> Peer {
        self.identity.peer()
    }

    pub(crate) fn state(&self) -> ConnectionState {
        self.lifecycle.state()
    }

    pub(crate) fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    pub(crate) fn lifecycle_mut(&mut self) -> &mut Lifecycle {
        &mut self.lifecycle
    }

    /// Whether the other end of the socket may speak for clients, and whether it uses TLS.
    pub(crate) fn find_trust(&mut self, rules: &Rules) {
        self.identity.find_trust(self.transport.socket(), rules);
    }

    /// See [`ClientIdentity::verify`].
    pub(crate) fn verify_identity(&mut self, may_name: impl FnOnce(Peer) -> bool) {
        self.identity.verify(self.transport.socket(), may_name);
    }

    /// Puts TLS on top of the socket.
    pub(crate) fn begin_tls(&mut self, session: TlsSession) {
        self.transport = Transport::Tls(Arc::new(session));
    }

    /// The handshake is complete.
    pub(crate) fn become_secure(&mut self) {
        self.identity.become_secure();
        self.readable = true;
    }

    /// The handshake has failed: what the client still sends is not worth deciphering.
    pub(crate) fn drop_tls(&mut self) {
        self.transport = Transport::Plain(Arc::clone(self.transport.socket()));
    }

    /// Whether its first request has not begun yet.
    pub(crate) fn is_in_preface(&self) -> bool {
        matches!(self.state(), ConnectionState::Preface(_))
    }

    /// Whether a process that the application has forked may have the socket: then closing ours does not end
    /// the connection.
    pub(crate) fn is_shared(&self) -> bool {
        self.was_shared || forks::has_children()
    }

    /// A sibling gave it away while another process had the socket too.
    pub(crate) fn set_shared(&mut self) {
        self.was_shared = true;
    }

    /// Whether only this process can continue it.
    pub(crate) fn is_bound(&self) -> bool {
        self.transport.is_tls()
    }

    /// Whether no response has begun on it.
    pub(crate) fn is_first_request(&self) -> bool {
        self.writer.total() == 0
    }

    /// Whether it waits for a thread with a whole request whose response has not begun.
    pub(crate) fn has_request(&self) -> bool {
        self.state() == ConnectionState::Ready(ThreadWork::Respond)
    }

    /// Whether a sibling could serve the request that waits here.
    pub(crate) fn can_move(&self) -> bool {
        self.has_request() && !self.is_bound()
    }
}

/// Its request.
impl Connection {
    pub(crate) fn buffers(&self) -> Option<&RequestBuffers> {
        self.buffers.as_deref()
    }

    /// Its buffers to read a request into; `spare` ones if it has none.
    pub(crate) fn ready_buffers(
        &mut self,
        spare: impl FnOnce() -> Box<RequestBuffers>,
    ) -> &mut RequestBuffers {
        self.buffers.get_or_insert_with(spare)
    }

    /// The bytes that a sibling has read.
    pub(crate) fn set_buffers(&mut self, buffers: Box<RequestBuffers>) {
        self.buffers = Some(buffers);
    }

    pub(crate) fn take_buffers(&mut self) -> Option<Box<RequestBuffers>> {
        self.buffers.take()
    }

    /// The head of the request that is being read, or was read last.
    pub(crate) fn head(&self) -> Option<&RequestHead> {
        self.buffers.as_ref().map(|it| &it.decoder.head)
    }

    /// The bytes that were read and not used yet.
    pub(crate) fn unread(&self) -> &[u8] {
        self.buffers.as_ref().map_or(&[], |it| it.input.filled())
    }

    /// Uses `count` bytes of [`Connection::unread`].
    pub(crate) fn consume(&mut self, count: usize) {
        if let Some(buffers) = &mut self.buffers {
            buffers.input.consume(count);
        }
    }

    /// Takes the whole request, for the application.
    pub(crate) fn take_request(&mut self) -> Option<Request> {
        let decoder = &mut self.buffers.as_mut()?.decoder;
        let (head, body) = decoder.take();
        Some(Request {
            head,
            body,
            peer: self.identity.peer(),
            local: self.identity.local(),
            scheme: decoder.scheme,
            proxied: self.identity.is_proxied(),
            trusted: self.identity.trust().trusted,
            logged: Vec::new(),
        })
    }

    /// Returns the head of a request that was taken, for the log.
    pub(crate) fn return_head(&mut self, head: RequestHead) {
        if let Some(buffers) = &mut self.buffers {
            buffers.decoder.return_head(head);
        }
    }

    /// The head that is being read, and the place for what the response will say of rate limits.
    pub(crate) fn head_and_limits(&mut self) -> Option<(&RequestHead, &mut LimitFields)> {
        let buffers = self.buffers.as_deref_mut()?;
        Some((&buffers.decoder.head, &mut buffers.limits))
    }

    /// Moves what the response will say of rate limits to where it is made.
    pub(crate) fn move_limits(&mut self, place: &mut LimitFields) {
        match &mut self.buffers {
            Some(buffers) => buffers.limits.move_to(place),
            None => place.clear(),
        }
    }

    /// Whether the client wants to keep the connection.
    pub(crate) fn wants_keep_alive(&self) -> bool {
        let decoder = self.buffers.as_ref().map(|it| &it.decoder);
        decoder.is_some_and(|it| it.framing.keep_alive)
    }

    /// Whether a request thread has taken it over from a sibling, without the reactor. True only once.
    pub(crate) fn take_adopted(&mut self) -> bool {
        std::mem::take(&mut self.adopted)
    }

    pub(crate) fn take_refused(&mut self) -> Option<RequestError> {
        self.refused.take()
    }
}

/// Its place in the event loop.
impl Connection {
    pub(crate) fn token(&self) -> Option<usize> {
        self.token
    }

    pub(crate) fn set_token(&mut self, token: usize) {
        self.token = Some(token);
    }

    /// What the poll reports of it.
    pub(crate) fn note_event(&mut self, readable: bool, hung_up: bool) {
        self.readable |= readable;
        self.hung_up |= hung_up;
    }

    /// Whether its next request may be here already.
    pub(crate) fn may_have_more(&self) -> bool {
        self.readable || self.hung_up || !self.unread().is_empty()
    }

    /// Gives others their turn, and continues without an event.
    pub(crate) fn yield_turn(&mut self) {
        self.yielded = true;
    }

    pub(crate) fn has_yielded(&self) -> bool {
        self.yielded
    }

    /// Its turn has come.
    pub(crate) fn begin_turn(&mut self) {
        self.yielded = false;
    }

    /// Whether the poll watches it, and whether also for writing.
    pub(crate) fn watched(&self) -> Option<bool> {
        self.watched
    }

    pub(crate) fn set_watched(&mut self, watched: Option<bool>) {
        self.watched = watched;
    }

    /// The time for which a timer must be set, so that one fires no later than the deadline.
    pub(crate) fn timer_to_set(&mut self, now: Instant) -> Option<Instant> {
        let deadline = self.lifecycle.deadline()?;
        // A timer that fired while a request thread had the connection no longer counts.
        let is_late = |timer: Instant| deadline < timer || timer <= now;
        self.timer.is_none_or(is_late).then(|| {
            self.timer = Some(deadline);
            deadline
        })
    }

    /// The timer that was set for `at` fires; false if another one has been set since.
    pub(crate) fn take_timer(&mut self, at: Instant) -> bool {
        self.timer.take_if(|timer| *timer == at).is_some()
    }
}
