//! One client: its socket, what it has sent, and what it has yet to take.
//!
//! A connection is owned by the reactor while it waits and by a request thread while the
//! application runs for it; it moves between them whole, so neither needs a lock.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use oxicorn_common::forks;
use oxicorn_common::request::{Local, Peer};

use crate::access_record::AccessRecord;
pub(crate) use crate::awaited::Awaited;
pub(crate) use crate::buffers::Buffers;
use crate::http::{Decoded, PeerTrust, RequestError, Rules};
use crate::pace::AckProgress;
use crate::preface::PrefaceState;
use crate::read_buffer::ReadBuffer;
use crate::response_writer::ResponseWriter;
use crate::transport::Transport;
use crate::worker_shared::WorkerShared;

/// Where the reactor does not know a connection yet.
pub(crate) const NO_TOKEN: usize = usize::MAX;
/// Bytes that one client may send before others have their turn.
const BUDGET: usize = 512 * 1024;

/// What is to become of a connection that nobody works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Phase {
    /// Waits for a request, or for the rest of one.
    #[default]
    Receiving,
    /// A request is whole, or a streamed response wants its next piece: a request thread is due.
    Ready,
    /// The client takes the response slowly; `then` follows when it has all of it.
    Sending,
    /// Our side is shut; what the client still sends is read and dropped, so that it can read the
    /// answer (RFC 9112 section 9.6).
    Lingering,
    /// To be closed and forgotten.
    Dead,
}

/// What follows a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Then {
    #[default]
    KeepAlive,
    Close,
    Linger,
}

#[derive(Debug)]
pub(crate) struct Connection {
    /// Its place in the reactor's table; also its mio token.
    pub(crate) token: usize,
    pub(crate) transport: Arc<Transport>,
    /// Who sends: what a PROXY protocol header said, where there was one.
    pub(crate) peer: Peer,
    pub(crate) local: Local,
    /// `peer` and `local` are from a PROXY protocol header.
    pub(crate) proxied: bool,
    pub(crate) trust: PeerTrust,
    /// What is to be got through before the first request; `None` when that is done.
    pub(crate) preface_state: Option<PrefaceState>,
    pub(crate) phase: Phase,
    pub(crate) then: Then,
    pub(crate) buffers: Option<Box<Buffers>>,
    pub(crate) writer: ResponseWriter,
    /// The response under way, for the access log.
    pub(crate) record: Option<AccessRecord>,
    /// The socket may have more for us: an edge was seen that no read has exhausted.
    pub(crate) readable: bool,
    /// The client has shut its side.
    pub(crate) hung_up: bool,
    /// Stopped to let others have their turn, not for want of bytes or room.
    pub(crate) eager: bool,
    /// Registered with the poll, and whether also for writing.
    pub(crate) registered: Option<bool>,
    pub(crate) deadline: Option<Instant>,
    /// The earliest timer that is set for it.
    pub(crate) timer: Option<Instant>,
    /// What `deadline` is about.
    pub(crate) awaited: Awaited,
    /// Since when, for what has one time in all.
    pub(crate) awaited_since: Instant,
    /// When its request became whole, or its stream was to go on: who came first is served first.
    pub(crate) whole_at: Instant,
    /// A request thread has taken it over from a sibling, without the reactor.
    pub(crate) adopted: bool,
    /// Why the request that a sibling has read cannot be served here.
    pub(crate) refused: Option<RequestError>,
    /// `whole_at` is from the sibling that read the request.
    pub(crate) keeps_place: bool,
    /// A sibling has given it away while another process had the socket too.
    pub(crate) was_shared: bool,
    /// Octets that the last [`Connection::receive`] has read.
    pub(crate) arrived: u64,
    /// What the client takes of its responses.
    pub(crate) taking: AckProgress,
    /// The request took too long: the client has its 504 and the reactor has written it off.
    pub(crate) given_up: bool,
}

/// What a read brought.
#[derive(Debug)]
pub(crate) enum Received {
    /// The socket is exhausted; the request is as far as the step says.
    Waiting(Decoded),
    /// A request is whole.
    Request,
    /// The client is gone or has shut its side between requests.
    Closed,
    Refused(RequestError),
}

