//! Reads from the client's socket. No other file does, except for the handshake of TLS, where rustls reads.

use std::io;
use std::time::Duration;

use super::{Connection, ThreadWork};
use crate::http::{Decoded, RequestError, Rules};
use crate::read_buffer::ReadBuffer;

/// Bytes that one client may send before others have their turn.
const BUDGET: usize = 512 * 1024;
/// A client that shuts down its side so soon after its request has sent all, and waits for the response (`nc -N`).
const SENDS_ALL: Duration = Duration::from_secs(1);

/// The result of one read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrived {
    Octets(usize),
    /// Nothing for now.
    Nothing,
    /// Nothing any more: the client is gone or has shut down its side.
    End,
}

/// How far a request has come.
#[derive(Debug)]
pub(crate) enum Received {
    /// The socket is empty; the decoder says how far the request is.
    Waiting(Decoded),
    /// The head of a request is whole. The next call reads its body.
    Head,
    /// A request is whole.
    Request,
    /// The client left or shut down its side between requests.
    Closed,
    Refused(RequestError),
}

impl Connection {
    /// Reads until a request is whole or the socket is empty.
    pub(crate) fn receive(&mut self, rules: &Rules) -> Received {
        let mut buffers = self.buffers.take().unwrap_or_default();
        let received = self.receive_into(&mut buffers, rules);
        self.buffers = Some(buffers);
        received.unwrap_or_else(Received::Refused)
    }

    fn receive_into(
        &mut self,
        buffers: &mut super::RequestBuffers,
        rules: &Rules,
    ) -> Result<Received, RequestError> {
        let trust = self.identity.trust();
        let (mut budget, mut said_continue) = (BUDGET, false);
        self.arrived = 0;
        loop {
            let mut decoded = buffers.decoder.advance(&mut buffers.input, rules, trust)?;
            // `Continue` is sent once, however many reads follow here.
            said_continue |= decoded == Decoded::Continue;
            if said_continue && decoded == Decoded::MoreBody {
                decoded = Decoded::Continue;
            }
            match decoded {
                Decoded::Request => return Ok(Received::Request),
                Decoded::Head => return Ok(Received::Head),
                // Retried when there is memory for it.
                Decoded::Crowded => {}
                _ if !self.readable && !self.hung_up => {}
                _ if budget == 0 => self.yielded = true,
                _ => match self.read_request(buffers, rules)? {
                    Arrived::Octets(count) => {
                        self.arrived += count as u64;
                        budget = budget.saturating_sub(count);
                        continue;
                    }
                    Arrived::Nothing => {}
                    Arrived::End => return Ok(Received::Closed),
                },
            }
            buffers.decoder.pause(rules)?;
            return Ok(Received::Waiting(decoded));
        }
    }

    /// Reads once: directly into the body if one is arriving, otherwise into the buffer.
    fn read_request(
        &mut self,
        buffers: &mut super::RequestBuffers,
        rules: &Rules,
    ) -> Result<Arrived, RequestError> {
        if !self.transport.is_tls()
            && buffers.input.is_empty()
            && let Some(body) = buffers.decoder.room(rules)?
        {
            let room = body.capacity() - body.len();
            let read = self.transport.read_onto(body);
            return Ok(self.note_read(read, room));
        }
        Ok(self.read(&mut buffers.input))
    }

    /// Reads once into `input`.
    fn read(&mut self, input: &mut ReadBuffer) -> Arrived {
        let space = input.space();
        let room = space.len();
        let read = self.transport.read(space);
        let arrived = self.note_read(read, room);
        if let Arrived::Octets(count) = arrived {
            input.fill(count);
        }
        arrived
    }

    /// A read that leaves room has emptied the socket (epoll(7), question 9), except for the end of file,
    /// which `hung_up` reports.
    fn note_read(&mut self, read: io::Result<usize>, room: usize) -> Arrived {
        match read {
            Ok(0) => Arrived::End,
            Ok(count) => {
                self.readable = count == room || self.transport.holds_more();
                self.received += count as u64;
                Arrived::Octets(count)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.found_empty();
                Arrived::Nothing
            }
            Err(_) => Arrived::End,
        }
    }

    /// The socket is empty until the poll reports otherwise.
    pub(crate) fn found_empty(&mut self) {
        (self.readable, self.hung_up) = (false, false);
    }