impl Phase {
    /// What a connection does when its response is sent.
    pub(crate) fn after(then: Then) -> Self {
        match then {
            Then::KeepAlive => Self::Receiving,
            Then::Linger => Self::Lingering,
            Then::Close => Self::Dead,
        }
    }
}

impl Connection {
    pub(crate) fn new(stream: Transport, peer: Peer, local: Local) -> Self {
        Self {
            token: NO_TOKEN,
            transport: Arc::new(stream),
            peer,
            local,
            proxied: false,
            trust: PeerTrust::default(),
            preface_state: None,
            phase: Phase::Receiving,
            then: Then::KeepAlive,
            buffers: None,
            writer: ResponseWriter::default(),
            record: None,
            readable: true,
            hung_up: false,
            eager: false,
            registered: None,
            deadline: None,
            timer: None,
            awaited: Awaited::Request,
            awaited_since: Instant::now(),
            whole_at: Instant::now(),
            adopted: false,
            refused: None,
            keeps_place: false,
            was_shared: false,
            arrived: 0,
            taking: AckProgress::default(),
            given_up: false,
        }
    }

    /// Its request is whole, or its stream is to go on: from `now` on it waits for a thread.
    pub(crate) fn begin_waiting(&mut self, now: Instant) {
        if !std::mem::take(&mut self.keeps_place) {
            self.whole_at = now;
        }
        self.awaited = Awaited::Request;
    }

    /// Whether the other end of the socket may speak for clients. A PROXY protocol header says who
    /// the client is, not who sent it; and a socket that was reset tells neither.
    pub(crate) fn is_trusted(&self, rules: &Rules) -> bool {
        let sender = match self.proxied {
            true => self.transport.peer(),
            false => Some(self.peer),
        };
        sender.is_some_and(|peer| rules.fields.trusts(peer))
    }

    /// Whether a process that the application has forked may have the socket: closing ours does not end
    /// the connection then.
    pub(crate) fn is_shared(&self) -> bool {
        self.was_shared || forks::has_children()
    }

    /// Whether only this process can go on with it.
    pub(crate) fn is_bound(&self) -> bool {
        self.transport.is_tls()
    }

    /// Reads the request that a sibling has found to be whole; it is, unless this worker has other limits.
    pub(crate) fn receive_whole(&mut self, rules: &Rules) -> bool {
        let Some(mut buffers) = self.buffers.take() else {
            return false;
        };
        self.trust.trusted = self.is_trusted(rules);
        let received = self.receive(&mut buffers, rules);
        self.buffers = Some(buffers);
        match received {
            Received::Request => {
                self.begin_waiting(self.whole_at);
                self.phase = Phase::Ready;
                self.adopted = true;
            }
            Received::Refused(error) => self.refused = Some(error),
            Received::Closed => self.phase = Phase::Dead,
            Received::Waiting(_) => {}
        }
        self.adopted
    }

    /// Whether a sibling could serve the request that waits here.
    pub(crate) fn can_move(&self) -> bool {
        self.phase == Phase::Ready && !self.writer.has_pieces() && !self.is_bound()
    }

    /// Reads until a request is whole or the socket has no more.
    ///
    /// A read that leaves room in the buffer has emptied the socket (epoll(7), question 9), but
    /// for the end of file, which `hung_up` announces.
    pub(crate) fn receive(&mut self, buffers: &mut Buffers, rules: &Rules) -> Received {
        self.arrived = 0;
        let mut step = match buffers
            .decoder
            .advance(&mut buffers.input, rules, self.trust)
        {
            Ok(Decoded::Request) => return Received::Request,
            Ok(step) => step,
            Err(error) => return Received::Refused(error),
        };
        let mut budget = BUDGET;
        while step != Decoded::Crowded && (self.readable || self.hung_up) {
            if budget == 0 {
                self.eager = true;
                break;
            }
            let (room, read) = match self.read(buffers, rules) {
                Ok(outcome) => outcome,
                Err(error) => return Received::Refused(error),
            };
            match read {
                Ok(0) => return Received::Closed,
                Ok(count) => {
                    self.readable = count == room || self.transport.holds_more();
                    self.arrived += count as u64;
                    budget = budget.saturating_sub(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readable = false;
                    self.hung_up = false;
                    break;
                }
                Err(_) => return Received::Closed,
            }
            step = match buffers
                .decoder
                .advance(&mut buffers.input, rules, self.trust)
            {
                Ok(Decoded::Request) => return Received::Request,
                // `Continue` is said once, however many reads follow it here.
                Ok(Decoded::MoreBody) if step == Decoded::Continue => Decoded::Continue,
                Ok(step) => step,
                Err(error) => return Received::Refused(error),
            };
        }
        match buffers.decoder.pause(rules) {
            Ok(()) => Received::Waiting(step),
            Err(error) => Received::Refused(error),
        }
    }

    /// Reads once: into the body itself where one is on its way, else into the input. Returns how much
    /// there was room for, and what was read.
    fn read(
        &self,
        buffers: &mut Buffers,
        rules: &Rules,
    ) -> Result<(usize, io::Result<usize>), RequestError> {
        if !self.transport.is_tls()
            && buffers.input.is_empty()
            && let Some(body) = buffers.decoder.room(rules)?
        {
            let room = body.capacity() - body.len();
            return Ok((room, self.transport.read_onto(body)));
        }
        let space = buffers.input.space();
        let room = space.len();
        let read = self.transport.read(space);
        if let Ok(count) = read {
            buffers.input.fill(count);
        }
        Ok((room, read))
    }

    /// Whether nothing is to be done for the connection before the client sends more: it waits
    /// for a request, the poll watches it, and the socket is empty.
    pub(crate) fn is_quiet(&mut self) -> bool {
        let waits = self.phase == Phase::Receiving && self.registered.is_some() && !self.hung_up;
        let Some(buffers) = self
            .buffers
            .as_mut()
            .filter(|buffers| waits && buffers.input.is_empty())
        else {
            return false;
        };
        match self.transport.read(buffers.input.space()) {
            Ok(count) => {
                buffers.input.fill(count);
                self.hung_up = count == 0;
                self.readable = true;
                false
            }
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        }
    }

    /// Drops what a lingering client sends; true when the end has come.
    pub(crate) fn discard(&mut self, scratch: &mut ReadBuffer) -> bool {
        let mut budget = BUDGET;
        loop {
            scratch.clear();
            if budget == 0 {
                self.eager = true;
                return false;
            }
            match self.transport.read(scratch.space()) {
                Ok(0) => return true,
                Ok(count) => budget = budget.saturating_sub(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => return true,
            }
        }
    }

    /// The response is over, all of it sent or not: what is to be told of it is told.
    pub(crate) fn conclude(&mut self, shared: &WorkerShared, now: Instant) {
        if let (Some(mut record), Some(buffers)) = (self.record.take(), &self.buffers) {
            let unsent = self.writer.unsent();
            record.body_bytes = record.body_bytes.saturating_sub(unsent);
            shared.log_access(&buffers.decoder.head, &self.peer, &record, now);
        }
    }

    /// Another thread has told the client that its request took too long.
    pub(crate) fn give_up(&mut self) {
        self.given_up = true;
        self.phase = Phase::Dead;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_client_that_is_not_listened_to_any_more_stops_for_the_others() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let address = listener.local_addr().expect("an address");
        let mut client = TcpStream::connect(address).expect("a connection");
        let (stream, peer) = listener.accept().expect("a connection");
        stream.set_nonblocking(true).expect("a socket");
        client.set_nonblocking(true).expect("a socket");
        let stream = Transport::Tcp(mio::net::TcpStream::from_std(stream));
        let mut connection = Connection::new(stream, Peer::Tcp(peer), Local::Unix);
        let (piece, mut sent) = (vec![b'a'; 1 << 16], 0);
        while let Ok(count) = client.write(&piece) {
            sent += count;
        }
        assert!(sent > 4 * BUDGET, "the kernel keeps no more than {sent}");
        let mut scratch = ReadBuffer::default();
        let (mut turns, mut eager) = (0, true);
        while eager {
            connection.eager = false;
            assert!(!connection.discard(&mut scratch), "the client is there");
            eager = connection.eager;
            turns += 1;
        }
        assert!(turns > 2, "{sent} bytes in {turns} turns");
    }
}