    /// Octets that the last [`Connection::receive`] read.
    pub(crate) fn arrived(&self) -> u64 {
        self.arrived
    }

    /// The timer has fired: checks whether bytes have come that the poll has not reported yet.
    pub(crate) fn look_again(&mut self) {
        self.readable = true;
    }

    /// Reads once the bytes that precede the first request.
    pub(crate) fn read_preface(&mut self) -> Arrived {
        if !self.readable && !self.hung_up {
            return Arrived::Nothing;
        }
        let mut buffers = self.buffers.take().unwrap_or_default();
        let arrived = self.read(&mut buffers.input);
        self.buffers = Some(buffers);
        arrived
    }

    /// Reads the request that a sibling found to be whole. It is whole here too, unless this worker has other limits.
    pub(crate) fn receive_whole(&mut self, rules: &Rules) -> bool {
        if self.buffers.is_none() {
            return false;
        }
        self.find_trust(rules);
        let mut received = self.receive(rules);
        if matches!(received, Received::Head) {
            // The sibling has counted it.
            received = self.receive(rules);
        }
        match received {
            Received::Request => {
                let ready_at = self.lifecycle.ready_at();
                self.lifecycle.await_thread(ThreadWork::Respond, ready_at);
                self.adopted = true;
            }
            Received::Refused(error) => self.refused = Some(error),
            Received::Closed => self.lifecycle.close(),
            Received::Waiting(_) | Received::Head => {}
        }
        self.adopted
    }

    /// Goes on behind the body of a request that is refused, if all of it has come.
    pub(crate) fn skip_body(&mut self, rules: &Rules) -> bool {
        let buffers = self.buffers.as_deref_mut();
        buffers.is_some_and(|it| it.decoder.skip_body(&mut it.input, rules))
    }

    /// Whether its client has left while its request waited.
    pub(crate) fn has_lost_client(&self) -> bool {
        let sent_all = self.lifecycle.ready_at() + SENDS_ALL;
        self.transport.socket().has_lost_client(sent_all)
    }

    /// Whether there is nothing to do for the connection before the client sends more: it waits
    /// for a request, the poll watches it, and the socket is empty.
    pub(crate) fn is_quiet(&mut self) -> bool {
        let waits = self.lifecycle.is_receiving() && self.watched.is_some() && !self.hung_up;
        if !waits || !self.unread().is_empty() {
            return false;
        }
        let Some(mut buffers) = self.buffers.take() else {
            return false;
        };
        let arrived = self.read(&mut buffers.input);
        self.buffers = Some(buffers);
        match arrived {
            Arrived::Nothing => true,
            Arrived::Octets(_) => false,
            Arrived::End => {
                (self.readable, self.hung_up) = (true, true);
                false
            }
        }
    }

    /// Drops what a lingering client sends; true when the end has come.
    pub(crate) fn discard(&mut self) -> bool {
        let mut scratch = self.buffers.take().unwrap_or_default();
        let mut budget = BUDGET;
        loop {
            scratch.input.clear();
            if budget == 0 {
                self.yielded = true;
                return false;
            }
            match self.read(&mut scratch.input) {
                Arrived::Octets(count) => budget = budget.saturating_sub(count),
                Arrived::Nothing => return false,
                Arrived::End => return true,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    use oxicorn_common::request::{Local, Peer};

    use super::*;
    use crate::socket::Socket;

    #[test]
    fn a_client_that_is_not_listened_to_any_more_stops_for_the_others() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let address = listener.local_addr().expect("an address");
        let mut client = TcpStream::connect(address).expect("a connection");
        let (stream, peer) = listener.accept().expect("a connection");
        stream.set_nonblocking(true).expect("a socket");
        client.set_nonblocking(true).expect("a socket");
        let stream = Socket::Tcp(mio::net::TcpStream::from_std(stream));
        let mut connection = Connection::new(stream, Peer::Tcp(peer), Local::Unix);
        let (piece, mut sent) = (vec![b'a'; 1 << 16], 0);
        while let Ok(count) = client.write(&piece) {
            sent += count;
        }
        assert!(sent > 4 * BUDGET, "the kernel keeps no more than {sent}");
        let (mut turns, mut yields) = (0, true);
        while yields {
            connection.begin_turn();
            assert!(!connection.discard(), "the client is there");
            yields = connection.has_yielded();
            turns += 1;
        }
        assert!(turns > 2, "{sent} bytes in {turns} turns");
    }
}
